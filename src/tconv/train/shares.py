"""The classes' shares of the pixels of each split, counted before training, and what they rule out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tconv.documents import Document, Section, Table, named
from tconv.errors import TconvError, clean
from tconv.train.data import Data, FolderSplit, Split
from tconv.train.pictures import IGNORED

__all__ = ["Shares", "check_shares", "count"]

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shares:
    """Pixels of each class in each split: ``counts[split][i]`` of class i, and last the ignored ones.

    ``around[split][i]``: the labelled pixels of the pictures that show class i.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, Counts]
    around: Mapping[str, Counts]

    def weights(self, kind: str) -> list[float] | None:
        """Weights of the classes in a loss: median frequency balancing of ``train``.

        A class's frequency is its share of the pixels of the pictures that show it, and its weight the median
        of the frequencies by its own (Eigen, Fergus 2015, section 6.3.2). "root": the square roots of these;
        "none": None. A class without pixels has weight 1.
        """
        if kind == "none":
            return None
        pixels, around = self.counts["train"][: len(self.classes)], self.around["train"]
        there = pixels > 0
        frequency = pixels[there] / around[there]
        weights = np.ones(len(self.classes))
        weights[there] = (np.median(frequency) / frequency) ** (0.5 if kind == "root" else 1.0)
        return [float(weight) for weight in weights]

    def document(self) -> Document:
        """A table of the classes' shares of all pixels, one column per split."""
        rows = [
            (name, *(_percent(found[index], found.sum()) for found in self.counts.values()))
            for index, name in enumerate((*self.classes, "(ignored)"))
        ]
        columns = ("share of pixels", *self.counts)
        table = Table("shares", columns, tuple(rows), kinds=("name", *["number"] * len(self.counts)))
        return Document("", (Section("shares", "", (table,)),))

    def absent(self, split: str) -> tuple[str, ...]:
        """The classes that no pixel of a split belongs to."""
        return tuple(name for name, n in zip(self.classes, self.counts[split], strict=False) if not n)


def count(splits: Mapping[str, Split], classes: tuple[str, ...]) -> Shares:
    """Read every picture and label once, so that a wrong one is reported now and not during the training."""
    counts, around = {}, {}
    for name, split in splits.items():
        bins, shown = np.zeros(IGNORED + 1, np.int64), np.zeros(len(classes), np.int64)
        for index in range(len(split)):
            found = np.bincount(split[index][1].ravel(), minlength=IGNORED + 1)
            bins += found
            shown += np.where(found[: len(classes)] > 0, found[: len(classes)].sum(), 0)
        counts[name] = np.append(bins[: len(classes)], bins[IGNORED])
        around[name] = shown
    return Shares(classes, counts, around)


def check_shares(shares: Shares, data: Data, splits: Mapping[str, Split], ignore: int | None) -> None:
    """Whether the labels can be learned from.

    Raises:
        TconvError: a class never occurs in ``train``, unless its index is ``ignore``; or more than half of a
            split's pixels are ignored, and neither ``ignore`` nor a colour says that this is meant.
    """
    absent = [name for name in shares.absent("train") if shares.classes.index(name) != ignore]
    if absent:
        raise TconvError(
            f"data {data.name}: no pixel of train is labelled {named(absent)};"
            f" {_fix(shares, splits['train'], shares.classes.index(absent[0]))}"
        )
    labelling = getattr(splits["train"], "labelling", None)
    if ignore is not None or (labelling is not None and labelling.pale):
        return
    for name, found in shares.counts.items():
        if 2 * found[-1] > found.sum():
            raise TconvError(
                f"data {data.name}: {_percent(found[-1], found.sum())} of the pixels of {name} are ignored;"
                f" {_fix(shares, splits[name], None)}"
            )


def _fix(shares: Shares, split: Split, absent: int | None) -> str:
    """What to change in the data: for the mistakes that the values in the labels give away."""
    number = len(shares.classes)
    leave_out = f"its line in classes.txt can go if it is the last, else --ignore {absent} leaves it out"
    if not isinstance(split, FolderSplit) or split.labelling.colours:
        return "remove its line from classes.txt" if absent is not None else "label more pixels"
    values = split.values()
    if values <= {0, IGNORED} and IGNORED in values and number == 2:
        first, second = (clean(name, 40) for name in shares.classes)
        return (
            f"{IGNORED} is ignored; if it is a class, the lines '{first} 0 0 0' and '{second} 255 255 255'"
            " in classes.txt say so"
        )
    if number in values and 0 not in values:
        return (
            f"the labels begin at 1, and {number} is ignored; one more name, before the first in classes.txt,"
            " and --ignore 0 would fit"
        )
    if number in values and split.labelling.ignore is None:
        meant = "" if absent is not None else f", and --ignore {number} says that it is meant"
        more = "one more name in classes.txt makes it a class"
        return f"{number}, the number of classes, is ignored; {more}{meant}"
    if absent is not None:
        return f"the labels hold {', '.join(map(str, sorted(values)[:12]))}; {leave_out}"
    return (
        f"if that is meant, --ignore {IGNORED} says so; for a class of {IGNORED}, give colours in classes.txt"
    )


def _percent(part: int, whole: int) -> str:
    share = 100 * part / max(1, whole)
    if not part:
        return "none"
    return f"{share:.1f} %" if share >= 0.1 else f"{share:.2g} %"
