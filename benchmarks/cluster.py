"""What does Ray cost? The same pictures by `dermedge infer --out x.csv` and with `--ray local`, taking turns.

    python benchmarks/cluster.py FOLDER [--model box] [--rounds 3]

Pictures a second, without the time to start: of one process on all CPUs, and of one worker for each CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="box")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"one process": [], "Ray": []}
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        ways = {"one process": ("--out", f"{folder}/rows.csv"), "Ray": ("--out", f"{folder}/rows", "--ray", "local")}
        for turn in range(arguments.rounds):
            for name, options in ways.items():
                summary = run(arguments.folder, arguments.model, *options)
                rates[name].append(summary["pictures_per_second"])
                starts.append(summary.get("seconds_to_start"))
                print(f"{turn + 1}  {name:<12}{summary['pictures']:>8,} pictures {rates[name][-1]:>8.1f} a second")
    alone, ray = (statistics.median(rates[name]) for name in ways)
    start = statistics.median(each for each in starts if each is not None)
    print(f"medians: {alone:.1f} and {ray:.1f} a second, with Ray {ray / alone:.1%}; it starts in {start:.1f} s")


def run(folder: Path, model: str, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", "dermedge", "infer", str(folder), "--recursive", "--model", model]
    done = subprocess.run(
        [*command, "--device", "cpu", "--overwrite", "--json", *options], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
