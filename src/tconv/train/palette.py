"""One colour per class."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tconv.nets import UPSAMPLINGS
from tconv.runs import figures

__all__ = ["BLANK", "palette", "series"]

BLANK = ("background", "void", "unlabelled")
"""Names of classes that are drawn black, and not drawn in an overlay."""

# Hues that step by the golden angle stay far apart.
_GOLDEN = 0.618033988749895


def palette(classes: Sequence[str]) -> npt.NDArray[np.uint8]:
    """RGB colours of shape (classes, 3): a different one for each class, black for a background class.

    >>> palette(["background", "road"]).tolist()[0]
    [0, 0, 0]
    """
    colours = []
    for index, name in enumerate(classes):
        hue = (0.08 + index * _GOLDEN) % 1
        value = (0.95, 0.7, 0.85)[index % 3]
        rgb = (0.0, 0.0, 0.0) if name.lower() in BLANK else colorsys.hsv_to_rgb(hue, 0.75, value)
        colours.append([round(255 * part) for part in rgb])
    return np.array(colours, dtype=np.uint8)


def series(upsampling: str) -> str:
    """The CSS colour of a way of upsampling in a report, the same in every report."""
    return figures.series(UPSAMPLINGS.index(upsampling))
