"""The same weights through other runtimes, each written as its user would write it: defaults, no tuning.

A peer that cannot be had is absent with its reason. None of them explains; ours does, and OpenVINO where it runs our
INT8 file. Otherwise OpenVINO runs the plain ONNX file, as its own converter reads it, and NNCF's INT8 of that,
calibrated on the photographs that calibrate ours.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from peer_files import PeerFiles, calibration_feeds
from peer_scripts import ONNXRUNTIME, OPENVINO, TORCH, TORCH_COMPILE
from PIL import Image

from dermedge.bench.bench import patient_of
from dermedge.training.predictions import trained_model
from dermedge_export.graph.silenced_libraries import silenced
from dermedge_runtime import Classifier, Prediction
from dermedge_runtime.devices.usable_cpus import usable_cpus

_BATCH = 32
Network = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""uint8 [B, size, size, 3], float32 [B, Nn], int32 [B, Nc] -> probabilities float32 [B, classes]."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to classify photographs."""

    name: str
    one: Callable[[Path], np.ndarray]
    """A JPEG file to float32 [classes]."""
    many: Callable[[Sequence[Path]], np.ndarray]
    """JPEG files to float32 [N, classes]."""
    cold: Sequence[str] | None
    """A whole process, to which the path of a picture is appended; None: not a way of its own."""


def make_peers(files: PeerFiles, log: Callable[[str], None]) -> tuple[list[Peer], dict[str, str]]:
    """Open every peer that can be had, ours first; and the reasons of those that cannot."""
    peers = [
        _ours("dermedge INT8, explained", files.int8),
        _ours("dermedge INT8, not explained", files.int8_plain),
        _ours("dermedge FP32, explained", files.fp32),
    ]
    absent: dict[str, str] = {}
    makers: dict[str, Callable[[], tuple[Network, Sequence[str] | None]]] = {
        "onnxruntime FP32": partial(_onnxruntime, files),
        "torch eager": partial(_torch, files, channels_last=False),
        "torch eager, channels-last": partial(_torch, files, channels_last=True),
        "torch.compile": partial(_torch_compile, files),
        "OpenVINO": partial(_openvino, files.plain),
        "OpenVINO, kept in FP32": partial(_openvino, files.plain, precision="f32"),
        "OpenVINO + NNCF INT8": partial(_nncf, files),
        "OpenVINO, our INT8 file, explained": partial(_openvino, files.int8, script=False),
    }
    for name, maker in makers.items():
        log(f"open {name}")
        try:
            network, cold = maker()
            peer = _by_hand(name, network, files, cold)
            peer.one(files.calibration[0].path)
        except Exception as error:  # whatever stops a peer is its reason to be absent
            absent[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            continue
        peers.append(peer)
    return peers, absent


def _ours(name: str, path: Path) -> Peer:
    model = Classifier(path, "cpu")
    patient = patient_of(model.spec)

    def values(result: object) -> list[float]:
        assert isinstance(result, Prediction)
        return list(result.probabilities.values())

    return Peer(
        name,
        one=lambda picture: np.array(values(model.predict(picture, **patient)), np.float32),
        many=lambda pictures: np.array([values(r) for r in model.predict_many(pictures, patient)], np.float32),
        cold=[sys.executable, "-m", "dermedge", "infer", "--device", "cpu", "--model", str(path)],
    )


def _by_hand(name: str, network: Network, files: PeerFiles, cold: Sequence[str] | None) -> Peer:
    """Read pictures as everybody does, in a loop, a batch at a time."""
    size = files.spec.image.size
    numeric, categorical = files.spec.clinical.encode([patient_of(files.spec)])

    def read(picture: Path) -> np.ndarray:
        with Image.open(picture) as image:
            return np.array(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))

    def many(pictures: Sequence[Path]) -> np.ndarray:
        found = []
        for start in range(0, len(pictures), _BATCH):
            pixels = np.stack([read(picture) for picture in pictures[start : start + _BATCH]])
            rows = len(pixels)
            found.append(network(pixels, numeric.repeat(rows, 0), categorical.repeat(rows, 0)))
        return np.concatenate(found)

    return Peer(name, lambda picture: network(read(picture)[None], numeric, categorical)[0], many, cold)


def _onnxruntime(files: PeerFiles) -> tuple[Network, Sequence[str]]:
    session = onnxruntime.InferenceSession(files.plain)

    def run(pixels: np.ndarray, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        feed = {"image": pixels, "numeric": numeric, "categorical": categorical}
        return session.run(["probabilities"], feed)[0]

    return run, [sys.executable, "-c", ONNXRUNTIME, str(files.plain)]


def _forward(model: torch.nn.Module, memory_format: torch.memory_format) -> Network:
    @torch.inference_mode()
    def run(pixels: np.ndarray, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=memory_format)
        return torch.softmax(model(image, torch.from_numpy(numeric), torch.from_numpy(categorical)), 1).numpy()

    return run


def _torch(files: PeerFiles, *, channels_last: bool) -> tuple[Network, Sequence[str] | None]:
    torch.set_num_threads(usable_cpus())
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model = trained_model(files.run).to(memory_format=memory_format)
    # Only once as a whole process: the formats differ in the network alone.
    cold = [sys.executable, "-c", TORCH, str(files.run.path)] if channels_last else None
    return _forward(model, memory_format), cold


def _torch_compile(files: PeerFiles) -> tuple[Network, Sequence[str]]:
    model = torch.compile(trained_model(files.run).to(memory_format=torch.channels_last))
    return _forward(model, torch.channels_last), [sys.executable, "-c", TORCH_COMPILE, str(files.run.path)]


def _openvino(path: Path, precision: str | None = None, *, script: bool = True) -> tuple[Network, Sequence[str] | None]:
    """Open a file in OpenVINO, which by itself computes FP32 files in bfloat16 where the CPU has it.

    :param script: whether it is also measured as a whole process.
    """
    import openvino

    hints = {} if precision is None else {"INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.Core().compile_model(path, "CPU", hints)
    explains = len(compiled.outputs) > 1

    def run(pixels: np.ndarray, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        feed = {"image": pixels, "numeric": numeric, "categorical": categorical}
        if explains:
            feed["target"] = np.full(len(pixels), -1, np.int32)
        return compiled(feed)["probabilities"]

    return run, [sys.executable, "-c", OPENVINO, str(path)] if script and precision is None else None


def _nncf(files: PeerFiles) -> tuple[Network, Sequence[str] | None]:
    import nncf
    import openvino

    feeds = calibration_feeds(files)
    with silenced():
        quantized = nncf.quantize(openvino.Core().read_model(files.plain), nncf.Dataset(feeds), subset_size=len(feeds))
    openvino.save_model(quantized, files.openvino_int8)
    return _openvino(files.openvino_int8)
