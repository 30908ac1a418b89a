"""The log of a segmentation run: its columns, and what is noted of an epoch and of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning

from tconv.documents import named
from tconv.runs.log import EpochLog, Row, note
from tconv.train.data import Split

__all__ = ["COLUMNS", "SegmentationLog", "told_of", "without"]

COLUMNS = ("epoch", "step", "train_loss", "val_loss", "val_pixel_accuracy", "val_mean_iou", "lr", "seconds")


class SegmentationLog(EpochLog):
    """Keeps which classes had no pixels in the validation split, too: a mean IoU is told with them."""

    def __init__(self, out: Path) -> None:
        super().__init__(out, COLUMNS)
        self.absent: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "absent": list(self.absent)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.absent = tuple(map(str, state_dict.get("absent") or ()))

    def line(self, row: Row) -> str:
        return (
            f"loss {row['train_loss']:.4f}  val loss {row['val_loss']:.4f}"
            f"  val mean IoU {row['val_mean_iou']:.4f}{without(self.absent)}"
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.absent = getattr(pl_module, "absent", ())
        super().on_train_epoch_end(trainer, pl_module)


def without(absent: Sequence[str]) -> str:
    """What a mean IoU is told with, where some classes have no pixels.

    >>> without(["road"])
    ' (no pixels of road)'
    """
    return f" (no pixels of {named(absent)})" if absent else ""


def told_of(split: Split) -> None:
    """Note what was left out of a split."""
    for line in getattr(split, "left_out", ()):
        note(line)
