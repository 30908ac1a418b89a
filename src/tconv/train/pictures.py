"""Pictures, from files to arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.files import check_file

__all__ = ["IGNORED", "read_picture", "read_pixels", "size_of", "to_channels"]

IGNORED = 255
"""The label of pixels that the loss and the measures ignore."""

Picture = npt.NDArray[np.float32]
Label = npt.NDArray[np.uint8]

_GRAY = ("1", "L", "LA")

# Rec. 601 luma, as in Pillow's own conversion to gray.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_pixels(
    path: Path, converted: Callable[[Any], Any] = lambda image: image
) -> tuple[str, npt.NDArray[Any]]:
    """The mode of a picture file and its pixels as an array, after ``converted`` was applied to the image.

    Raises:
        TconvError: the file is missing, empty, truncated or not a picture.
    """
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path) as image:
            return image.mode, np.asarray(converted(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise _unreadable(path, fault) from fault


def read_picture(path: Path) -> Picture:
    """Read a picture as float32 of shape (height, width, 1 or 3), black 0 and white 1.

    Gray files (8 or 16 bit) have one channel, all others three (RGB); an alpha channel is dropped.

    Raises:
        TconvError: the file is missing, empty, truncated or not a picture.
    """
    mode, pixels = read_pixels(path, _plain)
    white = 65535 if mode.startswith("I") else 255
    return pixels.reshape(*pixels.shape[:2], -1).astype(np.float32) / np.float32(white)


def size_of(path: Path) -> tuple[int, int, bool]:
    """Height, width and whether the picture is gray, from the file's header alone.

    Raises:
        TconvError: the file is missing, empty or not a picture.
    """
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path) as image:
            return image.height, image.width, image.mode in _GRAY or image.mode.startswith("I")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise _unreadable(path, fault) from fault


def to_channels(picture: Picture, channels: int) -> Picture:
    """Give a picture 1 or 3 channels: RGB becomes its luma (Rec. 601), gray is repeated.

    >>> to_channels(np.ones((2, 2, 3), np.float32), 1).shape
    (2, 2, 1)
    """
    if picture.shape[2] == channels:
        return picture
    if channels == 1:
        return (picture @ _LUMA)[:, :, None]
    return np.repeat(picture, channels, axis=2)


def _plain(image: Any) -> Any:
    """An image as gray of 8 or 16 bits, or as RGB."""
    return image if image.mode.startswith("I") else image.convert("L" if image.mode in _GRAY else "RGB")


def _unreadable(path: Path, fault: Exception) -> TconvError:
    if isinstance(fault, FileNotFoundError):
        return TconvError(f"{path}: no such picture")
    if path.is_file() and path.stat().st_size == 0:
        return TconvError(f"{path}: an empty file, not a picture")
    reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    return TconvError(f"{path}: not a readable picture ({reason})")
