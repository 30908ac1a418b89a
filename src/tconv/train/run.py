"""One training run in a folder: best.ckpt, last.ckpt, log.csv; resumable after a kill, with equal result."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from tconv.errors import TconvError
from tconv.files import alone, make_folder, write_aside
from tconv.nets.efficientnet_lite import DEVIATION, MEAN
from tconv.runs import processes
from tconv.runs.checkpoints import Movable, WholeFiles
from tconv.runs.ending import one_line
from tconv.runs.log import Row, note, progress_bar, quiet, tell
from tconv.train.averaging import Averaging
from tconv.train.batches import Batches, TrainingPictures, WholePictures
from tconv.train.checkpoint import read_checkpoint
from tconv.train.data import Data, Kept, Split, open_data, statistics
from tconv.train.log import SegmentationLog, told_of
from tconv.train.module import Segmenter
from tconv.train.recipe import written
from tconv.train.settings import Settings, checked
from tconv.train.shares import check_shares, count

__all__ = ["Run", "fit"]

METRIC = "val_mean_iou"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its two checkpoints, and one row per epoch (the columns of log.csv)."""

    folder: Path
    rows: tuple[Row, ...]
    absent: tuple[str, ...] = ()
    """The classes without pixels in the validation split."""

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch with the highest mean IoU on the validation split."""
        return self.folder / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.folder / "last.ckpt"

    @property
    def best_row(self) -> Row:
        """The row of the epoch of best.ckpt."""
        return max(self.rows, key=lambda row: row[METRIC])


def fit(
    data: str | Path | Data,
    out: str | Path,
    *,
    resume: bool = False,
    init_from: str | Path | None = None,
    weights: str | Path | None = None,
    devices: int = 1,
    nodes: int = 1,
    callbacks: Sequence[Callback] = (),
    **given: Unpack[Settings],
) -> Run:
    """Train an FCN on the splits ``train`` and ``val`` of a data set; the folder ``out`` holds the run.

    ``resume`` continues after the last finished epoch with the run's own settings (only ``epochs`` may be
    raised) and ends, with the same number of threads, with the weights of an uninterrupted run. ``init_from``
    starts with the matching tensors of another checkpoint (a 32s for a 16s, a 16s for an 8s), ``weights``
    with a classifier's ("auto": of an installed package). The settings are kept in recipe.toml. ``devices``
    processes train on each of ``nodes`` machines, which are
    started by torchrun, see ``tconv train --help``. ``batch`` counts over all of them.

    Raises:
        TconvError: a setting, the data or a checkpoint does not fit, or the run's files cannot be written.
    """
    out = Path(out)
    ranks = processes.count(devices, nodes)
    with quiet(), contextlib.ExitStack() as held:
        was_there = out.is_dir()
        if was_there:
            _enter(out, held)
        done = read_checkpoint(out / "last.ckpt") if _goes_on(out, resume) else None
        data = _opened(data, given, done)
        splits = {name: data.split(name) for name in ("train", "val")}
        for split in splits.values():
            told_of(split)
        kept = {name: Kept(split) for name, split in splits.items()}
        if done is None:
            chosen = checked(given, ranks)
            _check_start(chosen, init_from, weights)
            segmenter = _fresh(data, splits["train"], chosen, init_from, weights)
        else:
            if init_from is not None or weights is not None:
                raise TconvError(
                    f"--resume {out}: the run has its own weights; --init-from and --weights start a new run"
                )
            segmenter = _again(data, done, given, ranks, out)
        log = SegmentationLog(out)
        if done is not None:
            held_rows = done.get("callbacks")
            if not isinstance(held_rows, dict) or not isinstance(held_rows.get(log.state_key), dict):
                raise TconvError(
                    f"--resume {out}: last.ckpt is not a run's last one, but a best.ckpt or the like"
                )
            log.load_state_dict(done["callbacks"][log.state_key])
            if not log.whole():
                raise TconvError(f"--resume {out}: last.ckpt holds no rows of a log")
        settings = segmenter.hparams
        if len(log.rows) >= settings["epochs"]:
            note(f"{out} has finished its {len(log.rows)} epochs already")
            return Run(out, tuple(log.rows), log.absent)
        shares = count(kept, data.classes)
        tell(shares.document())
        check_shares(shares, data, splits, settings["ignore"])
        make_folder(out)
        if not was_there:
            _enter(out, held)
            _goes_on(out, resume=False)  # another run may have made it meanwhile
        normal = segmenter.normalisation
        if done is None:
            _keep_recipe(out, dict(settings), weights)
        segmenter.weigh(shares.weights(settings["class_weights"]))
        training = TrainingPictures.of(kept["train"], normal, settings)
        batches = Batches(training, WholePictures(kept["val"], normal), batch=settings["batch"])
        averaging = [Averaging(settings["ema"])] if settings["ema"] else []
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=devices,
            num_nodes=nodes,
            strategy=_strategy(ranks),
            max_epochs=settings["epochs"],
            callbacks=[*averaging, log, *progress_bar(), *callbacks, *_checkpoints(out)],
            plugins=[WholeFiles()],
            logger=False,
            enable_progress_bar=bool(progress_bar()),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        with one_line(trainer, lambda: _stopped(log)):
            trainer.fit(segmenter, batches, ckpt_path=out / "last.ckpt" if done else None, weights_only=True)
    log.load_state_dict(read_checkpoint(out / "last.ckpt")["callbacks"][log.state_key])
    return Run(out, tuple(log.rows), log.absent)


def _opened(data: str | Path | Data, given: Settings, done: dict[str, Any] | None) -> Data:
    """The data, read as this run reads it: a run that goes on ignores what it ignored before."""
    ignore = given.get("ignore", done["hyper_parameters"]["ignore"] if done else None)
    if isinstance(data, str | Path):
        return open_data(data, ignore=ignore)
    if "ignore" in given:
        raise TconvError(f"ignore={ignore}: the data are open already; open_data takes it")
    return data


def _enter(out: Path, held: contextlib.ExitStack) -> None:
    """Keep other runs out of the folder; of processes that train together the first does it for all."""
    if processes.is_first():
        held.enter_context(alone(out))


def _fresh(
    data: Data,
    training: Split,
    settings: dict[str, Any],
    init_from: str | Path | None,
    weights: str | Path | None,
) -> Segmenter:
    if settings["backbone"] == "efficientnet-lite0":
        mean, deviation = [MEAN] * data.channels, [DEVIATION] * data.channels
    else:
        mean, deviation = statistics(training)
    described: dict[str, Any] = {
        "classes": list(data.classes),
        "in_channels": data.channels,
        "mean": mean,
        "deviation": deviation,
        "colours": [list(colour) for colour in data.colours] or None,
    }
    segmenter = Segmenter(**described, **settings)
    if weights is not None:
        note(f"{weights}: {segmenter.load_classifier(weights)}")
    if init_from is not None:
        note(f"{init_from}: {segmenter.load_other(read_checkpoint(init_from)['state_dict'])}")
    return segmenter


def _again(data: Data, done: dict[str, Any], given: Settings, ranks: int, out: Path) -> Segmenter:
    """The run's own network; settings repeated on the command line must equal those of the run."""
    old = done["hyper_parameters"]
    for name, value in given.items():
        if name != "epochs" and value != old[name]:
            raise TconvError(
                f"--resume {out}: it was started with {name}={old[name]}, not {value}; leave it out"
            )
    if list(data.classes) != old["classes"] or data.channels != old["in_channels"]:
        raise TconvError(
            f"--resume {out}: it was started on {len(old['classes'])} classes, not those of {data.name}"
        )
    settings = {name: old[name] for name in old if name in Settings.__annotations__}
    described = {name: old[name] for name in old if name not in settings}
    return Segmenter(**described, **checked({**settings, **given}, ranks))


def _check_start(settings: dict[str, Any], *sources: str | Path | None) -> None:
    if settings["freeze_norm"] and all(source is None for source in sources):
        raise TconvError(
            "freeze_norm=True: norms of random weights have no statistics to keep; with --weights or "
            "--init-from it would fit"
        )


def _keep_recipe(out: Path, settings: dict[str, Any], weights: str | Path | None) -> None:
    if processes.is_first():
        with write_aside(out / "recipe.toml") as file:
            file.write(f"{written(settings, None if weights is None else str(weights))}\n".encode())


def _goes_on(out: Path, resume: bool) -> bool:
    there = (out / "last.ckpt").is_file()
    if there and not resume:
        raise TconvError(f"{out} already holds a run; --resume continues it, another --out starts a new one")
    if resume and not there:
        note(f"{out} holds no run yet; starting one")
    return there


def _strategy(ranks: int) -> Any:
    if ranks == 1:
        return "auto"
    # Lightning uses torchrun's processes if there are any, and otherwise starts its own.
    method: Literal["popen", "spawn"] = "popen" if processes.by_torchrun() else "spawn"
    return DDPStrategy(process_group_backend="gloo", start_method=method)


def _checkpoints(out: Path) -> list[Callback]:
    """Best before last: after a kill between the two, that epoch is repeated and gives the same best."""
    common: dict[str, Any] = {
        "dirpath": out,
        "enable_version_counter": False,
        "save_on_train_epoch_end": True,
    }
    return [
        # A run resumes only from the last one: the best needs no optimiser, whose state is twice its size.
        Movable(filename="best", monitor=METRIC, mode="max", save_weights_only=True, **common),
        Movable(filename="last", **common),
    ]


def _stopped(log: SegmentationLog) -> str:
    if log.rows:
        return f"stopped; the finished epochs are in {log.out}, --resume continues from them"
    return f"stopped before the first epoch was finished; --resume starts {log.out} anew"
