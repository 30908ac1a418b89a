"""Shapes as pixels, by Pillow: PNG, and GIF for animations.

Everything is drawn larger and averaged down, so that lines and text are smooth.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.drawing.palette import Theme, colour
from tconv.drawing.picture import Picture
from tconv.drawing.shapes import Polygon, Rect, Shape, Stroke, Text
from tconv.errors import TconvError

__all__ = ["gif", "png"]

_FINER = 3  # each pixel is the mean of this many squared
_BASELINE = 0.36  # of the font's size, from the middle of the capital letters down
_MOST = 2**25  # pixels: 900 MiB while they are drawn
_LAST = 3.0  # how many times as long the last frame stays


@checked
def png(picture: Picture, theme: Theme = "light", scale: float = 2) -> bytes:
    """The picture as a PNG with `scale` pixels per unit; of an animation, the last frame."""
    canvas = _Canvas(picture, theme, scale)
    canvas.draw(picture.shapes)
    for frame in picture.frames[-1:]:
        canvas.draw(frame)
    about = _pillow("PngImagePlugin").PngInfo()
    about.add_text("Title", picture.title)
    about.add_text("Description", picture.description)
    out = io.BytesIO()
    canvas.picture().save(out, "PNG", optimize=True, pnginfo=about)
    return out.getvalue()


@checked
def gif(picture: Picture, theme: Theme = "light", scale: float = 1) -> bytes:
    """The picture as a GIF that plays in a loop; a single frame if nothing is animated."""
    canvas = _Canvas(picture, theme, scale)
    canvas.draw(picture.shapes)
    still = canvas.image.copy()
    frames = []
    for frame in picture.frames or ((),):
        canvas.image.paste(still)
        canvas.draw(frame)
        frames.append(canvas.picture())
    images = _in_one_palette(frames)
    times = [round(1000 * picture.seconds)] * len(images)
    times[-1] = round(_LAST * times[-1])
    moving = {"append_images": images[1:], "duration": times, "loop": 0} if len(images) > 1 else {}
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=len(images) > 1, optimize=False, disposal=1, **moving)
    return out.getvalue()


def _in_one_palette(frames: list[Any]) -> list[Any]:
    """Frames of at most 256 colours: frequent ones exact, the rest replaced by the nearest of these."""
    image = _pillow("Image")
    packed = [_packed(np.asarray(frame)) for frame in frames]
    colours, counts = np.unique(np.concatenate([codes.ravel() for codes in packed]), return_counts=True)
    kept = np.sort(colours[np.argsort(-counts, kind="stable")[:256]])
    nearest = np.array([np.argmin(((_rgb(kept) - _rgb(code)) ** 2).sum(-1)) for code in colours], np.uint8)
    palette = _rgb(kept).astype(np.uint8).ravel().tolist()
    result = []
    for codes in packed:
        indexed = image.fromarray(nearest[np.searchsorted(colours, codes)])
        indexed.putpalette(palette)
        result.append(indexed)
    return result


def _packed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    codes: npt.NDArray[np.int64] = red << 16 | green << 8 | blue
    return codes


def _rgb(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)


def _pillow(module: str) -> Any:
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
        import PIL.PngImagePlugin
    except ModuleNotFoundError:
        raise TconvError(
            "PNG and GIF need Pillow, which is not installed: pip install 'tconv[plot]'; SVG needs nothing"
        ) from None
    return getattr(PIL, module)


class _Canvas:
    """An image `_FINER` times as large as requested, and the shapes drawn on it."""

    def __init__(self, picture: Picture, theme: Theme, scale: float) -> None:
        pixels = picture.width * picture.height * scale * scale
        if not (scale > 0 and 1 <= pixels <= _MOST):
            raise TconvError(
                f"scale={scale} makes {pixels:.3g} pixels; a number that makes up to {_MOST:,} would fit"
            )
        self.theme = theme
        self.unit = scale * _FINER
        self.size = round(picture.width * scale), round(picture.height * scale)
        finer = self.size[0] * _FINER, self.size[1] * _FINER
        self.image = _pillow("Image").new("RGB", finer, colour("paper", theme))
        self.pen = _pillow("ImageDraw").Draw(self.image)
        self.fonts: dict[int, Any] = {}

    def picture(self) -> Any:
        return self.image.reduce(_FINER)

    def draw(self, shapes: Iterable[Shape]) -> None:
        for shape in shapes:
            match shape:
                case Rect():
                    self._rect(shape)
                case Stroke():
                    self._line(shape)
                case Polygon():
                    self._polygon(shape)
                case Text():
                    self._text(shape)

    def _colour(self, name: str | None) -> str | None:
        return None if name is None else colour(name, self.theme)

    def _rect(self, shape: Rect) -> None:
        # A stroke lies half inside and half outside, as in SVG; Pillow's lies inside, and its corner is the
        # last pixel, not the one after.
        out = shape.line / 2 if shape.stroke else 0.0
        sides = (
            shape.x - out,
            shape.y - out,
            shape.x + shape.width + out,
            shape.y + shape.height + out,
        )
        left, top, right, bottom = (round(self.unit * side) for side in sides)
        if right <= left or bottom <= top:
            return
        self.pen.rounded_rectangle(
            (left, top, right - 1, bottom - 1),
            radius=round(self.unit * (shape.radius + out if shape.radius else 0)),
            fill=self._colour(shape.fill),
            outline=self._colour(shape.stroke),
            width=max(1, round(self.unit * shape.line)),
        )

    def _line(self, shape: Stroke) -> None:
        width = max(1, round(self.unit * shape.line))
        start, end = np.array([shape.x1, shape.y1]), np.array([shape.x2, shape.y2])
        length = float(np.hypot(*(end - start)))
        dash = shape.dash or length
        for at in np.arange(0, length, 2 * dash) if length else ():
            pieces = [start + (end - start) * min(1.0, part / length) for part in (at, at + dash)]
            self.pen.line(
                [tuple(self.unit * piece) for piece in pieces], fill=self._colour(shape.stroke), width=width
            )

    def _polygon(self, shape: Polygon) -> None:
        points = [(self.unit * x, self.unit * y) for x, y in shape.points]
        if shape.fill is not None:
            self.pen.polygon(points, fill=self._colour(shape.fill))
        if shape.stroke is not None:
            width = max(1, round(self.unit * shape.line))
            self.pen.line(points, fill=self._colour(shape.stroke), width=width, joint="curve")

    def _text(self, shape: Text) -> None:
        size = max(1, round(self.unit * shape.size))
        if size not in self.fonts:
            self.fonts[size] = _pillow("ImageFont").load_default(size)
        place = self.unit * shape.x, self.unit * (shape.y + _BASELINE * shape.size)
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        self.pen.text(place, shape.text, font=self.fonts[size], fill=self._colour(shape.fill), anchor=anchor)
