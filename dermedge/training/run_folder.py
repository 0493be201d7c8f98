"""The folder of one training run: its files, their names, and how they are written and removed.

`config.json` settings, versions, classes, the data set's schema · `split.csv` · `checkpoint.safetensors` everything
needed to go on · `weights.safetensors` the best weights · `history.csv` · `metrics.json`, `predictions.csv`
and `plots/` from `dermedge evaluate`. Not covered: reading a run back (`run`).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge.config import TrainConfig
from dermedge.data.splits import Split
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.files import require_folder_place, write_json, write_text
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
    def predictions_file(self) -> Path:
        """Every answer of the last evaluation."""
        return self.path / "predictions.csv"

    @property
    def plots(self) -> Path:
        """Plots of the last evaluation."""
        return self.path / "plots"

    def create(self, config: TrainConfig, split: Split, extra: dict[str, Any]) -> None:
        """Write settings and split; the settings last, because they make the folder a run."""
        split.save(self.split_file)
        record = {"settings": config.to_record(), "split_sha256": split.sha256, **extra}
        write_json(self.config_file, record)

    def check_places(self, data: Path | None = None) -> None:
        """See, before a training begins, that its files can have their names.

        :param data: the data folder, which is no place for a run.
        :raises UsageError: the run is to go into the data folder itself.
        :raises DermedgeError: a folder lies where a file goes, or a file where a folder goes.
        """
        if data is not None and self.path.resolve() == data.resolve():
            raise UsageError(f"{self.path} is the data folder, which is only read. Name another folder with --run.")
        require_folder_place(self.path, "the run")
        files = (self.config_file, self.checkpoint_file, self.weights_file, self.history_file, self.start_file)
        for path in (*files, self.split_file):
            if path.is_dir():
                raise DermedgeError(f"{path} is a folder, and a training writes a file there. Move the folder away.")

    def own_files(self) -> list[Path]:
        """Everything that training, evaluation and explanation have written here."""
        names = (
            *(self.config_file, self.checkpoint_file, self.weights_file, self.history_file, self.metrics_file),
            *(self.start_file, self.split_file, self.predictions_file),
            *(self.plots / f"{name}.png" for name in ("confusion_matrix", "roc", "precision_recall", "history")),
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

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Write one row per epoch."""
        out = io.StringIO()
        columns = list(dict.fromkeys(name for row in rows for name in row))  # later versions know more of an epoch
        writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_file, out.getvalue())
