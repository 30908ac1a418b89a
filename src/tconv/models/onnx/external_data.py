"""Tensors whose bytes are in a separate file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, clean, said

__all__ = ["check_outside"]


def check_outside(tensor: Any, name: str, size: int, folder: Path) -> None:
    """Check that the data are in the model's folder and complete, without reading them.

    Raises:
        TconvError: a path out of the folder, a missing file, or one that is too short.
    """
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    numbers = {}
    for key in ("offset", "length"):
        text = told.get(key, "0" if key == "offset" else str(size))
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise TconvError(f"{name}: {key} {clean(text)!r} of its data; a number of bytes would fit")
        numbers[key] = int(text)
    if numbers["length"] != size:
        raise TconvError(f"{name}: its shape takes {size:,} bytes and its data have {numbers['length']:,}")
    path = _inside(folder, location, name)
    try:
        status = path.stat()
    except OSError as fault:
        raise TconvError(f"{name}: its data, {clean(location)}, cannot be read: {said(fault)}") from fault
    if not path.is_file():
        raise TconvError(f"{name}: its data, {clean(location)}, are not in a regular file")
    if status.st_nlink > 1:
        raise TconvError(f"{name}: its data, {clean(location)}, have another name (a hard link)")
    if status.st_size < numbers["offset"] + size:
        raise TconvError(
            f"{name}: its data, {clean(location)}, end after {status.st_size:,} of "
            f"{numbers['offset'] + size:,} bytes"
        )
    if not os.access(path, os.R_OK):
        raise TconvError(f"{name}: its data, {clean(location)}, may not be read")


def _inside(folder: Path, location: str, name: str) -> Path:
    """The file, if it is in the folder of the model, with links followed."""
    bad = not location or "\0" in location or "\\" in location or Path(location).is_absolute()
    home = path = folder.resolve()
    try:
        path = home if bad else (home / location).resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError):  # a cycle of links, names too long
        bad = True
    if bad or home not in path.parents:
        raise TconvError(
            f"{name}: its data are at {clean(location) or 'no path'!r}; a file in the model's folder "
            "would fit"
        )
    return path
