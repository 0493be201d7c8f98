"""The folder of one training run: its files, their names, and how they are read back.

`config.json` settings, versions, classes, the data set's schema · `split.csv` · `checkpoint.safetensors` everything
needed to go on · `weights.safetensors` the best weights · `history.csv` · `metrics.json` and `plots/` from
`dermedge evaluate`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import HAM10000
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema
from dermedge.data.schema_file import schema_from_record
from dermedge.data.splits import Split
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.files import write_json, write_text
from dermedge_runtime.files.temporary_files import remove_all_leftovers, remove_leftovers


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths below one run folder."""

    path: Path

    @property
    def config_file(self) -> Path:
        """Settings; its presence makes the folder a run."""
        return self.path / "config.json"

    @property
    def split_file(self) -> Path:
        """Which photograph belongs to which part."""
        return self.path / "split.csv"

    @property
    def checkpoint_file(self) -> Path:
        """State after the last whole epoch."""
        return self.path / "checkpoint.safetensors"

    @property
    def weights_file(self) -> Path:
        """Best weights so far."""
        return self.path / "weights.safetensors"

    @property
    def start_file(self) -> Path:
        """Weights that the training starts from, where it does not start from random ones."""
        return self.path / "start.safetensors"

    @property
    def features(self) -> Path:
        """Features of a frozen image branch."""
        return self.path / "features"

    @property
    def history_file(self) -> Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def metrics_file(self) -> Path:
        """Figures of the last evaluation."""
        return self.path / "metrics.json"

    @property
    def plots(self) -> Path:
        """Plots of the last evaluation."""
        return self.path / "plots"

    def create(self, config: TrainConfig, split: Split, extra: dict[str, Any]) -> None:
        """Write settings and split; the settings last, because they make the folder a run."""
        split.save(self.split_file)
        record = {"settings": config.to_record(), "split_sha256": split.sha256, **extra}
        write_json(self.config_file, record)

    def own_files(self) -> list[Path]:
        """Everything that training, evaluation and explanation have written here."""
        names = (
            *(self.config_file, self.checkpoint_file, self.weights_file, self.history_file, self.metrics_file),
            *(self.start_file, self.split_file),
            *(self.plots / f"{name}.png" for name in ("confusion_matrix", "roc", "history")),
            *(
                self.path / "explain" / name
                for name in ("gallery.png", "relevance.csv", "relevance.png", "explain.json")
            ),
            *self.features.glob("*-view*.f32"),
        )
        return [path for path in names if path.is_file()]

    def clear(self) -> None:
        """Remove the files of an earlier run; anything else in the folder stays."""
        for path in self.own_files():
            path.unlink(missing_ok=True)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove the temporary files that killed trainings of this run left behind."""
        for path in (self.checkpoint_file, self.weights_file, self.start_file, self.history_file, self.config_file):
            remove_leftovers(path, at_once=True)
        remove_all_leftovers(self.features)

    def record(self) -> dict[str, Any]:
        """Read `config.json`.

        :raises DermedgeError: no run here, or a file that is damaged.
        """
        if not self.config_file.is_file():
            raise DermedgeError(
                f"There is no training run in {self.path}. Run `dermedge train` first, or name one with --run."
            )
        try:
            record: dict[str, Any] = json.loads(self.config_file.read_text(encoding="utf-8"))
            TrainConfig.from_record(record["settings"])
            str(record["split_sha256"])
        except (ValueError, KeyError, TypeError) as error:
            raise DermedgeError(f"{self.config_file} is damaged ({error}). Train the run again.") from error
        return record

    def config(self) -> TrainConfig:
        """Read the settings.

        :raises DermedgeError: as `record`.
        """
        return TrainConfig.from_record(self.record()["settings"])

    def schema(self) -> DataSchema:
        """Read the schema of the data set.

        :raises DermedgeError: as `record`.
        """
        record = self.record()
        if "schema" not in record:
            return HAM10000  # runs from before there were schemas
        try:
            return schema_from_record(record["schema"], self.config_file.name)
        except InputRejected as error:
            raise DermedgeError(f"{self.config_file} is damaged ({error}). Train the run again.") from error

    def samples(self, data: Path | None = None, log: Callable[[str], None] = lambda line: None) -> list[Sample]:
        """Read the run's data set, with its own schema and its own choice about missing images.

        :param data: where the data lie by now; by default where they lay for the training.
        :param log: learns of rows that are left out.
        :raises DermedgeError: as `schema`.
        :raises InputRejected: as `read_samples`.
        """
        record = self.record()
        trained_on = record["settings"]["data"]
        folder = data or (Path(trained_on) if trained_on else None)
        allow = bool(record.get("allow_missing_images"))
        return read_samples(folder, self.schema(), allow_missing_images=allow, log=log)

    def split(self) -> Split:
        """Read the split and check it against the hash of the settings.

        :raises DermedgeError: missing or changed since the training.
        """
        record = self.record()
        try:
            split = Split.load(self.split_file, record["settings"]["protocol"])
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise DermedgeError(f"{self.split_file} cannot be read ({error}). Train the run again.") from error
        if split.sha256 != record["split_sha256"]:
            raise DermedgeError(
                f"{self.split_file} was changed after the training. Restore it, or train the run again."
            )
        return split

    def weights_sha256(self) -> str:
        """Hash of the best weights.

        :raises DermedgeError: the run has none yet.
        """
        if not self.weights_file.is_file():
            raise DermedgeError(
                f"The run in {self.path} has no weights yet. Let `dermedge train` finish an epoch first."
            )
        return hashlib.sha256(self.weights_file.read_bytes()).hexdigest()

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Write one row per epoch."""
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_file, out.getvalue())
