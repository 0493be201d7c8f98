"""Write a shift of class priors into the weights of a run: as its training ends, or any time later.

The weights' file holds the shift and the record of how it was chosen, so a kill leaves both or neither, and the hash
of the weights tells model files from before a shift from those after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.config import PriorTau
from dermedge.data.splits import Split
from dermedge_runtime.errors import UsageError

from .checkpoint import read_tensors, record_in, save_weights
from .prior_shift import Validation, choose_shift, unshifted, with_shift
from .run import Run

_log = logging.getLogger(__name__)
PRIOR_SHIFT = "prior_shift"
"""The key of a shift's record in the weights' file and in the description of a model file."""


def check_prior_shift(tau: PriorTau, split: Split) -> None:
    """Refuse what cannot be chosen.

    :raises UsageError: auto without a validation split.
    """
    if tau == "auto" and not split.ids("validation"):
        raise UsageError(
            f"The protocol {split.protocol} has no validation split to choose the prior shift on: give a number in the"
            " place of auto, such as one that was chosen under --protocol grouped."
        )


def recorded_shift(run: Run) -> dict[str, Any] | None:
    """Find how the shift of a run's weights was chosen (`prior_shift.choose_shift`); None where they have none.

    :raises DermedgeError: the weights are damaged.
    """
    found: dict[str, Any] | None = record_in(run.weights_file).get(PRIOR_SHIFT)
    return found


def write_shift(
    run: Run, tau: PriorTau, trained_on: NDArray[np.int64], validate: Callable[[], Validation]
) -> dict[str, Any]:
    """Choose a shift, in the place of an earlier one, and write it into the run's weights.

    :param trained_on: labels of the training split, int64 [N].
    :param validate: gives the answers of the weights without a shift; called for auto alone.
    :return: its record.
    """
    record = choose_shift(tau, trained_on, run.schema, validate)
    weights = with_shift(unshifted(read_tensors(run.weights_file)), record)
    save_weights(run.weights_file, weights, {PRIOR_SHIFT: record})
    _log.info("%s", shift_line(record))
    return record


def shift_line(record: Mapping[str, Any]) -> str:
    """Say what was chosen, such as "prior shift 0.5 by validation: balanced accuracy 0.612 -> 0.655, ..."."""
    if "grid" not in record:
        return f"prior shift {record['tau']:g}, as given"
    before = record["grid"][0]
    after = next(row for row in record["grid"] if row["tau"] == record["tau"])
    changes = [
        f"{name.replace('_', ' ')} {value:.3f} -> {after[name]:.3f}"
        for name, value in before.items()
        if name != "tau" and value is not None
    ]
    return f"prior shift {record['tau']:g} by validation: {', '.join(changes)}"
