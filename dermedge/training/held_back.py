"""Whether an earlier run has seen what a new training is validated or tested on."""

from __future__ import annotations

from collections.abc import Sequence

from dermedge.data.groups import group_key
from dermedge.data.samples import Sample
from dermedge.data.splits import Split
from dermedge_runtime.errors import InputRejected

from .run import Run


def check_unseen(run: Run, split: Split, samples: Sequence[Sample], mend: str) -> None:
    """Let an earlier run pass that was trained on nothing that a new training holds back.

    :param split: of the new training.
    :param samples: of the new training; with them, copies of what the earlier run was trained on are found too.
    :param mend: how the refusal begins its last sentence, such as "Start from a run".
    :raises InputRejected: the earlier run was trained on what the new one is validated or tested on.
    """
    leaked, held_back = len(seen_by(run, split, samples)), len(split.rows) - len(split.ids("train"))
    if leaked:
        raise InputRejected(
            f"The run in {run.path} was trained on photographs or lesions of {leaked} of the {held_back} images"
            f" that this training is validated or tested on. {mend} with the same --seed and --protocol."
        )


def seen_by(run: Run, split: Split, samples: Sequence[Sample]) -> list[tuple[str, str, str]]:
    """Give the rows of a split that it holds back, and that a run was trained on; parameters as `check_unseen`."""
    seen = {(image, group_key(group)) for image, group, part in run.split.rows if part == "train"}
    images, groups = {image for image, _ in seen}, {group for _, group in seen}
    content = {sample.image_id: sample.content for sample in samples if sample.content}
    contents = {content[image] for image in images if image in content}
    return [
        (image, group, part)
        for image, group, part in split.rows
        if part != "train" and (image in images or group_key(group) in groups or content.get(image) in contents)
    ]
