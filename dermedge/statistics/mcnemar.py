"""McNemar's exact test of two answers to the same questions (McNemar 1947; the binomial form)."""

from __future__ import annotations

from math import comb


def mcnemar_exact(better: int, worse: int) -> float:
    """Give the two-sided probability that chance alone divides the changes so unevenly, or more.

    :param better: questions that were answered wrongly before and rightly after.
    :param worse: the other way round; what did not change tells nothing and does not count.
    :return: 1 where nothing changed.
    """
    changed = better + worse
    tail = sum(comb(changed, count) for count in range(min(better, worse) + 1))
    return min(1.0, tail / (1 << changed) * 2)
