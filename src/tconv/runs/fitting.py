"""A run in a folder: started again after a kill it goes on, and ends equal to an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback

from tconv.errors import TconvError, clean
from tconv.files import check_file, make_folder
from tconv.models.state import load_plain
from tconv.runs.checkpoints import Movable, WholeFiles
from tconv.runs.ending import one_line
from tconv.runs.log import EpochLog, Row, note, progress_bar, quiet

__all__ = ["fit", "held"]


def held(out: Path) -> dict[str, Any] | None:
    """The settings of the run in `out`, or None where there is none.

    Raises:
        TconvError: last.ckpt is not a checkpoint of plain tensors and values with settings.
    """
    path = out / "last.ckpt"
    return None if not path.is_file() else dict(_read(path)["hyper_parameters"])


def fit(
    module: lightning.LightningModule,
    batches: Iterable[Any],
    out: Path,
    *,
    epochs: int,
    columns: Sequence[str],
    callbacks: Sequence[Callback] = (),
) -> tuple[Row, ...]:
    """Train `module` for `epochs`, from where the run in `out` is, and return its rows; see `EpochLog`.

    The module's hyperparameters are the run's settings. All that a step draws must come from them and the
    step's number, so that a resumed run draws the same; Lightning tells the sampler of `batches` the epoch.

    Raises:
        TconvError: the folder holds a run with other settings, or its checkpoint cannot be read.
    """
    path = make_folder(out) / "last.ckpt"
    log = EpochLog(out, columns)
    there = path.is_file()
    if there:
        _put_back(out, _read(path), module, log)
    if len(log.rows) >= epochs:
        return tuple(log.rows)
    if log.rows:
        note(f"{out}: goes on after epoch {len(log.rows)}")
    last = Movable(dirpath=out, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
    with quiet():
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            callbacks=[*callbacks, log, *progress_bar(), last],
            plugins=[WholeFiles()],
            logger=False,
            enable_progress_bar=bool(progress_bar()),
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        with one_line(trainer, lambda: f"stopped; the same command goes on from what is in {out}"):
            trainer.fit(module, batches, ckpt_path=path if there else None, weights_only=True)
    return tuple(log.rows)


def _put_back(out: Path, done: dict[str, Any], module: lightning.LightningModule, log: EpochLog) -> None:
    """Weights and rows of the run, if it is one of this module with these settings."""
    for name, value in module.hparams.items():
        old = done["hyper_parameters"].get(name)
        if old != value:
            raise TconvError(
                f"{out} holds a run with {name}={clean(old)}, not {clean(value)}; another --out would fit"
            )
    log.load_state_dict(done["callbacks"].get(log.state_key) or {})
    try:
        module.load_state_dict(done["state_dict"])
        whole = log.whole()
    except (RuntimeError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise TconvError(f"{out}/last.ckpt is not of such a run; another --out would fit")


def _read(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        content: Any = load_plain(path)
    except Exception as fault:  # the exceptions for files of other kinds cannot be listed
        raise TconvError(f"{path} is no checkpoint of plain tensors; another --out would fit") from fault
    parts = ("hyper_parameters", "state_dict", "callbacks")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in parts):
        raise TconvError(f"{path} is no checkpoint of a run; another --out would fit")
    return content
