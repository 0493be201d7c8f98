"""Does a model file give the same answers on a CPU without VNNI? All outputs, here and emulated, by two programs.

    python benchmarks/int8_cpus.py --data DATA [--model FILE ...] [--pictures 200] [--cpu Haswell] [--out RESULT.json]

Needs `qemu-x86_64` (Debian: qemu-user), whose Haswell has AVX2 and no VNNI. Every file answers the same pictures and
patients four times: by this CPU and by the emulated one, through `dermedge_runtime` and through plain ONNX Runtime, as
another program would use it. Speed is not measured: an emulator says nothing about it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dermedge.data.samples import read_samples
from dermedge.data.schema_file import load_schema
from dermedge_runtime import model_in_the_box
from dermedge_runtime.devices.cpu_instructions import cpu_name, int8_arithmetic
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.model.model_file import read_model_file

ANSWER = """
import sys
import numpy as np
from dermedge_runtime import Classifier
import onnxruntime
model, feeds, program, target = sys.argv[1:]
given = dict(np.load(feeds))
rows = len(next(iter(given.values())))
answers = []
if program == "dermedge":
    classifier = Classifier(model, device="cpu")
    names = classifier.spec.outputs
    for i in range(rows):
        row = {name: value[i : i + 1] for name, value in given.items()}
        row = {"image": None, "numeric": np.zeros((1, 0)), "categorical": np.zeros((1, 0))} | row
        answers.append(classifier.run(**row))
else:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    inputs = {value.name for value in session.get_inputs()}
    for i in range(rows):
        row = {name: value[i : i + 1] for name, value in given.items()}
        row |= {"target": np.full(1, -1, np.int32)} if "target" in inputs else {}
        answers.append(dict(zip(names, session.run(names, row))))
np.savez(target, **{name: np.concatenate([answer[name] for answer in answers]) for name in names})
"""


def feeds(data: Path, schema: str, spec: ModelSpec, pictures: int) -> dict[str, np.ndarray]:
    """Inputs of photographs drawn at random, with what is known of their patients."""
    samples = read_samples(data, load_schema(schema))
    chosen = np.random.default_rng(0).choice(len(samples), pictures, replace=False)
    picked = [samples[index] for index in chosen]
    names = spec.clinical.names
    numeric, categorical = spec.clinical.encode([{n: s.clinical[n] for n in names if n in s.clinical} for s in picked])
    arrays = {"numeric": numeric, "categorical": categorical}
    if spec.image is not None:
        arrays["image"] = np.stack([load_image(s.path, spec.image.size, spec.image.resample) for s in picked])
    return {name: arrays[name] for name in spec.array_inputs}


def compare(model: Path, data: Path, schema: str, pictures: int, cpu: str) -> dict[str, dict[str, float]]:
    """Largest difference of every output between this CPU and the emulated one, and labels that change, by program."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "feeds.npz"
        np.savez(given, **feeds(data, schema, read_model_file(model).spec, pictures))
        for program in ("dermedge", "onnxruntime"):
            answers = []
            for prefix in ([], ["qemu-x86_64", "-cpu", cpu]):
                target = Path(folder) / f"{program}-{len(prefix)}.npz"
                command = [*prefix, sys.executable, "-c", ANSWER, *map(os.fspath, (model, given)), program, target]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                answers.append(dict(np.load(target)))
            here, there = answers
            labels = [answer["probabilities"].argmax(axis=1) for answer in answers]
            found[program] = {name: float(np.abs(here[name] - there[name]).max()) for name in here}
            found[program]["labels that change"] = int((labels[0] != labels[1]).sum())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--schema", default="ham10000")
    parser.add_argument("--model", type=Path, nargs="+", default=[model_in_the_box()])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--cpu", default="Haswell")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if shutil.which("qemu-x86_64") is None:
        sys.exit("qemu-x86_64 is not installed. On Debian: apt-get install qemu-user")
    record = {
        "cpu": f"{cpu_name()}, {int8_arithmetic()}",
        "emulated": arguments.cpu,
        "pictures": arguments.pictures,
        "largest differences": {
            model.name: compare(model, arguments.data, arguments.schema, arguments.pictures, arguments.cpu)
            for model in arguments.model
        },
    }
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
