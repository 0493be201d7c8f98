"""Compare model files, and the trained weights in torch, within one run.

The contenders take turns, so that a machine that slows down slows all of them; medians and 95th percentiles are given,
and ratios are what to quote. Measured: network only and end to end from a JPEG file, whole processes from a cold start
with their peak memory, file sizes. Not measured: energy, accuracy (that is `dermedge evaluate`'s).
"""

from __future__ import annotations

import datetime
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermedge.require import extras, how_to_install, missing_packages
from dermedge_runtime import __version__
from dermedge_runtime.classifier import Classifier
from dermedge_runtime.devices.cpu_instructions import cpu_name
from dermedge_runtime.devices.installed import versions
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import DeviceUnavailable, InputRejected
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ModelSpec

from .cold import cold_starts, model_names

if TYPE_CHECKING:
    from dermedge.training.run import Run

_log = logging.getLogger(__name__)
_WARM_UP = 3
_PAUSE_S = 0.05
"""Between turns: a contender's idle threads go on spinning after its run. After 5 ms they still do, and the next one
takes two to three times as long; after 50 ms every contender is as fast as alone."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of running the network."""

    name: str
    network: Callable[[int], Callable[[], Any]]
    """Prepare arrays for a batch of this size and give the action that runs them."""
    end_to_end: Callable[[], Any]
    """Run one picture from its file."""
    runs_on: Mapping[str, str]
    """Device, provider, its version and the hardware, as in a `Prediction`."""


def benchmark(
    models: Sequence[Path],
    devices: Sequence[str],
    batches: Sequence[int],
    *,
    image: Path | None = None,
    run_path: Path | None = None,
    runs: Path = Path("runs"),
    rounds: int = 30,
    cuda_graphs: bool = False,
    cold: bool = True,
) -> dict[str, Any]:
    """Measure every model on every device, and torch where it is installed and runs with the same weights are found.

    :param image: picture for the end-to-end figures; by default a generated JPEG of 600 x 450.
    :param cuda_graphs: a second contender with CUDA graphs for every device that has them.
    :param rounds: turns of every contender; batches of more than one get a fifth, at least 5.
    :return: a JSON-ready record with the machine, the versions, the settings and one row per measurement.
    :raises ModelFileError: a model file that cannot be used.
    :raises DeviceUnavailable: none of the devices can be had.
    """
    with _picture(image) as picture:
        contenders, absent = _model_contenders(models, devices, picture, cuda_graphs)
        for reason in absent.values():
            _log.info("left out: %s", reason)
        torch_runs = _find_runs(models, run_path, runs)
        contenders += [_torch_contender(name, run, picture) for name, run in torch_runs.items()]
        rows = []
        for batch in batches:
            _log.info("network only, batch %d", batch)
            turns = rounds if batch == 1 else max(5, rounds // 5)
            timed = take_turns({c.name: c.network(batch) for c in contenders}, turns)
            rows += [_row(name, "network", batch, seconds) for name, seconds in timed.items()]
        _log.info("end to end from the JPEG file")
        timed = take_turns({c.name: c.end_to_end for c in contenders}, rounds)
        rows += [_row(name, "end to end", 1, seconds) for name, seconds in timed.items()]
        cold_rows = []
        if cold:
            _log.info("whole processes from a cold start")
            cold_rows = cold_starts(models, devices, absent, picture, torch_runs)
        return {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": machine_record(),
            "versions": _versions(),
            "settings": {"rounds": rounds, "warm_up": _WARM_UP, "threads": usable_cpus(), "image": _image_name(image)},
            "absent": absent,
            "contenders": {c.name: c.runs_on for c in contenders},
            "results": rows,
            "cold": cold_rows,
            "files": {name: path.stat().st_size for path, name in model_names(models).items()},
        }


def _model_contenders(
    models: Sequence[Path], devices: Sequence[str], picture: Path, cuda_graphs: bool
) -> tuple[list[Contender], dict[str, str]]:
    contenders: list[Contender] = []
    absent: dict[str, str] = {}
    names = model_names(models)
    for device in devices:
        for path in models:
            try:
                classifier = Classifier(path, device)
            except DeviceUnavailable as error:
                absent[device] = str(error)
                break
            contenders.append(_contender(f"{names[path]} ({device})", classifier, picture))
            if cuda_graphs and PROVIDERS[device].graph_option:
                classifier = Classifier(path, device, cuda_graphs=True)
                contenders.append(_contender(f"{names[path]} ({device}, CUDA graphs)", classifier, picture))
    if not contenders:
        raise DeviceUnavailable(" ".join(absent.values()))
    return contenders, absent


def _contender(name: str, classifier: Classifier, picture: Path) -> Contender:
    spec = classifier.spec
    source = picture if spec.image is not None else None
    return Contender(
        name,
        network=lambda batch: partial(classifier.run, *_arrays(spec, picture, batch)),
        end_to_end=partial(classifier.predict, source, **patient_of(spec)),
        runs_on={
            "device": classifier.device,
            "provider": classifier.provider,
            "provider_version": classifier.provider_version,
            "hardware": classifier.hardware,
        },
    )


def patient_of(spec: ModelSpec) -> dict[str, Any]:
    """A patient with every value known: the middle of each range and the first word of each vocabulary."""
    numbers = {field.name: (field.minimum + field.maximum) / 2 for field in spec.clinical.numeric}
    return numbers | {field.name: field.vocabulary[0] for field in spec.clinical.categorical}


def _arrays(spec: ModelSpec, picture: Path, batch: int) -> tuple[Any, Any, Any]:
    pixels = None
    if spec.image is not None:
        pixels = np.stack([load_image(picture, spec.image.size, spec.image.resample, spec.image.detail)] * batch)
    return (pixels, *spec.clinical.encode([patient_of(spec)] * batch))


def _find_runs(models: Sequence[Path], run_path: Path | None, runs: Path) -> dict[str, Run]:
    """Find the runs whose weights torch is to run, by name; a line on the log says what is left out, and why.

    :raises DermedgeError: a run was named, and the packages that it needs are not installed.
    """
    if run_path is None and (missing := missing_packages("train")):
        _log.info("left out: torch; not installed: %s. %s", ", ".join(missing), how_to_install(missing, "train"))
        return {}
    with extras():
        from .torch_contender import runs_of
    found, absent = runs_of(models, run_path, runs)
    for reason in absent:
        _log.info("left out: torch; %s", reason)
    if not found and not absent:
        _log.info("left out: torch, because no run below %s has the weights of these files; name one with --run", runs)
    if len(found) == 1:
        return {"torch eager": found[0]}
    return {f"torch eager, {run.path.name}": run for run in found}


def _torch_contender(name: str, run: Run, picture: Path) -> Contender:
    import torch

    from .torch_contender import EagerModel

    torch.set_num_threads(usable_cpus())
    model = EagerModel(run)
    return Contender(
        name,
        network=lambda batch: partial(model.run, *_arrays(model.spec, picture, batch)),
        end_to_end=partial(model.predict, picture, patient_of(model.spec)),
        runs_on={
            "device": "cpu",
            "provider": "torch",
            "provider_version": f"torch {torch.__version__}",
            "hardware": cpu_name(),
        },
    )


def take_turns(
    actions: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = _WARM_UP
) -> dict[str, list[float]]:
    """Time actions in turn, each once per round; seconds by name."""
    for action in actions.values():
        for _ in range(warm_up):
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            time.sleep(_PAUSE_S)
            started = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _row(name: str, kind: str, batch: int, seconds: list[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "contender": name,
        "kind": kind,
        "batch": batch,
        "median_ms": round(1000 * median, 3),
        "p95_ms": round(1000 * float(np.percentile(seconds, 95)), 3),
        "images_per_second": round(batch / median, 1),
    }


@contextmanager
def _picture(image: Path | None) -> Iterator[Path]:
    if image is not None:
        if not image.is_file():
            raise InputRejected(f"Cannot read the image {image}: there is no such file.")
        yield image
        return
    from dermedge.data.synthetic_picture import picture

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.jpg"
        picture("mel", np.random.default_rng(0), 600, 450).save(path, quality=95)
        yield path


def _image_name(image: Path | None) -> str:
    return "generated JPEG, 600 x 450" if image is None else image.name


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "dermedge": __version__, **versions()}


def machine_record() -> dict[str, Any]:
    """Name the system and the CPU, and how many CPUs may be used of how many."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpus": usable_cpus(),
        "of": os.cpu_count(),
    }
