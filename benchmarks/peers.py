"""The same weights through torch, torch.compile, ONNX Runtime, OpenVINO and ours, in one run; what a prediction costs
at least; and, where a user has it, `yolo classify predict` as a whole process.

    pip install -e '.[bench]'
    python benchmarks/peers.py --run runs/cross_attention --image-size 256 --photographs FOLDER --out peers.json

Measures: batch 1 end to end from a JPEG file, throughput on a folder of 2,000 JPEG files (600 x 450, made from the
photographs, or --folder as it is), whole processes from a cold start. Every ratio is a peer's time over that of our
INT8 file, which explains as well; `difference` is the largest change of a probability against torch eager. Contenders
take turns, with pauses in which their idle threads stop spinning.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from floor import floor
from operations import count
from peer_files import calibration_feeds, make_files, write_photographs
from peer_networks import Peer, make_peers
from yolo_process import yolo_command

from dermedge.bench.bench import machine_record, take_turns
from dermedge.bench.cold import run_measured
from dermedge.tables import table
from dermedge.training.run import Run
from dermedge_runtime.files import write_json

_CHUNKS = 10
"""The folder is taken in turns, a part each, so that a machine that slows down slows all."""
_PACKAGES = ("dermedge", "numpy", "pillow", "onnxruntime", "torch", "openvino", "nncf", "ultralytics")


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        record = _compare(arguments, Path(name))
    if arguments.out:
        write_json(arguments.out, record)
    print(json.dumps(record, indent=2) if arguments.json else _text(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder with the weights; it is only read")
    parser.add_argument("--image-size", type=int, help="pixels; by default the run's")
    parser.add_argument("--photographs", type=Path, help="folder of JPEG files; by default generated pictures")
    parser.add_argument("--folder", type=Path, help="folder of JPEG files to classify as they are")
    parser.add_argument("--images", type=int, default=2000, help="files of the folder that is made")
    parser.add_argument("--rounds", type=int, default=30, help="turns at batch 1")
    parser.add_argument("--cold-rounds", type=int, default=7)
    parser.add_argument("--ghz", type=float, help="clock of the CPU; by default what the system tells")
    parser.add_argument("--int8-per-cycle", type=int, default=128, help="INT8 operations of one CPU in a cycle")
    parser.add_argument("--yolo", help="the yolo command; by default found on the path, or left out")
    parser.add_argument("--out", type=Path, help="where the JSON goes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args()


def _compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    files = make_files(Run.open(arguments.run), arguments.image_size, folder, _log)
    size = files.spec.image.size
    if arguments.folder:
        pictures = sorted(arguments.folder.glob("*.jpg"))
    else:
        _log(f"write {arguments.images} photographs")
        pictures = write_photographs(arguments.images, arguments.photographs, folder / "photographs")
    if len(pictures) < _CHUNKS:
        raise SystemExit(f"the folder needs at least {_CHUNKS} *.jpg, found {len(pictures)}")
    operations = {path.stem: count(path, _feed(files)) for path in (files.plain, files.int8)}
    on_paper = floor(operations["int8"], arguments.ghz, arguments.int8_per_cycle)
    peers, absent = make_peers(files, _log)
    commands = {peer.name: [*peer.cold, str(pictures[0])] for peer in peers if peer.cold}
    yolo = yolo_command(arguments.yolo, size, folder, pictures[0])
    if isinstance(yolo, str):
        absent["yolo classify predict"] = yolo
    else:
        commands["yolo classify predict (YOLO11n-cls, untrained)"] = yolo
    return {
        "machine": machine_record(),
        "versions": _versions(),
        "settings": {
            "image_size": size,
            "pictures": len(pictures),
            "photographs": "as they are" if arguments.folder else "real" if arguments.photographs else "generated",
            "rounds": arguments.rounds,
            "cold_rounds": arguments.cold_rounds,
        },
        "absent": absent,
        "largest_difference": _differences(peers, pictures[:32]),
        "one_ms": _one(peers, pictures[0], arguments.rounds),
        "folder_images_per_s": _folder(peers, pictures),
        "cold": _cold(commands, arguments.cold_rounds),
        "explanations_add_operations": operations["int8"].operations / operations["plain"].operations - 1,
        "floor": on_paper,
    }


def _feed(files: Any) -> dict[str, np.ndarray]:
    return {**calibration_feeds(files)[0], "target": np.full(1, -1, np.int32)}


def _differences(peers: Sequence[Peer], pictures: Sequence[Path]) -> dict[str, float]:
    """Largest change of a probability against torch eager: all must be computing the same."""
    found = {peer.name: peer.many(pictures) for peer in peers}
    expected = found.get("torch eager")
    if expected is None:
        return {}
    return {name: round(float(np.abs(values - expected).max()), 5) for name, values in found.items()}


def _one(peers: Sequence[Peer], picture: Path, rounds: int) -> dict[str, float]:
    _log("batch 1, end to end from the JPEG file")
    timed = take_turns({peer.name: partial(peer.one, picture) for peer in peers}, rounds)
    return {name: round(1000 * statistics.median(seconds), 3) for name, seconds in timed.items()}


def _folder(peers: Sequence[Peer], pictures: Sequence[Path]) -> dict[str, float]:
    _log(f"a folder of {len(pictures)} JPEG files")
    length = len(pictures) // _CHUNKS
    chunks = [pictures[i * length : (i + 1) * length] for i in range(_CHUNKS)]

    def action(peer: Peer) -> Any:
        turns = itertools.chain(chunks[-1:], chunks)  # the first to warm up
        return lambda: peer.many(next(turns))

    timed = take_turns({peer.name: action(peer) for peer in peers}, _CHUNKS, warm_up=1)
    return {name: round(length * _CHUNKS / sum(seconds), 1) for name, seconds in timed.items()}


def _cold(commands: dict[str, list[str]], rounds: int) -> dict[str, dict[str, float | None]]:
    _log("whole processes from a cold start")
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, float | None] = {}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            wall, peak = run_measured(command)
            if turn:  # the first turn fills caches, torch.compile's among them
                seconds[name].append(wall)
                peaks[name] = peak
    return {name: {"s": round(statistics.median(seconds[name]), 3), "peak_mb": peaks[name]} for name in commands}


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _text(record: dict[str, Any]) -> str:
    one, many, cold = record["one_ms"], record["folder_images_per_s"], record["cold"]
    ours = next(iter(one))
    rows = []
    for name in dict.fromkeys((*one, *cold)):
        row: list[Any] = [name, *["-"] * 6, record["largest_difference"].get(name, "-")]
        if name in one:
            row[1:5] = (
                f"{one[name]:.2f}",
                f"{one[name] / one[ours]:.2f}",
                f"{many[name]:.1f}",
                f"{many[ours] / many[name]:.2f}",
            )
        if name in cold:
            row[5:7] = f"{cold[name]['s']:.3f}", f"{cold[name]['s'] / cold[ours]['s']:.2f}"
        rows.append(row)
    head = ("", "one ms", "ratio", "images/s", "ratio", "cold s", "ratio", "difference")
    parts = [json.dumps(record[key]) for key in ("machine", "versions", "settings")]
    parts += ["", table(rows, head), ""]
    parts += [f"absent: {name}: {reason}" for name, reason in record["absent"].items()]
    parts += ["", f"explanations add {record['explanations_add_operations']:.1%} to the operations of a prediction"]
    return "\n".join([*parts, "", "floor " + json.dumps(record["floor"], indent=2)])


def _log(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
