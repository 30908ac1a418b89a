"""Pictures and labels, from files to arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.files import check_file

__all__ = ["IGNORED", "read_label", "read_picture", "size_of", "to_channels"]

IGNORED = 255
"""The label of pixels that the loss and the measures ignore."""

Picture = npt.NDArray[np.float32]
Label = npt.NDArray[np.uint8]

# Rec. 601 luma, as in Pillow's own conversion to gray.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_picture(path: Path) -> Picture:
    """Read a picture as float32 of shape (height, width, 1 or 3), black 0 and white 1.

    Gray files (8 or 16 bit) have one channel, all others three (RGB); an alpha channel is dropped.

    Raises:
        TconvError: the file is missing, empty, truncated or not a picture.
    """
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.float32)[:, :, None] / np.float32(65535)
            gray = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise _unreadable(path, fault) from fault
    return pixels.reshape(*pixels.shape[:2], 1 if gray else 3) / np.float32(255)


def read_label(path: Path, classes: int) -> Label:
    """Read a label picture: uint8 class indices of shape (height, width), `IGNORED` for ignored pixels.

    In the file a pixel is an index below ``classes``; ``classes`` itself and 255 both mean *ignored*.

    Raises:
        TconvError: the file is not a gray or palette picture, or holds another value (named, with its
            position).
    """
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise _unreadable(path, fault) from fault
    if values.ndim != 2:
        raise TconvError(f"{path}: a label has one class index per pixel (gray or palette), this is {mode}")
    wrong = (values > classes) & (values != IGNORED)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise TconvError(
            f"{path}: label {values[row, column]} at row {row}, column {column} is outside the"
            f" {classes} classes; 0 to {classes - 1} fit, {classes} and {IGNORED} are ignored"
        )
    return np.where(values == classes, IGNORED, values).astype(np.uint8)


def size_of(path: Path) -> tuple[int, int, bool]:
    """Height, width and whether the picture is gray, from the file's header alone.

    Raises:
        TconvError: the file is missing, empty or not a picture.
    """
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path) as image:
            return image.height, image.width, image.mode in ("1", "L", "LA") or image.mode.startswith("I")
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


def _unreadable(path: Path, fault: Exception) -> TconvError:
    if isinstance(fault, FileNotFoundError):
        return TconvError(f"{path}: no such picture")
    if path.is_file() and path.stat().st_size == 0:
        return TconvError(f"{path}: an empty file, not a picture")
    reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    return TconvError(f"{path}: not a readable picture ({reason})")
