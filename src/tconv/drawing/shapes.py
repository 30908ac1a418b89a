"""The few shapes that every drawing consists of, and blocks of them that are arranged side by side.

Lengths are in pixels, y grows downwards, colours are names of `palette`.  A `Text` is placed by the middle of
its capital letters, so that a cell's centre centres it.  Text is ASCII, which every font has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

__all__ = [
    "Block",
    "Polygon",
    "Rect",
    "Shape",
    "Stroke",
    "Text",
    "arrow",
    "beside",
    "label",
    "stacked",
    "width_of",
]

Anchor: TypeAlias = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle from its upper left corner, filled, outlined or both."""

    x: float
    y: float
    width: float
    height: float
    fill: str | None = None
    stroke: str | None = None
    line: float = 1
    radius: float = 0

    def moved(self, dx: float, dy: float) -> Rect:
        """The same, elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A straight line; `dash` is the length of dashes and of the gaps between them, 0 for none."""

    x1: float
    y1: float
    x2: float
    y2: float
    stroke: str
    line: float = 1
    dash: float = 0

    def moved(self, dx: float, dy: float) -> Stroke:
        """The same, elsewhere."""
        return replace(self, x1=self.x1 + dx, y1=self.y1 + dy, x2=self.x2 + dx, y2=self.y2 + dy)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled polygon; with a `stroke` instead of a fill, an open line through its corners."""

    points: tuple[tuple[float, float], ...]
    fill: str | None = None
    stroke: str | None = None
    line: float = 1

    def moved(self, dx: float, dy: float) -> Polygon:
        """The same, elsewhere."""
        return replace(self, points=tuple((x + dx, y + dy) for x, y in self.points))


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text."""

    x: float
    y: float
    text: str
    size: float
    fill: str = "ink"
    anchor: Anchor = "middle"

    def moved(self, dx: float, dy: float) -> Text:
        """The same, elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


Shape: TypeAlias = Rect | Stroke | Polygon | Text


@dataclass(frozen=True, slots=True)
class Block:
    """Shapes within a width and a height; `frames` are what an animation shows on top, one after another."""

    width: float
    height: float
    shapes: tuple[Shape, ...] = ()
    frames: tuple[tuple[Shape, ...], ...] = ()

    def moved(self, dx: float, dy: float) -> tuple[tuple[Shape, ...], tuple[tuple[Shape, ...], ...]]:
        """Its shapes and frames, elsewhere."""
        return (
            tuple(shape.moved(dx, dy) for shape in self.shapes),
            tuple(tuple(shape.moved(dx, dy) for shape in frame) for frame in self.frames),
        )

    def indented(self, by: float) -> Block:
        """The same with empty room on its left."""
        shapes, frames = self.moved(by, 0)
        return Block(self.width + by, self.height, shapes, frames)


def beside(*blocks: Block, gap: float = 28) -> Block:
    """Blocks in a row, vertically centred."""
    height = max(block.height for block in blocks)
    places, x = [], 0.0
    for block in blocks:
        places.append((x, (height - block.height) / 2))
        x += block.width + gap
    return _joined(x - gap, height, blocks, places)


def stacked(*blocks: Block, gap: float = 16, centred: bool = False) -> Block:
    """Blocks one below the other, aligned left or centred."""
    width = max(block.width for block in blocks)
    places, y = [], 0.0
    for block in blocks:
        places.append(((width - block.width) / 2 if centred else 0.0, y))
        y += block.height + gap
    return _joined(width, y - gap, blocks, places)


def _joined(
    width: float, height: float, blocks: Sequence[Block], places: Iterable[tuple[float, float]]
) -> Block:
    # On whole pixels, where edges are sharp.
    moved = [block.moved(round(x), round(y)) for block, (x, y) in zip(blocks, places, strict=True)]
    animated = [frames for _, frames in moved if frames]
    return Block(
        width,
        height,
        tuple(shape for shapes, _ in moved for shape in shapes),
        tuple(tuple(shape for part in parts for shape in part) for parts in zip(*animated, strict=True)),
    )


# Widths of characters as fractions of the font's size; fonts differ, so this is a generous estimate.
_WIDTHS = dict.fromkeys("iljtfr.,:;|!'()[] ", 0.34) | dict.fromkeys("mwMW%@", 0.9)


def width_of(text: str, size: float) -> float:
    """The approximate width of `text`."""
    return size * sum(_WIDTHS.get(letter, 0.59) for letter in text)


def label(text: str, size: float = 13, fill: str = "ink") -> Block:
    """A line of text as a block."""
    return Block(width_of(text, size), size * 1.3, (Text(0, size * 0.65, text, size, fill, "start"),))


def arrow(length: float = 34, stroke: str = "muted") -> Block:
    """An arrow to the right."""
    return Block(
        length,
        12,
        (
            Stroke(0, 6, length - 7, 6, stroke, 2),
            Polygon(((length - 10, 1), (length, 6), (length - 10, 11)), stroke),
        ),
    )
