"""One network, trained several times with different upsampling, and the results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.files import make_folder
from tconv.runs.log import note
from tconv.train.batches import TrainingPictures
from tconv.train.checkpoint import load_segmenter, read_checkpoint
from tconv.train.data import Data
from tconv.train.evaluate import Evaluation, evaluate
from tconv.train.measures import measures
from tconv.train.module import Segmenter
from tconv.train.pictures import IGNORED, Label, Picture
from tconv.train.predict import scores
from tconv.train.run import Run, fit
from tconv.train.settings import Settings, checked
from tconv.train.step_time import StepTime, step_times

__all__ = ["Comparison", "Filters", "Shown", "Variant", "compare"]

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """A picture of the test split, chosen to be shown."""

    name: str
    picture: Picture
    truth: Label


@dataclass(frozen=True)
class Filters:
    """The weights (from class, to class, k, k) of one upsampling layer, before and after learning."""

    layer: str
    before: Weights
    after: Weights


@dataclass(frozen=True)
class Variant:
    """One way of upsampling: its run, its measures on the test split, its labels of the shown pictures."""

    upsampling: str
    run: Run
    seconds: float
    parameters: int
    evaluation: Evaluation
    labels: tuple[Label, ...]
    filters: tuple[Filters, ...]
    step: StepTime

    def iou_of(self, index: int, shown: Shown) -> float:
        """Mean IoU on one of the shown pictures, over the classes that are present or predicted."""
        classes = len(self.evaluation.classes)
        counted = shown.truth != IGNORED
        pairs = shown.truth[counted].astype(np.int64) * classes + self.labels[index][counted]
        return measures(np.bincount(pairs, minlength=classes**2).reshape(classes, classes)).mean_iou


@dataclass(frozen=True)
class Comparison:
    """All variants, what they share, and the pictures to show."""

    data: Data
    settings: dict[str, Any]
    variants: tuple[Variant, ...]
    shown: tuple[Shown, ...]
    seconds: float


def compare(
    data: Data,
    out: Path,
    upsamplings: Sequence[str],
    *,
    pictures: int = 6,
    rounds: int = 12,
    go_on: bool = False,
    **given: Unpack[Settings],
) -> Comparison:
    """Train one run for each way of upsampling in `out`/NAME, and evaluate the best epoch of each on `test`.

    The test split is evaluated once per variant, after its training.  Training steps are timed for
    `rounds` rounds at the end, all variants in turns on the same batches.  Runs of an earlier comparison in
    the same folder are replaced; with `go_on`, those with the same settings are resumed.

    Raises:
        TconvError: as in `fit`.
    """
    start = time.perf_counter()
    checked(given, ranks=1)  # before anything of an earlier comparison is removed
    runs: dict[str, tuple[Run, float]] = {}
    for upsampling in upsamplings:
        note(f"training with {upsampling} upsampling")
        begun = time.perf_counter()
        settings: Settings = {**given, "upsampling": upsampling}
        folder = out / upsampling
        resume = go_on and _has_run(folder, settings)
        run = fit(data, folder if resume else _emptied(folder), resume=resume, **settings)
        spent = time.perf_counter() - begun
        # A resumed run was trained in earlier calls, too.
        runs[upsampling] = run, max(spent, sum(row["seconds"] for row in run.rows))
    test = data.split("test")
    chosen = np.unique(np.linspace(0, len(test) - 1, pictures).round().astype(int)).tolist()
    shown = tuple(Shown(test.names[i], *test[i]) for i in chosen)
    trained = {name: load_segmenter(run.best) for name, (run, _) in runs.items()}
    note("evaluating, and timing training steps")
    first = next(iter(trained.values()))
    used = {name: value for name, value in first.hparams.items() if name in Settings.__annotations__}
    training = TrainingPictures.of(data.split("train"), first.normalisation, used)
    times = step_times({name: s.network for name, s in trained.items()}, training, used["batch"], rounds)
    variants = tuple(
        Variant(
            upsampling=name,
            run=run,
            seconds=seconds,
            parameters=sum(p.numel() for p in trained[name].network.parameters()),
            evaluation=evaluate(trained[name], data, split="test"),
            labels=tuple(_labels(trained[name], each.picture) for each in shown),
            filters=_filters(trained[name]),
            step=times[name],
        )
        for name, (run, seconds) in runs.items()
    )
    return Comparison(data, used, variants, shown, time.perf_counter() - start)


def _has_run(folder: Path, settings: Settings) -> bool:
    """Whether the folder holds a run with these settings."""
    try:
        held = read_checkpoint(folder / "last.ckpt")["hyper_parameters"]
    except TconvError:
        return False
    return all(held[name] == value for name, value in checked(settings, ranks=1).items())


def _emptied(folder: Path) -> Path:
    """The folder of a run, cleared of the files of an earlier one."""
    make_folder(folder)
    for name in ("best.ckpt", "last.ckpt", "log.csv"):
        (folder / name).unlink(missing_ok=True)
    return folder


def _labels(segmenter: Segmenter, picture: Picture) -> Label:
    labels: Label = scores(segmenter, picture).argmax(0).numpy().astype(np.uint8)
    return labels


def _filters(segmenter: Segmenter) -> tuple[Filters, ...]:
    """The upsampling weights of a fresh network and of the trained one, in pairs."""
    fresh = dict(Segmenter(**segmenter.hparams).network.upsample.named_parameters())
    return tuple(
        Filters(name, fresh[name].detach().numpy(), weight.detach().numpy())
        for name, weight in segmenter.network.upsample.named_parameters()
        if weight.dim() == 4
    )
