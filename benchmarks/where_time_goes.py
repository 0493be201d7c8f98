"""Where does the time of a prediction go? Decoding, resizing, the graph by operators, Python; alone and in a folder.

    python benchmarks/where_time_goes.py --model models/cross_attention-int8.onnx --photographs FOLDER [--rounds 40]

Every part is timed in turn with all others on the same pictures, by the clock and by CPU time, which holds beside other
work where `--threads 1` is asked for. The parts are the runtime's own functions. `python` is what the whole takes
beyond its parts. `graph_phases_ms` splits the graph by ONNX Runtime's profile, whose own overhead is in it.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from cpu_turns import cpu_turns, medians_ms
from explain_cost import phases_ms
from peer_files import write_photographs

from dermedge.bench.bench import machine_record, patient_of, take_turns
from dermedge_runtime import Classifier
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.inputs.formats.jpeg_file import _decode, read_jpeg
from dermedge_runtime.inputs.formats.jpeg_whole import read_layout
from dermedge_runtime.inputs.image import RESAMPLING, load_image
from dermedge_runtime.inputs.kept_source import fingerprint, keep
from dermedge_runtime.inputs.patients import read_patient
from dermedge_runtime.inputs.picture_check import picture_faults
from dermedge_runtime.inputs.picture_rows import resize
from dermedge_runtime.inputs.picture_source import read_path
from dermedge_runtime.inputs.prepared_picture import prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, help="folder of JPEG files; by default generated pictures")
    parser.add_argument("--images", type=int, default=64, help="files of a folder")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder-rounds", type=int, default=7, help="0: no folder")
    parser.add_argument("--threads", type=int, help="CPU threads of the network; by default all")
    arguments = parser.parse_args()
    model = Classifier(arguments.model, "cpu", threads=arguments.threads)
    patient = patient_of(model.spec)
    with tempfile.TemporaryDirectory() as name:
        pictures = write_photographs(arguments.images, arguments.photographs, Path(name) / "photographs")
        parts = _parts(model, patient, pictures[0])
        turns = cpu_turns(parts, arguments.rounds)
        one, cpu = medians_ms(turns.wall), medians_ms(turns.cpu)
        feed = _feed(model, patient, pictures[:1])
        arrays = (feed["image"], feed["numeric"], feed["categorical"])
        record = {
            "machine": machine_record(),
            "image_size": model.spec.image.size,
            "one_picture_ms": {**one, "python": round(one["whole"] - _sum(one), 3)},
            "one_picture_cpu_ms": {**cpu, "python": round(cpu["whole"] - _sum(cpu), 3)},
            "share_of_cpu": {key: round(cpu[key] / cpu["whole"], 3) for key in cpu if key != "whole"},
            "graph_phases_ms": phases_ms(arguments.model, arrays, Path(name)),
            "operators_share": _operators(arguments.model, feed, Path(name)),
        }
        if arguments.folder_rounds:
            record["folder"] = _folder(model, patient, pictures, arguments.folder_rounds)
    print(json.dumps(record, indent=2))


def _sum(one: dict[str, float]) -> float:
    return sum(one[key] for key in one if key != "whole")


def _parts(model: Classifier, patient: dict[str, Any], picture: Path) -> dict[str, Callable[[], Any]]:
    image = model.spec.image
    content = picture.read_bytes()
    feed = _feed(model, patient, [picture])
    side = (image.size, image.size)

    def enough(_: tuple[int, int]) -> tuple[int, int]:
        return image.detail * image.size, image.detail * image.size

    layout, stored = read_layout(content), read_jpeg(content, enough)
    source = keep(picture)
    read = prepare(source, image)
    person = read_patient(model.spec.clinical, patient)
    outputs = model.run(feed["image"], feed["numeric"], feed["categorical"])
    return {
        "read the file": lambda: read_path(picture, picture.name),
        "see that the file is whole": lambda: read_layout(content),
        "decode": lambda: _decode(content, layout, round(layout.size[0] / stored.box[2])),
        "resize": lambda: np.asarray(resize(stored.image, side, RESAMPLING[image.resample], stored.box)),
        "remember what was seen": lambda: fingerprint(read.content, read.pixels, image),
        "look for faults": lambda: picture_faults(read.pixels, read.size),
        "encode the patient": lambda: read_patient(model.spec.clinical, patient),
        "graph": lambda: model.run(feed["image"], feed["numeric"], feed["categorical"]),
        "name the answer": lambda: model._result(outputs, 0, read, person, -1),
        "whole": lambda: model.predict(picture, **patient),
    }


def _feed(model: Classifier, patient: dict[str, Any], pictures: list[Path]) -> dict[str, np.ndarray]:
    image = model.spec.image
    pixels = np.stack([load_image(picture, image.size, image.resample, image.detail) for picture in pictures])
    numeric, categorical = model.spec.clinical.encode([patient] * len(pictures))
    target = np.full(len(pictures), -1, np.int32)
    return {"image": pixels, "numeric": numeric, "categorical": categorical, "target": target}


def _folder(model: Classifier, patient: dict[str, Any], pictures: list[Path], rounds: int) -> dict[str, float]:
    """Images a second: reading alone, the graph alone, one after the other, and as `predict_many` does."""
    batches = [_feed(model, patient, pictures[start : start + 8]) for start in range(0, len(pictures), 8)]

    def graph() -> None:
        for feed in batches:
            model.run(feed["image"], feed["numeric"], feed["categorical"])

    def one_after_the_other() -> None:
        for start in range(0, len(pictures), 8):
            feed = _feed(model, patient, pictures[start : start + 8])
            model.run(feed["image"], feed["numeric"], feed["categorical"])

    image = model.spec.image
    actions: dict[str, Callable[[], Any]] = {
        "read, one thread": lambda: [load_image(p, image.size, image.resample, image.detail) for p in pictures],
        "graph, batch 8": graph,
        "one after the other, batch 8": one_after_the_other,
        "one by one": lambda: [model.predict(picture, **patient) for picture in pictures],
        "predict_many": lambda: model.predict_many(pictures, patient),
    }
    timed = take_turns(actions, rounds, warm_up=1)
    return {name: round(len(pictures) / statistics.median(seconds), 1) for name, seconds in timed.items()}


def _operators(path: Path, feed: dict[str, np.ndarray], folder: Path) -> dict[str, float]:
    """Share of the graph's time by kind of operator, from ONNX Runtime's own profile."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = usable_cpus()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    for _ in range(30):
        session.run(None, {name: value for name, value in feed.items() if name in known})
    microseconds: Counter[str] = Counter()
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event["name"].endswith("_kernel_time"):
            microseconds[event["args"]["op_name"]] += event["dur"]
    total = sum(microseconds.values())
    return {name: round(spent / total, 3) for name, spent in microseconds.most_common(12)}


if __name__ == "__main__":
    main()
