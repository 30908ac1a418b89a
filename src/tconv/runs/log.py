"""The progress of a run: one row per epoch in log.csv, one line per epoch on stderr, a bar on a terminal."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback, RichProgressBar

from tconv.documents import Document, terminal
from tconv.errors import printable
from tconv.files import write_aside
from tconv.runs.processes import is_first

__all__ = ["EpochLog", "Row", "note", "progress_bar", "quiet", "tell"]

Row = dict[str, float]

# Advice that does not apply here: the loaders are reproducible on purpose, a run's folder is resumed
# on purpose, Lightning's logs between epochs are not used, and norms may be frozen.
_NOISE = (
    "does not have many workers",
    "Checkpoint directory .* exists and is not empty",
    "is smaller than the logging interval",
    "module.s. in eval mode at the start of training",
    "isinstance.treespec, LeafSpec.. is deprecated",
)
_LEVELS = {
    "pytorch_lightning": logging.WARNING,
    "lightning_fabric": logging.WARNING,
    # "Terminating process": its reason is raised, too.
    "torch.multiprocessing.spawn": logging.ERROR,
}


class EpochLog(Callback):
    """Keeps one row per finished epoch in the checkpoint, and writes log.csv from it.

    ``columns`` are the names of a row. "epoch" and "seconds", which every log has, "step" and "lr" are
    filled in here; the others are metrics that the module logs. The checkpoint is authoritative: after a
    kill the file is rewritten, so it never repeats or lacks an epoch.
    """

    def __init__(self, out: Path, columns: Sequence[str]) -> None:
        self.out, self.columns = out, tuple(columns)
        self.rows: list[Row] = []
        self._start = 0.0

    @property
    def state_key(self) -> str:
        return "tconv.EpochLog"

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rows: Any = state_dict.get("rows")
        self.rows = list(rows) if isinstance(rows, list) else rows

    def whole(self) -> bool:
        """Whether the rows are those of this log; another program may have written the file."""
        return isinstance(self.rows, list) and all(
            isinstance(row, dict)
            and row.keys() == set(self.columns)
            and all(type(value) in (int, float) for value in row.values())
            for row in self.rows
        )

    def line(self, row: Row) -> str:
        """What is noted of an epoch, between its number and its seconds."""
        return "  ".join(
            f"{name.replace('_', ' ')} {row[name]:.4f}"
            for name in self.columns
            if name not in ("epoch", "step", "lr", "seconds")
        )

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._start = time.perf_counter()
        if trainer.world_size > 1:
            # On SIGTERM Lightning finishes the step and notifies the other ranks, which hangs if all of them
            # get the signal. A run may be killed at any moment: the system's default is better.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not self.rows:
            # Written at the start, so that a resumed run has its settings even if no epoch finished.
            trainer.save_checkpoint(self.out / "last.ckpt")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = trainer.callback_metrics
        row: Row = {"epoch": trainer.current_epoch + 1}
        if "step" in self.columns:
            row["step"] = trainer.global_step
        row |= {name: float(found[name]) for name in self.columns if name in found}
        if "lr" in self.columns:
            row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = round(time.perf_counter() - self._start, 3)
        self.rows.append(row)
        self._start = time.perf_counter()
        if trainer.is_global_zero:
            self._write()
            epoch = f"epoch {row['epoch']}/{trainer.max_epochs}"
            note(f"{epoch}  {self.line(row)}  {row['seconds']:.1f} s")

    def _write(self) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns)
        table.writeheader()
        table.writerows(self.rows)
        with write_aside(self.out / "log.csv") as file:
            file.write(text.getvalue().encode())


def tell(document: Document) -> None:
    """Print a document on stderr, from the first of all processes only."""
    if is_first():
        terminal.show(document, sys.stderr)


def note(text: str) -> None:
    """Print one line on stderr, from the first of all processes only."""
    if is_first():
        print(printable(text), file=sys.stderr, flush=True)


def progress_bar() -> list[Callback]:
    """A progress bar on stderr if that is a terminal, otherwise none."""
    if not sys.stderr.isatty():
        return []
    return [Bar(refresh_rate=1, console_kwargs={"stderr": True})]


class Bar(RichProgressBar):
    """Counts epochs from 1, as the log does."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress Lightning's banners and advice for a while, but not its relevant warnings."""
    loggers = [logging.getLogger(name) for name in _LEVELS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        _silence()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _silence() -> None:
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    for message in _NOISE:
        warnings.filterwarnings("ignore", f".*{message}")


if multiprocessing.current_process().name != "MainProcess":
    # One of several processes: the `quiet` of the process that started it has no effect here.
    _silence()
