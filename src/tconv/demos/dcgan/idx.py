"""IDX files, the format of MNIST: sizes, then bytes, gzipped or not; read within bounds."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError, said
from tconv.files import check_file

__all__ = ["LARGEST", "digest", "read_idx"]

Bytes = npt.NDArray[np.uint8]

#: The most entries along each axis: pictures, rows, columns.
LARGEST = (1_000_000, 64, 64)

_LONGEST = 1 << 28  # bytes of a file, compressed or not


def read_idx(path: Path, axes: int) -> Bytes:
    """The unsigned bytes of an IDX file of `axes` axes (1: labels; 3: pictures, rows, columns).

    Sizes are checked before anything is read, and no more is decompressed than they announce.

    Raises:
        TconvError: no such file, another kind of file, sizes beyond `LARGEST`, or a file that ends too early
            or too late.
    """
    _check_size(path)
    try:
        with open(path, "rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            head = file.read(4 + 4 * axes)
            if head[:4] != bytes((0, 0, 8, axes)) or len(head) < 4 + 4 * axes:
                raise TconvError(f"{path} is no IDX file of bytes with {axes} axes")
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
            if any(not 1 <= size <= most for size, most in zip(shape, LARGEST, strict=False)):
                within = "x".join(map(str, LARGEST[:axes]))
                raise TconvError(f"{path} is {'x'.join(map(str, shape))}; up to {within} would fit")
            data = file.read(prod(shape) + 1)
    except (EOFError, zlib.error, OSError) as fault:
        raise TconvError(f"cannot read {path}: {said(fault)}") from None
    if len(data) != prod(shape):
        told = "longer" if len(data) > prod(shape) else "shorter"
        raise TconvError(f"{path} is {told} than its sizes {'x'.join(map(str, shape))} say")
    return np.frombuffer(data, np.uint8).reshape(shape)


def digest(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits.

    Raises:
        TconvError: no such file, or one that is too large to be a data set's.
    """
    _check_size(path)
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {said(fault)}") from None


def _check_size(path: Path) -> None:
    check_file(path)
    try:
        size = path.stat().st_size
    except OSError as fault:
        raise TconvError(f"cannot read {path}: {said(fault)}") from None
    if size > _LONGEST:
        raise TconvError(f"{path} has {size:,} bytes; up to {_LONGEST:,} would fit")
