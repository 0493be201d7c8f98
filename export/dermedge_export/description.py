"""What a model file says about itself, written into it: what it is, what it was trained on, how well it does.

Not covered: reading it back, which is the runtime's (`dermedge_runtime.model.description`).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import preparation_of
from dermedge.models.branches.families import family_of
from dermedge.models.fusion import modalities
from dermedge.recipes.training_settings import RECIPE
from dermedge.training.head_training import recorded_trunk
from dermedge.training.made_pictures import SYNTHETIC
from dermedge.training.members import MEMBERS, Member, recorded_members
from dermedge.training.predictions import TRAINED_WEIGHTS, trained_networks
from dermedge.training.run import Run
from dermedge.training.shifted_weights import PRIOR_SHIFT, recorded_shift
from dermedge.training.start_weights import PRETRAINED
from dermedge.training.teachers import TEACHERS, recorded_teachers
from dermedge_runtime import __version__
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import METADATA_KEY, ImageSpec, ModelSpec
from dermedge_runtime.model.digest import BLANK, sealed

from .graph.ig_steps import checked_steps
from .graph.to_onnx import output_names

INTENDED_USE = "Research use only. Not a medical device, not for diagnosis."
NO_HEATMAP = (
    "There is no heat map: the image branch {branch} ends in capsules,"
    " and Grad-CAM is defined on cells that are pooled."
)


def describe(
    run: Run, precision: str, *, explain: bool = True, flavour: str = "cpu", ig_steps: int | None = None
) -> ModelSpec:
    """Make the description of a run's model file, without parity.

    :param explain: with the explanation outputs.
    :param flavour: one of `quantize.FLAVOURS`; used for INT8 alone.
    :param ig_steps: of the integrated gradients; see `checked_steps`.
    :raises UsageError: a number of steps that makes no sense, or for a file that has no integrated gradients.
    :raises DermedgeError: no weights yet, or damaged ones.
    """
    record, config, schema = run.record, run.config, run.schema
    reads, prepared = modalities(config.fusion), preparation_of(config).names
    members = recorded_members(run)
    configs = [member.config for member in members] or [config]
    settings = _settings(configs)
    without = _without_heatmap(configs)
    outputs = output_names(reads, explain=explain, heatmap=not without)
    return ModelSpec(
        classes=schema.classes,
        class_names=schema.class_names,
        fusion=config.fusion,
        precision=precision,
        outputs=outputs,
        flavour=flavour if precision == "int8" else "any",
        ig_steps=checked_steps(ig_steps, explains=explain, integrates="attribution" in outputs),
        image=_image(config) if reads.image else None,
        clinical=_clinical(run) if reads.clinical else ClinicalSchema(),
        weights_sha256=run.weights_sha256,
        training={
            "data": Path(config.data).name,
            "schema": schema.name,
            "columns": {"image": schema.table.image, **{entry.field.name: entry.column for entry in schema.fields}},
            "protocol": config.protocol,
            "images": {part: len(run.split.ids(part)) for part in ("train", "validation", "test")},
            "split_sha256": record["split_sha256"],
            "settings": settings,
            **({"prepared_in_graph": list(prepared)} if prepared and reads.image else {}),
            **({PRIOR_SHIFT: shift} if (shift := recorded_shift(run)) else {}),
            **({"image_branch": trunk} if (trunk := recorded_trunk(record)) else {}),
            **({"branch": _branch(config, record)} if reads.image and not members else {}),
            **({MEMBERS: _members(members, settings)} if members else {}),
            **({TEACHERS: taught} if (taught := _teachers(run)) else {}),
            **({SYNTHETIC: _made(record[SYNTHETIC])} if SYNTHETIC in record else {}),
            **({RECIPE: recipe} if (recipe := record.get(RECIPE)) else {}),
        },
        metrics=_metrics(run),
        no_heatmap=NO_HEATMAP.format(branch=" and ".join(without)) if explain and without else "",
        licence=schema.licence_of_weights,
        intended_use=INTENDED_USE,
        versions={
            "dermedge": __version__,
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "python": platform.python_version(),
        },
    )


def _without_heatmap(configs: Sequence[TrainConfig]) -> list[str]:
    """Names of the image branches that have no heat map."""
    read = dict.fromkeys(config.image_branch for config in configs if modalities(config.fusion).image)
    return [name for name in read if not family_of(name).heatmap]


def _settings(configs: Sequence[TrainConfig]) -> dict[str, Any]:
    """Give the settings that trainings share; not where the data lay, nor on what they were trained."""
    first, *others = [config.to_record() for config in configs]
    return {
        key: value
        for key, value in first.items()
        if key not in ("data", "device") and all(other[key] == value for other in others)
    }


def _members(members: Sequence[Member], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each network of an ensemble is, and its settings beyond those that all share."""
    described = []
    for member in members:
        own = {key: value for key, value in _settings([member.config]).items() if key not in shared}
        taught = _named(member.record[TEACHERS]) if TEACHERS in member.record else None
        branch = {} if not modalities(member.config.fusion).image else {"branch": _branch(member.config, member.record)}
        record = {key: value for key, value in member.record.items() if key != PRETRAINED}
        described.append({**record, **branch, **({TEACHERS: taught} if taught else {}), "settings": own})
    return described


def _branch(config: TrainConfig, record: Mapping[str, Any]) -> dict[str, str]:
    """Name of the network that reads the picture, and whose weights it started from, if others have trained them."""
    return {"name": config.image_branch, **record.get(PRETRAINED, {})}


def _teachers(run: Run) -> list[dict[str, Any]]:
    """The runs that taught this one, by the names of their folders: where those lie is nobody's business."""
    return _named(recorded_teachers(run))


def _made(synthetic: Mapping[str, Any]) -> dict[str, Any]:
    """Generated pictures, without the place where they lie."""
    return {key: value for key, value in synthetic.items() if key != "path"}


def _named(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": Path(record["path"]).name, **{key: value for key, value in record.items() if key != "path"}}
        for record in records
    ]


def _image(config: TrainConfig) -> ImageSpec:
    return ImageSpec(config.image_size, config.resample, detail=config.jpeg_detail)


def _clinical(run: Run) -> ClinicalSchema:
    """The fields, and what the trained network computes with where a value is unknown."""
    config, encoder = run.config, trained_networks(run).encoder
    assert encoder is not None
    return run.schema.clinical(config.protocol, config.unknown).with_imputed(encoder.imputed())


def _metrics(run: Run) -> dict[str, Any]:
    """Figures of the trained weights, where the run was evaluated before the export, without flips."""
    if not run.metrics_file.is_file():
        return {}
    try:
        record = json.loads(run.metrics_file.read_text(encoding="utf-8"))
        if record["weights_sha256"] != run.weights_sha256:
            return {}  # of earlier weights of this run
        if record.get("flips"):
            return {}  # not what the file gives for one picture
        return {"split": record["split"], **record["results"][TRAINED_WEIGHTS]}
    except (ValueError, KeyError, TypeError) as error:
        raise DermedgeError(f"{run.metrics_file} is damaged ({error}). Run `dermedge evaluate` again.") from error


def write_described(proto: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a graph with its description and digest; not atomic, so only to a path that nobody else sees."""
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=spec.to_json(digest=BLANK))
    proto.producer_name, proto.producer_version = "dermedge", __version__
    path.write_bytes(sealed(proto.SerializeToString(), path.name))
