"""The figures that the paper prints: table 6 (single modalities) and table 7 (fusions).

Shares, as printed: accuracy in percent with its digits, the others with two. The paper says nothing of seeds, spread or
how it averages over the classes, and prints neither balanced accuracy nor an area under the curve per model.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One line of one of the two tables."""

    fusion: str
    """Our name of it."""
    name: str
    """The paper's name."""
    table: int
    accuracy_percent: str
    """As printed, digits included."""
    precision: float
    recall: float
    f1: float
    specificity: float | None = None
    """None in table 6, which has no such column."""

    @property
    def accuracy(self) -> float:
        """As a share."""
        return float(Decimal(self.accuracy_percent) / 100)


PAPER_ROWS = (
    PaperRow("clinical_only", "Clinical MLP (metadata only)", 6, "77.0", 0.76, 0.75, 0.76),
    PaperRow("image_only", "DermiResNet (image only)", 6, "92.0", 0.91, 0.92, 0.91),
    PaperRow("concat", "Simple concatenation", 7, "96.5", 0.93, 0.93, 0.93, 0.97),
    PaperRow("weighted_concat", "Weighted concatenation", 7, "97.15", 0.97, 0.97, 0.97, 0.98),
    PaperRow("hadamard", "Hadamard product", 7, "98.85", 0.97, 0.97, 0.97, 0.99),
    PaperRow("tensor", "Tensor fusion", 7, "96.52", 0.96, 0.96, 0.96, 0.97),
    PaperRow("bilinear", "Bilinear fusion", 7, "98.76", 0.98, 0.98, 0.98, 0.99),
    PaperRow("gated", "Gated fusion", 7, "93.0", 0.93, 0.93, 0.92, 0.91),
    PaperRow("self_attention", "Self-attention", 7, "92.70", 0.92, 0.93, 0.92, 0.90),
    PaperRow("cross_attention", "Cross-attention", 7, "98.86", 0.98, 0.98, 0.98, 0.99),
)
BY_FUSION = {row.fusion: row for row in PAPER_ROWS}
PAPERS_BEST = "cross_attention"
"""The model whose confusion matrix and ROC curves the paper shows (figures 6 and 7)."""
