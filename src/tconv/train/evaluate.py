"""Evaluation of a trained network on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning

from tconv.documents import Document, Item, Line, Section, Table, named, text
from tconv.errors import TconvError, clean
from tconv.runs.checkpoints import WholeFiles
from tconv.runs.log import progress_bar, quiet
from tconv.train.batches import WholePictures, whole_pictures
from tconv.train.checkpoint import load_segmenter
from tconv.train.data import Data, open_data
from tconv.train.log import told_of
from tconv.train.measures import Measures, measures
from tconv.train.module import Segmenter

__all__ = ["Evaluation", "evaluate"]


_ABSENT = "its IoU is 0 where it is predicted, else it is left out of the means."


@dataclass(frozen=True)
class Evaluation:
    """The result: ``confusion[i, j]`` pixels of class i were predicted as class j."""

    split: str
    pictures: int
    classes: tuple[str, ...]
    confusion: npt.NDArray[np.int64]

    @property
    def measures(self) -> Measures:
        """Accuracies and IoUs of the confusion matrix."""
        return measures(self.confusion)

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes that no pixel of the split belongs to."""
        return tuple(self.classes[index] for index in self.measures.absent)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a class that is neither present nor predicted has an IoU of None."""
        found = self.measures
        return {
            "split": self.split,
            "pictures": self.pictures,
            "pixel_accuracy": found.pixel_accuracy,
            "mean_accuracy": found.mean_accuracy,
            "mean_iou": found.mean_iou,
            "frequency_weighted_iou": found.frequency_weighted_iou,
            "iou": {
                name: None if iou != iou else iou for name, iou in zip(self.classes, found.iou, strict=True)
            },
            "classes": list(self.classes),
            "classes_without_pixels": list(self.absent),
            "confusion": self.confusion.tolist(),
        }

    def document(self) -> Document:
        """The measures, then the classes with their rows of the confusion matrix."""
        found = self.measures
        measured = (
            ("pixel accuracy", found.pixel_accuracy),
            ("mean accuracy", found.mean_accuracy),
            ("mean IoU", found.mean_iou),
            ("frequency-weighted IoU", found.frequency_weighted_iou),
        )
        told = (
            [Line(f"No pixel of {self.split} is labelled {named(self.absent)}: {_ABSENT}")]
            if self.absent
            else []
        )
        predicted = np.flatnonzero(self.confusion.sum(0))
        if len(predicted) == 1:
            told.append(Line(f"Only {clean(self.classes[predicted[0]], 40)} is predicted."))
        digits = max(5, len(str(self.confusion.max())))
        rows = [
            (name, f"{iou:.4f}", " ".join(f"{count:>{digits}}" for count in row))
            for name, iou, row in zip(self.classes, found.iou, self.confusion, strict=True)
        ]
        items: tuple[Item, ...] = (
            Table(
                "measures",
                ("measure", self.split),
                tuple((name, f"{value:.4f}") for name, value in measured),
                kinds=("name", "number"),
            ),
            Table(
                "classes",
                ("class", "IoU", "confusion (rows: truth; columns: prediction, same order)"),
                tuple(rows),
                kinds=("name", "number", "code"),
            ),
            *told,
        )
        return Document("", (Section("measures", "", items),))

    def __str__(self) -> str:
        """Both tables as text."""
        return text.render(self.document())


def evaluate(
    checkpoint: str | Path | Segmenter,
    data: str | Path | Data,
    *,
    split: str = "test",
    ignore: int | None = None,
    flips: bool = False,
) -> Evaluation:
    """Evaluate a checkpoint (or a network in memory) on one split, each picture whole and separately.

    ``ignore``: see `open_data`; None means what the checkpoint's run ignored. With ``flips`` the
    probabilities of a picture and of its mirror image are averaged.

    Raises:
        TconvError: the checkpoint, the data or the split does not fit; see `read_checkpoint` and `open_data`.
    """
    with quiet():
        segmenter = checkpoint if isinstance(checkpoint, Segmenter) else load_segmenter(checkpoint)
        if isinstance(data, str | Path):
            data = open_data(data, ignore=segmenter.hparams["ignore"] if ignore is None else ignore)
        elif ignore is not None:
            raise TconvError(f"ignore={ignore}: the data are open already; open_data takes it")
        theirs, ours = _kind(data.channels, data.classes), _kind(segmenter.in_channels, segmenter.classes)
        if theirs != ours:
            raise TconvError(f"data {data.name}: {theirs} do not fit the checkpoint, which has {ours}")
        pictures = data.split(split)
        told_of(pictures)
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            callbacks=progress_bar(),
            plugins=[WholeFiles()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=bool(progress_bar()),
            enable_model_summary=False,
        )
        batches = whole_pictures(WholePictures(pictures, segmenter.normalisation))
        segmenter.flips = flips
        try:
            trainer.test(segmenter, batches, verbose=False)
        finally:
            segmenter.flips = False
        confusion = segmenter.confusion.compute().numpy()
    return Evaluation(split, len(pictures), segmenter.classes, confusion)


def _kind(channels: int, classes: tuple[str, ...]) -> str:
    return f"{channels}-channel pictures of {', '.join(classes)}"
