"""The paper's two tables, against a second transcription made line by line as they are printed."""

from dermedge.evaluation.comparison.paper_figures import BY_FUSION, PAPER_ROWS
from dermedge.models.fusion import PAPERS_FUSIONS

# Table 6: accuracy, precision, recall, F1. Table 7: the same, then specificity.
PRINTED = """
Clinical MLP (metadata only) | 77.0% 0.76 0.75 0.76
DermiResNet (image only)     | 92.0% 0.91 0.92 0.91
Simple concatenation         | 96.5% 0.93 0.93 0.93 0.97
Weighted concatenation       | 97.15% 0.97 0.97 0.97 0.98
Hadamard product             | 98.85% 0.97 0.97 0.97 0.99
Tensor fusion                | 96.52% 0.96 0.96 0.96 0.97
Bilinear fusion              | 98.76% 0.98 0.98 0.98 0.99
Gated fusion                 | 93.0% 0.93 0.93 0.92 0.91
Self-attention               | 92.70% 0.92 0.93 0.92 0.90
Cross-attention              | 98.86% 0.98 0.98 0.98 0.99
"""


def test_every_figure_stands_as_printed():
    lines = [line.split("|") for line in PRINTED.strip().splitlines()]
    assert [row.name for row in PAPER_ROWS] == [name.strip() for name, _ in lines]
    for row, (_, printed) in zip(PAPER_ROWS, lines, strict=True):
        accuracy, *others = printed.split()
        assert f"{row.accuracy_percent}%" == accuracy
        figures = [row.precision, row.recall, row.f1, *([] if row.specificity is None else [row.specificity])]
        assert [f"{figure:.2f}" for figure in figures] == others
        assert row.table == (7 if len(others) == 4 else 6)


def test_accuracy_is_a_share():
    assert [BY_FUSION[fusion].accuracy for fusion in ("weighted_concat", "hadamard")] == [0.9715, 0.9885]


def test_every_fusion_of_the_paper_has_its_line():
    assert set(PAPERS_FUSIONS) == set(BY_FUSION)
