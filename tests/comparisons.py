"""Small comparisons on generated pictures: a narrow trunk, 32 px, one epoch, one seed."""

import re
from pathlib import Path

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import read_samples
from dermedge.evaluation.comparison.compare import compare_fusions
from dermedge.evaluation.comparison.plan import Plan, plan_cells, start_hashes
from dermedge.evaluation.comparison.rows import row_key
from dermedge.training.run import Run
from dermedge.training.start_weights import Pretrained
from dermedge_export.check.parity import Limits

NARROW = (8, 8, 16, 16)
FUSIONS = "image_only,cross_attention"
LOOSE = Limits(agreement=0, balanced_accuracy_drop=1, heatmap_correlation=-1)


def small_plan(
    root: Path,
    data: Path,
    trunk: str = "own",
    *,
    fusions: str = FUSIONS,
    image_branches: str = "dermiresnet",
    protocols: str = "grouped",
    seeds: int = 1,
    views: int = 1,
    pretrained: bool = False,
    **settings,
) -> Plan:
    """One epoch of two steps; `settings` are a `TrainConfig`'s."""
    usual = {"image_size": 32, "epochs": 1, "per_class": 4, "batch_size": 14}
    base = TrainConfig(data=str(data), **{**usual, **settings})
    cells = plan_cells(fusions, protocols, seeds, trunk, image_branches)
    others = Pretrained() if pretrained else None
    return Plan(root, cells, base, base.epochs, views, others, start_hashes(others, cells, base) if others else {})


def run_plan(plan: Plan, *, int8_limits: Limits | None = None, latency: bool = False) -> tuple[dict, list[str]]:
    """Do what is missing of a plan; the page is report.html in its folder."""
    samples = read_samples(Path(plan.base.data))
    page = plan.root / "report.html"
    return compare_fusions(plan, samples, page=page, int8_limits=int8_limits, latency=latency)


def row_of(record: dict, fusion: str, trunk: str, protocol: str = "grouped", image_branch: str = "dermiresnet") -> dict:
    """The one row."""
    wanted = (protocol, "none" if trunk == "none" else image_branch, fusion, trunk)
    (row,) = (row for row in record["rows"] if row_key(row) == wanted)
    return row


def run_in(root: Path, name: str) -> Run:
    return Run.open(root / "grouped" / "seed0" / name)


def page_text(page: str) -> list[list[str]]:
    """Cells of every table line, without markup."""
    lines = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", line)] for line in lines]
