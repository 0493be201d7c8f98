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
    seen = {(image, group_key(group)) for image, group, part in run.split.rows if part == "train"}
    images, groups = {image for image, _ in seen}, {group for _, group in seen}
    content = {sample.image_id: sample.content for sample in samples if sample.content}
    contents = {content[image] for image in images if image in content}
    held_back = [row for row in split.rows if row[2] != "train"]
    leaked = sum(
        image in images or group_key(group) in groups or content.get(image) in contents for image, group, _ in held_back
    )
    if leaked:
        raise InputRejected(
            f"The run in {run.path} was trained on photographs or lesions of {leaked} of the {len(held_back)} images"
            f" that this training is validated or tested on. {mend} with the same --seed and --protocol."
        )
