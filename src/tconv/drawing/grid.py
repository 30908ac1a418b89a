"""Cells in planes, numbered at their edges, and their contents: fills, numbers, hatching, windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt
from typing import Any, TypeAlias

import numpy as np

from tconv.drawing.scene import Cells
from tconv.drawing.shapes import Block, Rect, Shape, Stroke, Text, width_of

__all__ = ["LETTERS", "UNNUMBERED", "Grid", "Spans", "cell_size", "number", "played"]

Spans: TypeAlias = tuple[range, range, range]

_GAP = 1.5  # of paper between cells
_BETWEEN = 16  # planes
_NAME = 20  # of a plane, above it
_TITLE = 29  # above the cells: the title and the numbers of the columns
_COUNT = 8  # the size of the numbers of rows and columns
_APART = 15  # from one of these numbers to the next, at least
UNNUMBERED: Spans = (range(0), range(0), range(0))
LETTERS = 16  # the smallest cell that can be read
_ROUND = 10  # the smallest cell with rounded corners


def cell_size(columns: int, width: float = 760) -> float:
    """The side of a cell, given the number of cells in a row: 6 to 30 pixels."""
    return float(min(30, max(6, width // max(columns, 1))))


def number(value: Any) -> str:
    """A number in few characters: whole numbers in full, others to three digits."""
    if float(value) == int(value) and abs(value) < 1e5:
        return str(int(value))
    text = f"{float(value):.2g}" if abs(value) < 0.1 else f"{float(value):.3g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


class Grid:
    """Cells at the indices of three ranges, plane beside plane, with a title above.

    Rows and columns are numbered from the start of `numbered`, by default that of the cells.  An axis of one
    cell has no numbers, and small cells have only every second, fifth, tenth or twentieth.
    """

    def __init__(self, title: str, spans: Spans, cell: float, numbered: Spans | None = None) -> None:
        self.title, self.spans, self.cell = title, spans, cell
        self.numbered = spans if numbered is None else numbered
        self.every = next(n for n in (1, 2, 5, 10, 20) if n * cell >= _APART)
        planes, rows, columns = map(len, spans)
        self.across = ceil(sqrt(planes))
        down = ceil(planes / self.across)
        self.named = planes > 1
        #: The room for the numbers of the rows.
        self.left = max([4 + width_of(text, _COUNT) for text, _ in self._counts(1)], default=0.0)
        self.step = columns * cell + _BETWEEN, rows * cell + _BETWEEN + (_NAME if self.named else 0)
        self.width = self.left + max(self.across * self.step[0] - _BETWEEN, width_of(title, 12))
        self.height = _TITLE + down * self.step[1] - _BETWEEN

    @classmethod
    def sized(cls, title: str, shape: tuple[int, ...], cell: float, numbered: Spans | None = None) -> Grid:
        """A grid whose indices begin at 0."""
        first, second, third = map(range, shape)
        return cls(title, (first, second, third), cell, numbered)

    def block(self, *shapes: Shape, frames: tuple[tuple[Shape, ...], ...] = ()) -> Block:
        """The grid with these shapes on it."""
        heading: list[Shape] = [Text(self.left + _GAP / 2, 7, self.title, 12, "muted", "start")]
        for z in self.spans[0]:
            x, y = self.corner((z, self.spans[1].start, self.spans[2].start))
            if self.named:
                middle = x + len(self.spans[2]) * self.cell / 2
                heading.append(Text(middle, y - 20, f"plane {z}", 10, "muted"))
            half = self.cell / 2
            heading += [
                Text(x - 4, y + at + half, text, _COUNT, "muted", "end") for text, at in self._counts(1)
            ]
            heading += [Text(x + at + half, y - 6, text, _COUNT, "muted") for text, at in self._counts(2)]
        return Block(self.width, self.height, (*heading, *shapes), frames)

    def _counts(self, axis: int) -> list[tuple[str, float]]:
        """The numbers of the rows (axis 1) or columns (axis 2), and where their cells begin."""
        along, numbered = self.spans[axis], self.numbered[axis]
        if len(along) < 2:
            return []
        indices = enumerate(numbered)
        return [(str(n), (c - along.start) * self.cell) for n, c in indices if n % self.every == 0]

    def __iter__(self) -> Iterator[Cells]:
        """The indices, row by row."""
        planes, rows, columns = self.spans
        return ((z, y, x) for z in planes for y in rows for x in columns)

    def corner(self, index: Cells) -> tuple[float, float]:
        """The upper left corner of a cell; one past the end is fine within a plane."""
        z, y, x = (c - along.start for c, along in zip(index, self.spans, strict=True))
        down, across = divmod(z, self.across)
        top = _TITLE + (_NAME if self.named else 0)
        return self.left + across * self.step[0] + x * self.cell, top + down * self.step[1] + y * self.cell

    def fill(self, index: Cells, colour: str, text: str = "", ink: str = "ink") -> list[Shape]:
        """A filled cell, with text in it where it is large enough."""
        x, y = self.corner(index)
        side, radius = self.cell - _GAP, 2.5 if self.cell >= _ROUND else 0
        shapes: list[Shape] = [Rect(x + _GAP / 2, y + _GAP / 2, side, side, colour, radius=radius)]
        if text and self.cell >= LETTERS:
            size = min(0.42 * self.cell, 0.9 * side / max(width_of(text, 1), 0.1))
            shapes.append(Text(x + self.cell / 2, y + self.cell / 2, text, round(size, 1), ink))
        return shapes

    def hatch(self, index: Cells) -> list[Shape]:
        """Slanted lines over a cell, which continue over neighbouring cells."""
        x, y = self.corner(index)
        low, side = _GAP / 2, self.cell - _GAP
        left, top = x + low, y + low
        pitch = self.cell / max(2, round(self.cell / 6))
        lines: list[Shape] = []
        # Lines px + py = c, for every c a whole number of pitches from the grid's own corner.
        origin = self.left + _TITLE
        first = ceil((left + top - origin) / pitch - 1e-9)
        last = int((left + top - origin + 2 * side) / pitch + 1e-9)
        for n in range(first, last + 1):
            away = n * pitch - (left + top - origin)  # 0 .. 2 side
            near, far = max(0.0, away - side), min(side, away)
            if far - near > 0.5:
                lines.append(
                    Stroke(left + near, top + away - near, left + far, top + away - far, "hatch", 0.8)
                )
        return lines

    def window(
        self, low: Cells, high: Cells, stroke: str, line: float = 2.5, inset: float = 0
    ) -> list[Shape]:
        """Outlines around the cells from `low` up to, but without, `high`: one per plane."""
        shapes: list[Shape] = []
        for z in range(max(low[0], self.spans[0].start), min(high[0], self.spans[0].stop)):
            x, y = self.corner((z, low[1], low[2]))
            width, height = (high[2] - low[2]) * self.cell, (high[1] - low[1]) * self.cell
            radius = 3.5 if self.cell >= _ROUND else 0
            shapes.append(
                Rect(x + inset, y + inset, width - 2 * inset, height - 2 * inset, None, stroke, line, radius)
            )
        return shapes

    def dot(self, index: Cells, text: str, colour: str) -> list[Shape]:
        """Small text in the upper left corner of a cell that is large enough."""
        x, y = self.corner(index)
        if self.cell < 24:
            return []
        return [Text(x + 3, y + 6.5, text, 7.5, colour, "start")]

    def numbers(self, array: Any, colour: str, ink: str = "ink") -> list[Shape]:
        """Every cell of a grid that begins at 0, with its number."""
        return [
            shape
            for index in np.ndindex(*array.shape)
            for shape in self.fill((index[0], index[1], index[2]), colour, number(array[index]), ink)
        ]


def played(grid: Grid, frames: Sequence[Sequence[Shape]]) -> Block:
    """The grid with one frame after another; a single one is a still picture."""
    if len(frames) == 1:
        return grid.block(*frames[0])
    return grid.block(frames=tuple(map(tuple, frames)))
