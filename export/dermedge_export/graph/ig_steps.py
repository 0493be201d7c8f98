"""How many steps the integrated gradients of a file take, and how the number was chosen (paper, section 4.5.3).

Not covered: the gradients themselves, which are `explain_graph`'s. Nothing heavy is imported: the command line reads
the limits for its help.
"""

from __future__ import annotations

from dermedge_runtime.errors import UsageError

DEFAULT_STEPS = 20
"""The least number whose error against 2,000 steps is that of the paper's own rule, 50 steps at their ends, to a tenth
of a percent of the largest attribution: 0.5 % in the median and 1.5 % in the 95th percentile, the paper's 0.5 and 1.6 %
(`concat` on EfficientNet-Lite0, 300 validation pictures; `benchmarks/ig_steps.py`). 16 steps miss it: 0.7 and 2.3 %."""
MOST_STEPS = 1000
"""Each step is one more row of every layer of the head, for every picture of a batch."""


def checked_steps(wanted: int | None, *, explains: bool, integrates: bool) -> int | None:
    """Give the number of steps of a file; None for one that has no integrated gradients.

    :param wanted: None: `DEFAULT_STEPS`.
    :param explains: the file has explanations.
    :param integrates: the relevance of clinical values is among them.
    :raises UsageError: no whole number from 1 to `MOST_STEPS`, or steps asked of a file without integrated gradients.
    """
    if wanted is None:
        return DEFAULT_STEPS if integrates else None
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MOST_STEPS:
        raise UsageError(f"ig_steps must be a whole number from 1 to {MOST_STEPS}, got {wanted!r}.")
    if not integrates:
        why = "this fusion reads no clinical value to integrate over" if explains else "a file without explanations"
        raise UsageError(f"There are no integrated gradients to take steps of: {why}. Leave --ig-steps out.")
    return wanted
