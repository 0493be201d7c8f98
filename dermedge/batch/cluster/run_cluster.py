"""Many pictures on many machines: listed and joined here, answered by workers, their rows written here."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

from dermedge.batch.census import Census, take_census
from dermedge.batch.interruption import Interruption, interruption
from dermedge.batch.job import BatchJob
from dermedge.batch.progress_line import ProgressLine
from dermedge.batch.summary import Summary
from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands import command_line
from dermedge_runtime.commands.picture_files import STANDARD_INPUT
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError
from dermedge_runtime.files import refuse_overwriting

from .addresses import AddressWalk, fetch, is_address
from .incoming import Incoming, block_size, blocks_of
from .parts import Parts, check_place, open_parts
from .pool_size import GPU_DEVICES, PoolSize, pool_size
from .ray_errors import told
from .ray_start import LOCAL, joined_ray
from .worker import MadeOn, Task, table_of, tried

_log = logging.getLogger(__name__)
_TOLD = 10
"""Rejected pictures that are named as they come; the results name them all."""
_PATIENCE = 5.0
"""Seconds in which Ray may come to tell what a cluster has free."""


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """A batch, and where it runs."""

    job: BatchJob
    """Without its table."""
    table: str | None
    """Path or address of the table of patients."""
    out: str
    """Folder of the results, or its address."""
    ray: str
    """auto, local or HOST:PORT."""
    model: Path
    device: str

    def check(self) -> None:
        """See that the options make sense together.

        :raises UsageError: they do not.
        """
        if STANDARD_INPUT in self.job.inputs:
            raise UsageError("Standard input (-) does not go with --ray; save the picture to a file.")
        if self.job.report is not None:
            refuse_overwriting(self.job.report, [*self.job.inputs, *([] if self.table is None else [self.table])])
        for option, given in (("--overlays", self.job.overlays), ("--fhir", self.job.fhir)):
            if given is not None:
                raise UsageError(f"{option} writes beside the pictures' rows and does not go with --ray; leave it out.")
        check_place(self.out)


@dataclass(frozen=True, slots=True)
class _Model:
    """An open model as a person is told of it; on machines that this one is not."""

    spec: Any
    name: str
    sha256: str
    device: str
    provider: str
    provider_version: str
    hardware: str


@dataclass(slots=True)
class _Run:
    """What one call comes to."""

    wanted: ClusterJob
    job: BatchJob
    """With the table on this machine."""
    classifier: Classifier
    census: Census
    made_on: MadeOn
    summary: Summary
    asked: float
    """When the command was given, in seconds of the monotonic clock."""
    workers: set[str]

    def task(self, size: PoolSize) -> Task:
        """Give what workers are told."""
        job = self.wanted.job
        near = [name for name in job.inputs if not is_address(name)]
        here = str(Path.cwd()) if any(not Path(name).is_absolute() for name in near) else None
        folders = tuple(name for name in self.census.walk.left_out if not is_address(name))
        found = self.classifier
        return Task(job, found.name, found.sha256, self.made_on.device, size.threads, folders, here)

    def record(self) -> dict[str, Any]:
        """Give the counts, JSON-ready."""
        start = {"seconds_to_start": round(max(0.0, self.summary.begun - self.asked), 2)}
        return self.summary.to_record() | start | {"workers": len(self.workers)}


def run_cluster(wanted: ClusterJob, *, as_json: bool = False, show: Callable[[str], None] = command_line.show) -> int:
    """Answer all pictures of a job on a cluster, and print what it came to.

    :param as_json: print that as one JSON object.
    :return: the exit code: 0, 3 where a picture was rejected, 130 after Ctrl-C, 143 after SIGTERM.
    :raises UsageError: options that contradict each other, or other ones than the results were begun with.
    :raises InputRejected: no picture, or a table that cannot be used.
    :raises DeviceUnavailable: the cluster does not have the device.
    :raises DermedgeError: no cluster, a worker that fails, results that cannot be written.
    """
    asked = time.monotonic()
    wanted.check()
    with ExitStack() as stack:
        run = _begin(wanted, asked, stack)
        stopped = _work_and_report(run, stack)
        show(json.dumps(run.record()) if as_json else _closing(run, stopped))
        return stopped or (InputRejected.exit_code if run.summary.rejected else 0)


def _begin(wanted: ClusterJob, asked: float, stack: ExitStack) -> _Run:
    """Open the model, count the pictures and read the table; of the cluster no more than the device that is needed."""
    elsewhere = wanted.ray != LOCAL and wanted.device in ("auto", *GPU_DEVICES)
    classifier = Classifier(wanted.model, "cpu" if elsewhere else wanted.device)
    job = stack.enter_context(_table_here(wanted))
    job.check(classifier)
    census = take_census(job, classifier, AddressWalk(job.inputs, job.recursive))
    census.walk.require_each_once()
    made_on = MadeOn(classifier.device, classifier.provider, classifier.provider_version, classifier.hardware)
    run = _Run(wanted, job, classifier, census, made_on, Summary(classifier.spec), asked, set())
    if elsewhere:
        run.made_on = _tried(stack.enter_context(joined_ray(wanted.ray)), run)
    return run


def _work_and_report(run: _Run, stack: ExitStack) -> int:
    job, out = run.job, run.wanted.out
    settings = job.settings(run.classifier) | {"device": run.made_on.device, "--table": run.wanted.table}
    columns, earlier = job.result_columns(run.classifier), run.summary.add_earlier
    try:
        opening = open_parts(out, columns, settings, overwrite=job.overwrite, earlier=earlier)
        stopped = _work(run, stack.enter_context(opening), stack)
        if job.report is not None:
            _write_report(run, job.report)
    except OSError as error:
        raise DermedgeError(
            f"{shown(str(error.filename or out))} cannot be written: {error.strerror or error}. Once it can be, the"
            " same command goes on where it stopped."
        ) from error
    return stopped


@contextmanager
def _table_here(wanted: ClusterJob) -> Iterator[BatchJob]:
    """Give the job with its table, copied to this machine while the body runs where it lies at an address.

    :raises InputRejected: there is no such table.
    :raises DermedgeError: its address cannot be reached.
    """
    job, table = wanted.job, wanted.table
    if table is None or not is_address(table):
        yield replace(job, table=None if table is None else Path(table))
        return
    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        copy = Path(folder, table.rstrip("/").rpartition("/")[2])
        try:
            fetch(table, copy)
        except FileNotFoundError as error:
            raise InputRejected(f"There is no table {shown(table)}.") from error
        yield replace(job, table=copy)


def _tried(ray: Any, run: _Run) -> MadeOn:
    """Open the model on a machine of the cluster.

    :raises DermedgeError: it cannot be opened there.
    """
    nodes, device = ray.nodes(), run.wanted.device
    on_gpus = device in GPU_DEVICES or any(node["Alive"] and node["Resources"].get("GPU") for node in nodes)
    size = pool_size(nodes, on_gpus=on_gpus)
    task = replace(run.task(size), device=device)
    trial = ray.remote(num_cpus=size.cpus, num_gpus=size.gpus or None)(tried)
    try:
        found: MadeOn | DermedgeError = ray.get(trial.remote(task, run.wanted.model.read_bytes()))
    except Exception as error:
        raise told(error) from error
    if isinstance(found, DermedgeError):
        raise found
    return found


def _work(run: _Run, parts: Parts, stack: ExitStack) -> int:
    """Have everything answered that is not yet.

    :return: the exit code that a signal asks for; 0: it is all done.
    """
    summary, left = run.summary, run.census.files - run.summary.earlier
    if summary.earlier:
        _log.info("%s has %s rows already: going on.", shown(run.wanted.out), f"{summary.earlier:,}")
    files = (run.census.known(file) for file in run.census.walk if not parts.done.has(file.path, None))
    if (first := next(files, None)) is None:
        return 0
    ray = stack.enter_context(joined_ray(run.wanted.ray))
    stop = stack.enter_context(interruption())
    size = pool_size(ray.nodes(), on_gpus=run.made_on.device in GPU_DEVICES)
    kind = "GPU" if size.gpus else "CPU"
    if _in_use(ray, kind, min(1, size.gpus or size.cpus)):
        _log.warning("Every %s of the cluster is in use: the work begins once others have ended theirs.", kind)
    rest = (file for file in files if not stop)
    blocks = blocks_of(chain([first], rest), block_size(left, size))
    model = ray.put(run.wanted.model.read_bytes())
    incoming = Incoming(blocks, run.task(size), model, size, growing=run.wanted.ray != LOCAL)
    _take(run, parts, incoming, stop, left)
    return stop.exit_code if stop else 0


def _in_use(ray: Any, kind: str, needed: float) -> bool:
    """Say whether no CPU or GPU is left; Ray that has just started, or ended a task, tells late what it has."""
    until = time.monotonic() + _PATIENCE
    while ray.available_resources().get(kind, 0) < needed:
        if time.monotonic() >= until:
            return True
        time.sleep(0.1)
    return False


def _take(run: _Run, parts: Parts, incoming: Incoming, stop: Interruption, left: int) -> None:
    """Write and count the answers as they come; however that ends, what has come is in a part."""
    summary, progress = run.summary, ProgressLine(max(0, left))
    most = summary.rejected + _TOLD
    said: set[str] = set()
    try:
        for answer in incoming.answers(stop):
            if not run.workers:
                summary.begun = time.monotonic() - answer.seconds
            run.workers.add(answer.worker)
            for row in parts.append(table_of(answer.rows)):
                summary.add(row)
                if row["error"] and summary.rejected <= most:
                    progress.clear()
                    more = " More are only in the results." if summary.rejected == most else ""
                    _log.warning("%s%s", shown(str(row["error"])), more)
            for line in set(answer.said) - said:
                progress.clear()
                _log.warning("%s: %s", shown(answer.worker), shown(line))
            said |= set(answer.said)
            progress.add(answer.files)
    finally:
        progress.clear()
        parts.write()


def _write_report(run: _Run, path: Path) -> None:
    from dermedge.batch.summary_page import write_summary_page

    found, on = run.classifier, run.made_on
    model = _Model(found.spec, found.name, found.sha256, on.device, on.provider, on.provider_version, on.hardware)
    write_summary_page(path, run.summary, cast(Classifier, model))


def _closing(run: _Run, stopped: int) -> str:
    on, summary = run.made_on, run.summary
    kept = f"{shown(run.wanted.out)}: {summary.rows:,} rows"
    if stopped:
        kept += ", not all; the same command goes on where this one stopped"
    lines = [summary.text()]
    if run.workers:
        start = run.record()["seconds_to_start"]
        lines.append(
            f"  start-up   {start:,.1f} s before, for the list of pictures, Ray and {len(run.workers)} workers"
        )
    lines.append(kept)
    lines.append(
        f"{run.classifier.name} on {on.device} ({on.provider}, {on.provider_version}; {on.hardware}). "
        f"{run.classifier.spec.intended_use}"
    )
    return "\n".join(lines)
