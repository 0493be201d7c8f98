"""McNemar's exact test, and Wilson's interval at its ends, against SciPy."""

import pytest
from scipy.stats import binomtest

from dermedge.statistics.mcnemar import mcnemar_exact


@pytest.mark.parametrize(
    ("better", "worse"), [(1, 0), (4, 0), (2, 1), (5, 5), (3, 17), (40, 21), (900, 1100), (1, 2000)]
)
def test_it_is_the_binomial_test_of_what_changed(better: int, worse: int) -> None:
    assert mcnemar_exact(better, worse) == pytest.approx(binomtest(better, better + worse).pvalue, rel=1e-9, abs=1e-300)


def test_without_a_change_nothing_is_told() -> None:
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(5, 0) == 0.0625
