"""Pictures, from files to arrays."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.files import check_file

__all__ = ["Picture", "read_picture", "read_pixels", "size_of", "to_channels"]

Picture = npt.NDArray[np.float32]

_GRAY = ("1", "L", "LA")

# What turns the pixels of a file upright, for each EXIF orientation but 1. Pillow's exif_transpose does the
# same, but also rewrites the EXIF data, which raises where they are damaged.
_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
_PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")

# Rec. 601 luma, as in Pillow's own conversion to gray.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_pixels(
    path: Path, converted: Callable[[Any], Any] = lambda image: image
) -> tuple[str, npt.NDArray[Any]]:
    """The mode of a picture file and its pixels, upright, after ``converted`` was applied to the image.

    Upright: turned and mirrored as the file's EXIF orientation says, as cameras expect of every viewer.

    Raises:
        TconvError: the file is missing, empty, truncated or not a picture.
    """
    with _opened(path) as image:
        mode, pixels = image.mode, np.asarray(converted(image))
        turn = _UPRIGHT.get(_orientation(image))
        return mode, pixels if turn is None else np.ascontiguousarray(turn(pixels))


def read_picture(path: Path) -> Picture:
    """Read a picture as float32 of shape (height, width, 1 or 3), black 0 and white 1.

    Gray files (8 or 16 bit) have one channel, all others three (RGB); an alpha channel is dropped. Where all
    values of a 16-bit picture fit in 12 bits, as those of many cameras and scanners, white is 4095.

    Raises:
        TconvError: the file is missing, empty, truncated or not a picture.
    """
    mode, pixels = read_pixels(path, _plain)
    white = 255
    if mode.startswith("I"):
        lowest, highest = int(pixels.min()), int(pixels.max())
        if not 0 <= lowest <= highest <= 65535:
            raise TconvError(f"{path}: values from {lowest} to {highest}; 16 bits, 0 to 65535, would fit")
        white = 4095 if highest <= 4095 else 65535
    return pixels.reshape(*pixels.shape[:2], -1).astype(np.float32) / np.float32(white)


def size_of(path: Path) -> tuple[int, int, bool]:
    """Height and width of the upright picture and whether it is gray; its pixels are not decoded, unless a
    PNG has an orientation.

    Raises:
        TconvError: the file is missing, empty or not a picture.
    """
    with _opened(path) as image:
        gray = image.mode in _GRAY or image.mode.startswith("I")
        # In a PNG it may follow the pixels. Pillow turns a TIFF by itself, and gives its upright size.
        turned = image.format != "TIFF" and (
            image.format != "PNG" or any(mark in path.read_bytes() for mark in _PNG_EXIF)
        )
        width, height = image.size
        return (width, height, gray) if turned and _orientation(image) >= 5 else (height, width, gray)


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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    check_file(path)
    try:
        with warnings.catch_warnings():
            # Whatever is wrong with the data around the pixels, they are read.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with Image.open(path) as image:
                _check_depth(image)
                yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        raise _unreadable(path, fault) from fault


def _check_depth(image: Any) -> None:
    """Refuse colours of 16 bits, of which Pillow drops the lower half: 12 bits would be almost black."""
    if not image.mode.startswith(("I", "F")) and any(";16" in str(tile[3]) for tile in image.tile):
        raise ValueError("it has 16 bits for each colour; 8, or gray of 16, would fit")


def _orientation(image: Any) -> int:
    """The EXIF orientation of an image, 1 to 8; 1, upright, where there is none or it cannot be read."""
    try:
        found = image.getexif().get(0x0112)
    except OSError:
        raise  # a PNG whose pixels end early
    except Exception:  # the exceptions for damaged EXIF data cannot be listed
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


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
