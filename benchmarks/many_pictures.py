"""What do tables, results files and overlays cost, and does memory stay flat? `dermedge infer FOLDER --out` measured.

    python benchmarks/many_pictures.py --pictures FOLDER [--model box] [--limit 1000] [--rounds 5] [--memory 100000]

Contenders take turns in one process, on the same open model and the same files: `predict_each` alone, which keeps
nothing; a results file; with a table; with the explanation's columns; with overlays. A row a contender: pictures a
second (median), and the median of its rate over that of `predict_each` in the same round. Then the same for numbers of
reading threads. `--memory N` copies the pictures by links into folders of 1,000 until there are N, and compares the
peak memory of whole processes for the first 1,000 and for all N.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from dermedge.batch.job import BatchJob
from dermedge.batch.run_batch import run_batch
from dermedge_runtime import Classifier, model_in_the_box, score


def linked(pictures: list[Path], folder: Path, count: int) -> Path:
    """Link pictures under new names, again and again, in folders of 1,000."""
    for number, picture in enumerate(islice(cycle(pictures), count)):
        place = folder / f"{number // 1000:04}" / f"{number:07}{picture.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(picture.resolve())
    return folder


def in_turns(contenders: dict[str, Callable[[], None]], count: int, rounds: int) -> None:
    """Print pictures a second, and the ratio to the first contender."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, work in contenders.items():
            begun = time.perf_counter()
            work()
            rates[name].append(count / (time.perf_counter() - begun))
    first = next(iter(rates.values()))[1:]
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found[1:], first, strict=True))
        print(f"| {name} | {statistics.median(found[1:]):.1f} | {ratio:.3f} |", flush=True)


def measure(classifier: Classifier, folder: Path, scratch: Path, rounds: int) -> None:
    """Compare all contenders on the pictures of a folder."""
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    table = scratch / "patients.csv"
    with table.open("w", newline="") as stream:
        rows = ((Path(name).name, number % 90, "male") for number, name in enumerate(files))
        csv.writer(stream).writerows([("image", "age", "sex"), *rows])

    def batch(name: str, **more: object) -> Callable[[], None]:
        def work() -> None:
            job = BatchJob((str(folder),), True, out=scratch / f"{name}.csv", overwrite=True, **more)  # type: ignore[arg-type]
            run_batch(job, classifier, show=lambda _: None)

        return work

    explained = {"explain": True, "overlays": scratch / "overlays"}
    print("| contender | pictures a second | ratio |\n|---|---|---|")
    contenders: dict[str, Callable[[], None]] = {
        "predict_each": lambda: sum(1 for _ in classifier.predict_each(files)) and None,
        "results in CSV": batch("plain"),
        "with a table": batch("table", table=table),
        "with explanations": batch("explained", explain=True),
        "with overlays": batch("overlays", **explained),
    }
    in_turns(contenders, len(files), rounds)
    print("\n| reading threads | pictures a second | ratio |\n|---|---|---|")

    def read_by(threads: int) -> Callable[[], None]:
        return lambda: sum(1 for _ in score(((name, None) for name in files), classifier, workers=threads)) and None

    in_turns({str(threads): read_by(threads) for threads in (2, 1, 3, 4)}, len(files), rounds)


def peak_memory(folder: Path, model: str, out: Path) -> tuple[float, float]:
    """Peak memory in MB and seconds of a whole process over a folder."""
    command = [sys.executable, "-m", "dermedge", "infer", str(folder), "--recursive", "--model", model]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--out", str(out), "--overwrite"], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        raise SystemExit(f"the command ended with {status}")
    return used.ru_maxrss / 1024, time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default="box", help="name of a model in the box")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=0)
    options = parser.parse_args()
    pictures = sorted(path for path in options.pictures.rglob("*.jpg"))
    with tempfile.TemporaryDirectory(prefix="dermedge-") as name:
        scratch = Path(name)
        classifier = Classifier(model_in_the_box(options.model), "cpu")
        print(f"{classifier.name} on {classifier.hardware}, {os.cpu_count()} CPUs\n")
        if options.limit:
            few = linked(pictures, scratch / "few", min(options.limit, len(pictures)))
            measure(classifier, few, scratch, options.rounds)
        if options.memory:
            print("\n| pictures | peak MB | seconds |\n|---|---|---|")
            for count in (1000, options.memory):
                folder = linked(pictures, scratch / f"{count}", count)
                memory, seconds = peak_memory(folder, options.model, scratch / f"{count}.csv")
                print(f"| {count:,} | {memory:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
