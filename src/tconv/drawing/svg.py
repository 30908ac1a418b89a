"""Shapes as SVG: valid XML without scripts, the same bytes for the same drawing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from tconv.arguments import checked
from tconv.drawing.palette import Theme, colour
from tconv.drawing.picture import Picture
from tconv.drawing.shapes import Polygon, Rect, Shape, Stroke, Text

__all__ = ["svg"]

_FONT = "Aileron, Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
_BASELINE = 0.36  # of the font's size, from the middle of the capital letters down


@checked
def svg(picture: Picture, theme: Theme | None = None) -> str:
    """The picture as an SVG document; without a `theme`, the reader's preference decides.

    An animated picture plays by CSS; readers who prefer reduced motion see its last frame.
    """
    pen = _Pen(theme)
    body = [pen.draw(Rect(0, 0, picture.width, picture.height, "paper")), *map(pen.draw, picture.shapes)]
    frames = ["\n".join(map(pen.draw, frame)) for frame in picture.frames]
    # Unique names, for pages with several drawings.
    key = hashlib.sha256("".join([picture.title, *body, *frames]).encode()).hexdigest()[:8]
    for i, frame in enumerate(frames):
        seen = "visible" if i == len(frames) - 1 else "hidden"
        delay = f"animation-delay:{_number(i * picture.seconds)}s"
        body += [f'<g class="frame-{key}" visibility="{seen}" style="{delay}">', frame, "</g>"]
    width, height = _number(picture.width), _number(picture.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title-{key} desc-{key}" '
        f'font-family="{_FONT}">',
        f'<title id="title-{key}">{escape(picture.title)}</title>',
        f'<desc id="desc-{key}">{escape(picture.description)}</desc>',
    ]
    rules = pen.dark_rules() + _motion(picture, key)
    if rules:
        lines.append(f"<style>{''.join(rules)}</style>")
    return "\n".join([*lines, *body, "</svg>", ""])


def _motion(picture: Picture, key: str) -> list[str]:
    """Every frame is visible for its part of the cycle, each one a step later than the one before."""
    if not picture.frames:
        return []
    count = len(picture.frames)
    part, whole = _number(100 / count, 4), _number(count * picture.seconds)
    return [
        f"@keyframes show-{key}{{0%{{visibility:visible}}{part}%,100%{{visibility:hidden}}}}",
        f"@media (prefers-reduced-motion:no-preference){{.frame-{key}{{visibility:hidden;"
        f"animation:show-{key} {whole}s step-end infinite}}}}",
    ]


def _number(value: float, digits: int = 2) -> str:
    # Rounded twice, so that noise in the last digits of a float has no effect.
    return f"{round(round(value, 6), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")


class _Pen:
    """Writes shapes, and collects the colours that need another value in the dark theme."""

    def __init__(self, theme: Theme | None) -> None:
        self.theme = theme
        self.used: dict[str, str] = {}

    def draw(self, shape: Shape) -> str:
        match shape:
            case Rect():
                rounding = {"rx": shape.radius} if shape.radius else {}
                return self._element(
                    "rect",
                    shape.fill,
                    shape.stroke,
                    shape.line,
                    x=shape.x,
                    y=shape.y,
                    width=shape.width,
                    height=shape.height,
                    **rounding,
                )
            case Stroke():
                dashes = {"stroke-dasharray": shape.dash} if shape.dash else {}
                ends = {"x1": shape.x1, "y1": shape.y1, "x2": shape.x2, "y2": shape.y2}
                return self._element("line", None, shape.stroke, shape.line, **ends, **dashes)
            case Polygon():
                points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
                name = "polyline" if shape.fill is None else "polygon"
                return self._element(name, shape.fill, shape.stroke, shape.line, points=points)
            case Text():
                opening = self._element(
                    "text",
                    shape.fill,
                    None,
                    0,
                    x=shape.x,
                    y=shape.y + _BASELINE * shape.size,
                    **{"font-size": shape.size, "text-anchor": shape.anchor},
                )
                return f"{opening[:-2]}>{escape(shape.text)}</text>"

    def _element(self, name: str, fill: str | None, stroke: str | None, line: float, **more: Any) -> str:
        attributes = {key: _number(v) if isinstance(v, int | float) else v for key, v in more.items()}
        if stroke is not None:
            attributes["stroke-width"] = _number(line)
        classes = []
        for role, token in (("fill", fill), ("stroke", stroke)):
            if token is None:
                if role == "fill" and name != "line":
                    attributes["fill"] = "none"
                continue
            attributes[role] = colour(token, self.theme or "light")
            if self.theme is None:
                classes.append(f"{role}-{token.replace('.', '_')}")
                self.used[f".{classes[-1]}"] = f"{role}:{colour(token, 'dark')}"
        if classes:
            attributes["class"] = " ".join(classes)
        # Only tconv's own numbers and names: nothing to escape.
        written = " ".join(f'{key}="{value}"' for key, value in attributes.items())
        return f"<{name} {written}/>"

    def dark_rules(self) -> list[str]:
        if not self.used:
            return []
        rules: Iterable[str] = (f"{name}{{{rule}}}" for name, rule in sorted(self.used.items()))
        return ["@media (prefers-color-scheme:dark){", *rules, "}"]
