"""The display of a Geometry and a Plan in a notebook; `tconv/__init__.py` attaches these functions."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from tconv.drawing import Picture, draw, svg
from tconv.drawing.picture import MARGIN, sizes
from tconv.drawing.shapes import Text, width_of
from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["geometry_svg", "plan_html"]

_INPUT = 4  # along an axis, of a problem too large to be drawn whole


def geometry_svg(geometry: Geometry) -> str | None:
    """The stamp of the problem, or of one with a smaller input where the whole is too large to show.

    None if neither can be drawn, so that the notebook shows the text.
    """
    for size in (max(geometry.input), _INPUT):
        try:
            smaller = replace(geometry, input=tuple(min(i, size) for i in geometry.input))
            picture = draw(smaller, "stamp")
        except TconvError:
            continue
        return svg(picture if smaller == geometry else _told(picture, geometry))
    return None


def _told(picture: Picture, whole: Geometry) -> Picture:
    """The picture of a part, with a line that names the whole."""
    line = f"Drawn with a smaller input. The whole is {whole}: output {sizes(whole.output)}."
    text = Text(MARGIN, picture.height - 6, line, 12, "muted", "start")
    return replace(
        picture,
        title=f"{whole}, drawn with a smaller input",
        description=f"{line} {picture.description}",
        width=max(picture.width, round(width_of(line, 12)) + 2 * MARGIN),
        height=picture.height + 16,
        shapes=(*picture.shapes, text),
    )


def plan_html(plan: object) -> str:
    """The table that `repr(plan)` prints, as HTML."""
    rows = (line.split(None, 1) for line in repr(plan).splitlines())
    cells = (
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{''.join(cells)}</table>"
