"""A comparison on the image branch of a run that is there already."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comparisons import run_plan, small_plan
from safetensors.torch import load_file

import dermedge
from dermedge.config import TrainConfig
from dermedge.evaluation.comparison.given_trunk import GIVEN, GivenTrunk
from dermedge.evaluation.comparison.plan import Plan, plan_cells
from dermedge.evaluation.comparison.train_cell import train_cell
from dermedge.training.run import Run
from dermedge_runtime.errors import UsageError

pytestmark = pytest.mark.usefixtures("narrow_trunk")


@pytest.fixture(scope="module")
def given(narrow_trunk, synthetic_data, tmp_path_factory) -> GivenTrunk:
    """A run whose image branch is plain: a pruned one cannot be given."""
    folder = tmp_path_factory.mktemp("given") / "cross_attention"
    config = TrainConfig(data=str(synthetic_data), image_size=32, epochs=1, per_class=4, batch_size=28)
    dermedge.train(synthetic_data, config=config, run=folder)
    return GivenTrunk.open(folder)


def _plan(root: Path, data: Path, given: GivenTrunk, trunk: str, fusions: str, seeds: int = 1) -> Plan:
    plan = small_plan(root, data, trunk, fusions=fusions, seeds=seeds)
    return replace(plan, cells=plan_cells(fusions, "grouped", seeds, trunk, given=True), given=given)


def test_heads_of_every_seed_take_the_very_trunk_on_its_split(given, synthetic_data, tmp_path) -> None:
    plan = _plan(tmp_path, synthetic_data, given, "shared", "gated", seeds=2)
    record, failed = run_plan(plan)
    assert failed == []
    assert [cell.name for cell in plan.cells] == ["image_only", "gated"] * 2, "no trunk is trained first"
    (gated,) = (row for row in record["rows"] if row["fusion"] == "gated")
    assert gated["seeds"] == [0, 1]
    trunk = {name: each for name, each in load_file(given.run.weights_file).items() if name.startswith("trunk.")}
    heads = []
    for seed in (0, 1):
        run = Run.open(tmp_path / "grouped" / f"seed{seed}" / "gated-shared")
        weights = load_file(run.weights_file)
        assert trunk and all((weights[name] == each).all() for name, each in trunk.items())
        assert (run.split.sha256, run.config.seed, run.config.split_seed) == (given.run.split.sha256, seed, 0)
        assert run.record[GIVEN] == {"run": given.run.path.name, "weights_sha256": given.run.weights_sha256}
        heads.append(weights["head.classifier.0.weight"])
    assert not (heads[0] == heads[1]).all(), "the seeds draw other heads"
    results = json.loads((run.path / "results.json").read_text(encoding="utf-8"))
    assert results[GIVEN] == run.record[GIVEN]
    assert len(list((tmp_path / "features").glob("*-view1.f32"))) == 1, "one set of features for both seeds"


def test_end_to_end_starts_from_the_image_branch_and_from_nothing_else_of_the_run(given, synthetic_data, tmp_path):
    plan = _plan(tmp_path, synthetic_data, given, "own", given.run.config.fusion)
    (cell,) = (cell for cell in plan.cells if cell.trunk == "own")
    run = train_cell(plan, cell, given.run.samples(synthetic_data), lambda *_: "")
    start = load_file(run.start_file)
    before = load_file(given.run.weights_file)
    assert start and all(name.startswith("trunk.") and (each == before[name]).all() for name, each in start.items())
    assert run.config.start_from == given.run.weights_sha256 and run.record[GIVEN]["run"] == given.run.path.name


def test_a_comparison_that_the_run_does_not_fit_is_told_what_to_give(given) -> None:
    same = given.run.config
    given.check({"grouped"}, {"dermiresnet"}, same)
    with pytest.raises(UsageError, match="takes --protocols grouped --image-branches dermiresnet --image-size 32, and"):
        given.check({"paper"}, {"resnet18"}, replace(same, image_size=64))
    with pytest.raises(UsageError, match="takes --resample bilinear no --contrast, and"):
        given.check({"grouped"}, {"dermiresnet"}, replace(same, contrast=True, resample="lanczos"))
