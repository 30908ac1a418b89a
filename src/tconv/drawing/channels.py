"""Which input channels reach which output channels: one line per pair, group by group."""

from __future__ import annotations

from tconv.drawing.palette import hue
from tconv.drawing.shapes import Block, Rect, Shape, Stroke, Text, width_of
from tconv.geometry import Geometry

__all__ = ["channels"]

_MOST = 16
_PITCH, _DOT, _APART = 20, 12, 70


def channels(geometry: Geometry) -> Block | None:
    """The channels as two columns of dots, or nothing if there is only one pair, or too many to show."""
    counts = geometry.in_channels, geometry.out_channels
    if max(counts) > _MOST or counts == (1, 1):
        return None
    height = max(counts) * _PITCH
    sides = []
    for x, count in zip((_DOT / 2, _DOT / 2 + _APART), counts, strict=True):
        top = (height - count * _PITCH) / 2 + _PITCH / 2 + 22
        sides.append([(x, top + n * _PITCH) for n in range(count)])
    lines: list[Shape] = []
    dots: list[Shape] = []
    for group in range(geometry.groups):
        colour = f"{hue(group, geometry.groups)}.strong"
        first, second = (
            side[group * len(side) // geometry.groups : (group + 1) * len(side) // geometry.groups]
            for side in sides
        )
        lines += [Stroke(*one, *other, colour, 1.5) for one in first for other in second]
        dots += [
            Rect(x - _DOT / 2, y - _DOT / 2, _DOT, _DOT, colour, radius=_DOT / 2)
            for x, y in (*first, *second)
        ]
    groups = f", {geometry.groups} groups" if geometry.groups > 1 else ""
    title = f"channels {counts[0]} > {counts[1]}{groups}"
    width = max(_APART + _DOT, width_of(title, 12))
    return Block(width, height + 22, (Text(0, 7, title, 12, "muted", "start"), *lines, *dots))
