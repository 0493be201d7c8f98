"""Keep trained weights with the project, and make runs of them again.

    python box/box.py keep RUN NAME          # box/NAME: settings, history, weights in files under 16 MB
    python box/box.py restore NAME --data DATA [--runs runs]      # runs/box-NAME, as it was trained

A restored run is one like any other: it can be exported, evaluated, and gone on from with `train --start-from`.
The split is made anew from the data and the seed, and its hash is compared: what was held back then is held back now.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from dermedge.config import TrainConfig
from dermedge.data.files.content_hashes import hash_file
from dermedge.data.ham10000 import read_samples
from dermedge.data.splits import make_split
from dermedge.training.checkpoint import read_tensors, record_in, save_weights
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.teachers import TEACHERS
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.files import write_json

HERE = Path(__file__).parent
LARGEST_FILE = 16 * 1000 * 1000


def keep(source: Path, target: Path) -> None:
    """Copy what a run is made of, without its split and the places of its data and teachers.

    :raises DermedgeError: no run there, or no weights.
    """
    run = Run.open(source)
    record: dict[str, Any] = json.loads(run.config_file.read_text(encoding="utf-8"))
    record["settings"]["data"] = ""
    for teacher in record.get(TEACHERS, []):
        teacher["path"] = Path(teacher["path"]).name
    record["weights_sha256"] = run.weights_sha256
    record["weights_about"] = record_in(run.weights_file)
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("weights-*.safetensors"):
        old.unlink()
    for number, part in enumerate(_parts(read_tensors(run.weights_file)), start=1):
        save_weights(target / f"weights-{number}.safetensors", part)
    write_json(target / "config.json", record)
    shutil.copy(run.history_file, target / "history.csv")


def _parts(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Cut weights into dictionaries that each make a file under `LARGEST_FILE`, in their order."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        bytes_of = tensor.numel() * tensor.element_size() + 200  # its line in the header
        if size + bytes_of > LARGEST_FILE:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += bytes_of
    return parts


def restore(source: Path, data: Path, folder: RunFolder) -> None:
    """Make a run of what was kept.

    :raises InputRejected: the data make another split.
    :raises DermedgeError: a run is there already, or nothing was kept under this name.
    """
    if not (source / "config.json").is_file():
        raise DermedgeError(f"Nothing is kept in {source}.")
    if folder.config_file.exists():
        raise DermedgeError(f"{folder.path} holds a run already. Move it away.")
    record: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    settings = record["settings"]
    split = make_split(read_samples(data), settings["protocol"], TrainConfig.from_record(settings).seed_of_split)
    if split.sha256 != record["split_sha256"]:
        raise InputRejected(
            f"The pictures in {data} make the split {split.sha256[:12]}; the model was trained on"
            f" {record['split_sha256'][:12]}. It takes the same rows of HAM10000, all of which benchmarks/LOG.md names."
        )
    settings["data"] = str(data.resolve())
    folder.path.mkdir(parents=True, exist_ok=True)
    split.save(folder.split_file)
    shutil.copy(source / "history.csv", folder.history_file)
    tensors: dict[str, Tensor] = {}
    for part in source.glob("weights-*.safetensors"):
        tensors |= read_tensors(part)
    save_weights(folder.weights_file, tensors, record.pop("weights_about", None))
    if hash_file(folder.weights_file) != record["weights_sha256"]:
        raise DermedgeError(f"The weights in {source} are not those that were kept. Check the repository out again.")
    write_json(folder.config_file, record)  # last: it makes the folder a run


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    kept = verbs.add_parser("keep")
    kept.add_argument("run", type=Path)
    kept.add_argument("name")
    restored = verbs.add_parser("restore")
    restored.add_argument("name")
    restored.add_argument("--data", type=Path, required=True)
    restored.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    if options.verb == "keep":
        keep(options.run, HERE / options.name)
    else:
        restore(HERE / options.name, options.data, RunFolder(options.runs / f"box-{options.name}"))


if __name__ == "__main__":
    try:
        main()
    except DermedgeError as error:
        sys.exit(f"box: {error}")
