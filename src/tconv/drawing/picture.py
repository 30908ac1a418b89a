"""A finished drawing: its shapes, its size, and its text description."""

from __future__ import annotations

from dataclasses import dataclass

from tconv.drawing.shapes import Block, Shape, label, stacked
from tconv.geometry import Geometry

__all__ = ["MARGIN", "Picture", "each", "framed", "sizes"]

MARGIN = 22


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes on paper of `width` x `height` pixels; `frames` follow one another every `seconds`."""

    title: str
    description: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    frames: tuple[tuple[Shape, ...], ...] = ()
    seconds: float = 0.7


def sizes(values: tuple[int, ...]) -> str:
    """Sizes of axes as in the spelling, `3x5`."""
    return "x".join(map(str, values))


def each(values: tuple[int, ...]) -> str:
    """As `sizes`, but one number where all axes have the same."""
    return str(values[0]) if len(set(values)) == 1 else sizes(values)


def framed(geometry: Geometry, headline: str, body: Block, notes: list[str]) -> Picture:
    """The body under its headline and the problem with its sizes, above its notes."""
    problem = f"{geometry}: input {sizes(geometry.input)}, output {sizes(geometry.output)}"
    parts = [
        stacked(label(headline, 16), label(problem, 12, "muted"), gap=3),
        body,
        stacked(*(label(note, 12, "muted") for note in notes), gap=2),
    ]
    page = stacked(*parts, gap=20)
    shapes, frames = page.moved(MARGIN, MARGIN)
    return Picture(
        title=f"{geometry}: {headline[0].lower()}{headline[1:]}",
        description=f"Input {sizes(geometry.input)}, output {sizes(geometry.output)}. " + " ".join(notes),
        width=round(page.width + 2 * MARGIN),
        height=round(page.height + 2 * MARGIN),
        shapes=shapes,
        frames=frames,
    )
