"""What a drawing shows, read back from its shapes."""

from __future__ import annotations

from typing import NamedTuple

from tconv.drawing import Picture
from tconv.drawing.shapes import Polygon, Rect, Shape, Text

__all__ = ["Cell", "cells", "inside", "outlines", "right_of_arrows", "texts"]


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
