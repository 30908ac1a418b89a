"""The legend below an overlay: the classes that occur in it, in their colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tconv.errors import clean

__all__ = ["with_legend"]

Bytes = npt.NDArray[np.uint8]

SIZE, EDGE, GAP, ROW = 12, 10, 6, 18
"""In pixels: the letters, a coloured square, the gaps around both, and a row."""


def with_legend(picture: Bytes, names: Sequence[str], colours: npt.ArrayLike) -> Bytes:
    """A picture (height, width, 3) and, below it, rows of coloured squares with names, on white.

    The picture keeps its place at the top left; where it is narrower than a name, white fills the right.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(SIZE)
    texts = [clean(name, 40) for name in names]
    widths = [GAP + EDGE + GAP + int(np.ceil(font.getlength(text))) + GAP for text in texts]
    height, width = picture.shape[:2]
    full = max(width, *widths)
    places, left, row = [], 0, 0
    for wide in widths:
        if left + wide > full:
            left, row = 0, row + 1
        places.append((left, row))
        left += wide
    strip = Image.new("RGB", (full, (row + 1) * ROW), "white")
    draw = ImageDraw.Draw(strip)
    for text, colour, (left, row) in zip(texts, np.asarray(colours).tolist(), places, strict=True):
        x, y = left + GAP, row * ROW + (ROW - EDGE) // 2
        draw.rectangle((x, y, x + EDGE - 1, y + EDGE - 1), fill=tuple(colour), outline="black")
        draw.text((x + EDGE + GAP, y + EDGE // 2), text, fill="black", font=font, anchor="lm")
    canvas = np.full((height + strip.height, full, 3), 255, np.uint8)
    canvas[:height, :width] = picture
    canvas[height:] = np.asarray(strip)
    return canvas
