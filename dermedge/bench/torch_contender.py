"""The trained weights in torch eager mode, as a contender of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dermedge.training.predictions import trained_networks
from dermedge.training.run import Run
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import read_model_file


def runs_of(models: Sequence[Path], run_path: Path | None, runs: Path) -> tuple[list[Run], list[str]]:
    """Find the runs that model files were made from, one for all files of the same weights.

    :param run_path: the run that was named, if any.
    :param runs: folder in which they are looked for otherwise.
    :return: the runs, and why others that were found cannot be run: the library of an image branch is not installed,
        say.
    :raises DermedgeError: the run that was named is not there or cannot be run.
    """
    if run_path is not None:
        return [Run.open(run_path)], []
    wanted = {read_model_file(path).spec.weights_sha256 for path in models}
    found: dict[str, Run] = {}
    absent = []
    for folder in sorted(runs.glob("*")):
        try:
            run = Run.open(folder)
            sha256 = run.weights_sha256
        except DermedgeError:
            continue
        if sha256 not in wanted or sha256 in found:
            continue
        try:
            trained_networks(run)
            found[sha256] = run
        except DermedgeError as error:
            absent.append(f"{run.path}: {error}")
    return list(found.values()), absent


class EagerModel:
    """A run's best weights behind the same arrays as a model file, channels-last, float32, on the CPU."""

    def __init__(self, run: Run) -> None:
        config, schema = run.config, run.schema
        self._model = trained_networks(run).to(memory_format=torch.channels_last)
        reads = self._model.modalities
        self.spec = ModelSpec(
            classes=schema.classes,
            class_names=schema.class_names,
            fusion=config.fusion,
            precision="fp32",
            image=ImageSpec(config.image_size, config.resample, detail=config.jpeg_detail) if reads.image else None,
            clinical=schema.clinical(config.protocol, config.unknown) if reads.clinical else ClinicalSchema(),
        )

    @torch.inference_mode()
    def run(
        self, image: NDArray[np.uint8] | None, numeric: NDArray[np.float32], categorical: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Map uint8 [B, H, W, 3], float32 [B, Nn], int32 [B, Nc] to probabilities float32 [B, classes]."""
        scaled = None if image is None else torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
        logits = self._model(scaled, torch.from_numpy(numeric), torch.from_numpy(categorical))
        probabilities: NDArray[np.float32] = torch.softmax(logits, dim=1).numpy()
        return probabilities

    def predict(self, path: Path, patient: Mapping[str, Any]) -> NDArray[np.float32]:
        """Read one picture and run it; float32 [classes]."""
        known = {name: value for name, value in patient.items() if name in self.spec.clinical.names}
        image = self.spec.image
        # A copy, because torch warns of arrays that it may not write to.
        pixels = None
        if image is not None:
            pixels = np.array(load_image(path, image.size, image.resample, image.detail))[None]
        probabilities: NDArray[np.float32] = self.run(pixels, *self.spec.clinical.encode([known]))[0]
        return probabilities
