"""Names of the colours in a drawing, in a row; and a scale of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tconv.drawing.shapes import Block, Rect, Shape, Stroke, Text, width_of

__all__ = ["legend", "scale"]

_CHIP = 13


def legend(entries: Iterable[tuple[str, str]]) -> Block:
    """(colour, name) pairs as chips; the colour "hatch" is drawn as hatching."""
    shapes: list[Shape] = []
    x = 0.0
    for colour, name in entries:
        if colour == "hatch":
            shapes.append(Rect(x, 0, _CHIP, _CHIP, "blank", radius=2.5))
            for n in (0.35, 0.7, 1.05, 1.4, 1.75):
                near, far = max(0.0, n - 1) * _CHIP, min(1.0, n) * _CHIP
                shapes.append(Stroke(x + near, far, x + far, near, "hatch", 0.8))
        else:
            shapes.append(Rect(x, 0, _CHIP, _CHIP, colour, "faint", 0.8, 2.5))
        shapes.append(Text(x + _CHIP + 6, _CHIP / 2, name, 12, "muted", "start"))
        x += _CHIP + 6 + width_of(name, 12) + 14
    return Block(x - 14, _CHIP, tuple(shapes))


def scale(
    colours: Callable[[float], str], low: float, high: float, ticks: Iterable[tuple[float, str]]
) -> Block:
    """A ramp from `low` to `high` with `ticks`, (value, text) pairs, upright."""
    steps, height, width = 40, 160.0, 14
    shapes: list[Shape] = []
    for n in range(steps):
        value = high + (low - high) * (n + 0.5) / steps
        # Each piece extends under the next; otherwise thin lines of paper would show between them.
        size = height - n * height / steps
        shapes.append(Rect(0, n * height / steps, width, size, colours(value)))
    widest = 0.0
    for value, text in ticks:
        y = height * (high - value) / (high - low)
        shapes.append(Stroke(width, y, width + 4, y, "muted"))
        shapes.append(Text(width + 8, y, text, 11, "muted", "start"))
        widest = max(widest, width_of(text, 11))
    return Block(width + 8 + widest, height, tuple(shapes))
