"""Which runs go together in an ensemble: those that answer one question, and were trained on nothing that another of
them is validated or tested on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from dermedge.data.groups import group_key
from dermedge.models.branches.families import family_of
from dermedge.models.clinical_branch import ClinicalEncoder
from dermedge.models.fusion import ENSEMBLES, modalities
from dermedge_runtime.errors import InputRejected, UsageError

from .held_back import seen_by
from .run import Run

_READ_ALIKE = ("resample", "jpeg_detail")
"""Settings of the picture that all members share: it is read once, for all of them."""
LEAST_SAME_CLASS = 0.97
"""Share of the validation photographs whose class may not change by shrinking them in the graph: that of INT8."""
ROUNDING = 1e-5
"""Largest difference of what two members count clinical values with, relative to it or to their deviation."""
_MODE = "mode"
_COUNTED = {"median": "the median", "mean": "the mean", "std": "the deviation", _MODE: "the most frequent value"}
"""What `ClinicalEncoder` is fitted to, in words."""
_NAMED = 3
"""Lesions or photographs that a message names."""
_Floats = NDArray[np.floating[Any]]


def check_members(runs: Sequence[Run]) -> None:
    """Let runs pass that an ensemble can be made of.

    :raises UsageError: fewer than two, one of them twice, an ensemble, or runs that answer other questions.
    :raises InputRejected: one was trained on what another is validated or tested on, or split otherwise.
    :raises DermedgeError: one has no weights.
    """
    if len(runs) < 2:
        raise UsageError(f"An ensemble takes two runs or more, got {len(runs)}.")
    seen: dict[str, Run] = {}
    for run in runs:
        if run.config.fusion in ENSEMBLES:
            raise UsageError(f"The run in {run.path} is an ensemble already: name the runs that it was made of.")
        if modalities(run.config.fusion).image:
            family_of(run.config.image_branch)  # refuses given embeddings: members are shown pictures
        earlier = seen.setdefault(run.weights_sha256, run)
        if earlier is not run:
            raise UsageError(f"The runs in {earlier.path} and {run.path} have the same weights: name each run once.")
    for run in runs[1:]:
        _check_question(runs[0], run)
    for one, other in permutations(runs, 2):
        _check_unseen(one, other)
    _check_alike(runs)


def _check_question(first: Run, run: Run) -> None:
    if run.schema.classes != first.schema.classes:
        raise UsageError(
            f"The run in {run.path} tells {', '.join(run.schema.classes)} apart, and the one in {first.path}"
            f" {', '.join(first.schema.classes)}. Take runs with the same classes in the same order."
        )
    if run.config.protocol != first.config.protocol:
        raise UsageError(
            f"The run in {run.path} has the protocol {run.config.protocol}, and the one in {first.path}"
            f" {first.config.protocol}. Take runs with the same --protocol."
        )


def _check_alike(runs: Sequence[Run]) -> None:
    """Let runs pass that are shown the same: the two of them that differ are named."""
    pictured = [run for run in runs if modalities(run.config.fusion).image]
    told = [run for run in runs if modalities(run.config.fusion).clinical]
    for name in _READ_ALIKE:
        for run in pictured[1:]:
            one, other = getattr(pictured[0].config, name), getattr(run.config, name)
            if one != other:
                raise UsageError(
                    f"The run in {run.path} was trained with {name} {other}, and the one in {pictured[0].path} with"
                    f" {one}: a picture is read once for all members. Train both alike."
                )
    for run in told[1:]:
        first, config = told[0], run.config
        if config.unknown != first.config.unknown:
            raise UsageError(
                f"The run in {run.path} was trained with --unknown {config.unknown}, and the one in {first.path} with"
                f" {first.config.unknown}: values are encoded once for all members. Train both alike."
            )
        fields = [each.schema.clinical(each.config.protocol, each.config.unknown) for each in (first, run)]
        if fields[0] != fields[1]:
            raise UsageError(
                f"The run in {run.path} reads other clinical fields than the one in {first.path} (schema"
                f" {run.schema.name} and {first.schema.name}). Take runs with the same --schema."
            )


def _check_unseen(run: Run, other: Run) -> None:
    if run.split.rows == other.split.rows:
        return
    group = run.split.group_name
    leaked = sorted({group_key(each): each for _, each, _ in seen_by(run, other.split, [])}.values())
    if leaked:
        held_back = {group_key(each) for _, each, part in other.split.rows if part != "train"}
        more = ", ..." if len(leaked) > _NAMED else ""
        raise InputRejected(
            f"The run in {run.path} was trained on {len(leaked)} of the {len(held_back)} {group}s that the run in"
            f" {other.path} is validated or tested on ({', '.join(leaked[:_NAMED])}{more}), so that nothing would be"
            " left to measure the ensemble on."
            " Train both on one split: the same data, --protocol and --split-seed."
        )
    raise InputRejected(
        f"The runs in {run.path} and {other.path} are split otherwise. Train both on one split: the same data,"
        " --protocol and --split-seed."
    )


def check_encoders(first: Run, of_first: ClinicalEncoder, run: Run, own: ClinicalEncoder) -> None:
    """Let two members pass that make the same numbers of the same clinical values, but for rounding.

    Sums of the same values in another order, or in another precision, as early versions took them, differ by rounding.

    :raises InputRejected: they do not; the message has the first difference.
    """
    fields = {
        name: [each.name for each in (own.schema.categorical if name == _MODE else own.schema.numeric)]
        for name in _COUNTED
    }
    theirs = of_first.state_dict()
    for name, value in own.state_dict().items():
        # A mean near 0 is as exact as the values are wide.
        scale = torch.maximum(theirs[name].abs(), theirs["std"]) if name != _MODE else 1
        apart = (value - theirs[name]).abs() > (ROUNDING * scale if name != _MODE else 0)
        if apart.any():
            at = int(apart.nonzero()[0])
            one, other = (_told(each, name, at) for each in (of_first, own))
            raise InputRejected(
                f"The runs in {first.path} and {run.path} encode clinical values otherwise: {_COUNTED[name]} of"
                f" {fields[name][at]} is {one} in the one and {other} in the other, so the data changed between their"
                " trainings. Train both on the same data."
            )


def _told(encoder: ClinicalEncoder, name: str, at: int) -> str:
    value = encoder.state_dict()[name][at]
    return encoder.schema.categorical[at].vocabulary[int(value)] if name == _MODE else f"{float(value):.6g}"


def shrinking_record(size: int, shrunk: _Floats, own: _Floats) -> dict[str, Any]:
    """Compare a member's answers to pictures shrunk from the ensemble's with those to pictures of its own size.

    :param size: its own, height and width in pixels.
    :param shrunk: scores float [N, classes] of validation photographs, as of `own`.
    :return: JSON-ready: `from`, its own size; `images`, `agreement`, `largest_probability_change`.
    """
    agreement = float(np.mean(shrunk.argmax(axis=1) == own.argmax(axis=1)))
    change = float(np.abs(softmax(shrunk, axis=1) - softmax(own, axis=1)).max())
    return {"from": size, "images": len(own), "agreement": agreement, "largest_probability_change": change}


def check_shrunk(run: Run, found: Mapping[str, Any] | None) -> None:
    """Let a member pass whose answers stay as they are when its pictures are shrunk from larger ones.

    :param found: of `shrinking_record`; None: there are too few photographs.
    :raises UsageError: too few to compare on, or too many get another class.
    """
    size = run.config.image_size
    if found is None:
        raise UsageError(
            f"The run in {run.path} reads pictures of {size} pixels, smaller than another's, and there are too few"
            " validation photographs to see what shrinking them costs. Train all members with one --image-size."
        )
    if found["agreement"] < LEAST_SAME_CLASS:
        raise UsageError(
            f"The run in {run.path} reads pictures of {size} pixels, smaller than another's: shrunk from the larger"
            f" ones, {found['agreement']:.1%} of {found['images']} validation photographs keep their class, and"
            f" {LEAST_SAME_CLASS:.0%} must. Train all members with one --image-size."
        )
