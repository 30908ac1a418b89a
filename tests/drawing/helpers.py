"""What a drawing shows, read back from its shapes."""

from __future__ import annotations

from typing import NamedTuple

from tconv.drawing import Picture
from tconv.drawing.shapes import Polygon, Rect, Shape, Text
from tconv.geometry import Geometry

__all__ = ["PLANE", "PROBLEMS", "Cell", "cells", "inside", "outlines", "right_of_arrows", "texts"]

#: Shown to people, so looked at by tests: one of each kind.
PROBLEMS = (
    "n1 c1>1 i3x3 k3 s2",
    "n1 c1>1 i3x3 k4 s2 p1",
    "n1 c1>1 i4x4 k3 s2 p1 o1",
    "n1 c1>1 i2x2 k3",
    "n1 c1>1 i5 k4 s2 p1",
    "n1 c1>1 i3x3 k3 s3 d2",
    "n1 c1>1 i2x3 k2 s3",
    "n1 c1>1 i3x3 k4x3 s2 p0:1x1:2",
    "n1 c1>1 i2x3 k3 s2 p-1",
    "n1 c1>1 i4 k3 s2 p-1:2",
    "n1 c1>1 i2x2x2 k3 s2",
    "n1 c4>4 i3x3 k3 s2 g2",
)
PLANE = tuple(problem for problem in PROBLEMS if len(Geometry.parse(problem).input) < 3)


class Cell(NamedTuple):
    """A filled rectangle with the letters in its middle."""

    x: float
    y: float
    size: float
    fill: str
    text: str


def texts(picture: Picture) -> list[str]:
    return [shape.text for shape in picture.shapes if isinstance(shape, Text)]


def cells(shapes: tuple[Shape, ...]) -> list[Cell]:
    """Every filled square, the last drawn where several share a place, row by row."""
    found: dict[tuple[float, float], Cell] = {}
    letters = {(round(s.x, 3), round(s.y, 3)): s.text for s in shapes if isinstance(s, Text)}
    for shape in shapes:
        if isinstance(shape, Rect) and shape.fill is not None and shape.width == shape.height:
            x, y = shape.x + shape.width / 2, shape.y + shape.height / 2
            place = round(x, 3), round(y, 3)
            found[place] = Cell(x, y, shape.width, shape.fill, letters.get(place, ""))
    return sorted(found.values(), key=lambda cell: (round(cell.y, 3), round(cell.x, 3)))


def outlines(shapes: tuple[Shape, ...], stroke: str) -> list[Rect]:
    return [s for s in shapes if isinstance(s, Rect) and s.fill is None and s.stroke == stroke]


def inside(shapes: tuple[Shape, ...], frame: Rect) -> list[Cell]:
    """The cells within an outline."""
    return [
        cell
        for cell in cells(shapes)
        if frame.x < cell.x < frame.x + frame.width and frame.y < cell.y < frame.y + frame.height
    ]


def right_of_arrows(shapes: tuple[Shape, ...]) -> list[Cell]:
    """The cells right of the last arrow."""
    tip = max(max(x for x, _ in s.points) for s in shapes if isinstance(s, Polygon))
    return [cell for cell in cells(shapes) if cell.x > tip]
