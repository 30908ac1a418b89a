"""What can be read: a file each for NumPy arrays, state dicts, exported programs and ONNX.

A reader takes a path and answers a `Source`. Nothing that a file holds is executed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tconv.diagnosis.readers.source import Source
from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["SUFFIXES", "Source", "read"]

#: Suffix -> the module that reads it.
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {".npy": "npy", ".pt": "state", ".pth": "state", ".ckpt": "state", ".pt2": "pt2", ".onnx": "onnx"}
)


def read(
    path: Path,
    *,
    layers: Mapping[str, Geometry | None],
    problem: Geometry | None,
    sizes: Mapping[str, tuple[int, ...]],
) -> Source:
    """Read a file by its suffix.

    Args:
        layers: names to look at, with their geometry where the format does not tell it; empty: all.
        problem: the geometry of the one weight of a .npy.
        sizes: shapes of a model's inputs, by name ("" if there is but one), in place of open ones.

    Raises:
        TconvError: no such file, an unknown suffix, a truncated file, no such layer.
    """
    if not path.is_file():
        raise TconvError(f"{path}: no such file")
    name = SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise TconvError(f"{path}: unknown suffix {path.suffix!r}; {', '.join(SUFFIXES)} can be read")
    module = importlib.import_module(f"tconv.diagnosis.readers.{name}")
    source: Source = module.read(path, layers=layers, problem=problem, sizes=sizes)
    return source
