"""Natural pictures for demos: those of scikit-image whose licence permits to show them.

They are inside scikit-image's package, so that nothing is downloaded. Each has a line that says where it is
from and under which licence, for the reports that show it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, unknown

__all__ = ["PICTURES", "credit", "gray", "picture"]

PICTURES: dict[str, str] = {
    "astronaut": "astronaut: Eileen Collins, by NASA; public domain",
    "brick": "brick: a brick wall, from CC0Textures; CC0",
    "camera": "camera: a cameraman, by Lav Varshney; CC0",
    "chelsea": "chelsea: a cat, by Stefan van der Walt; CC0",
    "coffee": "coffee: a cup at the Pikolo Espresso Bar, by Rachel Michetti; CC0",
    "coins": "coins: Greek coins from Pompeii, Brooklyn Museum; no known copyright restrictions",
    "grass": "grass: by linolafett on DeviantArt; CC0",
    "gravel": "gravel: from CC0Textures; CC0",
    "rocket": "rocket: the launch of DSCOVR, by SpaceX; public domain",
}
"""Name of a picture -> the line that credits it, as scikit-image's documentation states it."""


def picture(name: str) -> npt.NDArray[np.uint8]:
    """A picture as bytes: (h, w, 3) in colour, or (h, w) in gray.

    Raises:
        TconvError: there is no such picture, or scikit-image is not installed.
    """
    if name not in PICTURES:
        raise unknown("picture", name, PICTURES)
    try:
        from skimage import data
    except ImportError:
        raise TconvError(
            f"the picture {name!r} comes with scikit-image, which is not installed: "
            "pip install scikit-image==0.26.0"
        ) from None
    return np.asarray(getattr(data, name)(), np.uint8)


def gray(name: str) -> npt.NDArray[np.float32]:
    """A picture's luminance (ITU-R BT.601), (h, w), 0 to 1.

    Raises:
        TconvError: there is no such picture, or scikit-image is not installed.
    """
    found: npt.NDArray[Any] = picture(name) / np.float32(255)
    return found if found.ndim == 2 else found @ np.array([0.299, 0.587, 0.114], np.float32)


def credit(*names: str) -> str:
    """A sentence for a report that shows these pictures.

    >>> credit("coffee", "rocket")
    'Pictures of scikit-image. coffee: a cup at the Pikolo Espresso Bar, by Rachel Michetti; CC0. rocket: the
     launch of DSCOVR, by SpaceX; public domain.'
    """
    return " ".join(["Pictures of scikit-image.", *(f"{PICTURES[name]}." for name in names)])
