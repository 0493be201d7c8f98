"""What the run of an ensemble says of its members, and the untrained networks that its weights are for.

The run holds all of it: settings of every member, and its weights under names of their own (`members.0.trunk...`), so
the runs that it was made of may be moved or removed. Not covered: making such a run (`ensemble`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dermedge.config import TrainConfig
from dermedge.models.ensemble import Ensemble
from dermedge_runtime.errors import DermedgeError, UsageError

from .run import Run
from .trained_part import build_model

MEMBERS = "members"
"""The key of the members in the record of a run and in the description of a model file; in the weights' names, too."""


@dataclass(frozen=True, slots=True)
class Member:
    """One network of an ensemble."""

    config: TrainConfig
    """Settings of its training."""
    record: Mapping[str, Any]
    """JSON-ready, without the settings: `name` of its run, `weights_sha256`, `temperature`, which its weights hold;
    `shrunk`, what shrinking the ensemble's pictures to its own size changes on validation, where they are larger; and
    what the record of its run says of weights of others."""


def recorded_members(run: Run) -> list[Member]:
    """Give the members of a run; empty where it is no ensemble.

    :raises DermedgeError: the record is damaged.
    """
    try:
        return [
            Member(TrainConfig.from_record(each["settings"]), {k: v for k, v in each.items() if k != "settings"})
            for each in run.record.get(MEMBERS, [])
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"missing {error}" if isinstance(error, KeyError) else error
        raise DermedgeError(
            f"{run.config_file} is damaged (its members: {reason}). Make the ensemble again."
        ) from error


def new_ensemble(run: Run) -> Ensemble:
    """Make the networks of an ensemble, untrained.

    :raises DermedgeError: the record is damaged.
    """
    configs = [member.config for member in recorded_members(run)]
    try:
        return Ensemble([build_model(each, run.schema) for each in configs], [each.image_size for each in configs])
    except UsageError as error:
        raise DermedgeError(f"{run.config_file} is damaged ({error}). Make the ensemble again.") from error
