"""The formats that can be read, by suffix: NumPy arrays, state dicts, exported programs and ONNX.

A reader takes a path and the options that apply to its format, and returns a `Model`. No pickled object is
made and nothing of a file is run, whatever it holds.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tconv.errors import TconvError
from tconv.files import check_file
from tconv.geometry import Geometry
from tconv.models.model import Model

__all__ = ["SUFFIXES", "read"]


class Format(NamedTuple):
    """A kind of file: its name, the module that reads it, and the options that apply to it."""

    name: str
    module: str
    takes: frozenset[str]


#: The options that go with a file.
_OPTIONS = MappingProxyType(
    {
        "problem": "--problem",
        "layers": "--layer NAME",
        "problems": "--layer NAME=PROBLEM",
        "input": "--input",
    }
)
_STATE = Format("state dict", "state", frozenset({"layers", "problems"}))

#: Suffix -> kind of file.
SUFFIXES: Mapping[str, Format] = MappingProxyType(
    {
        ".npy": Format("single weight", "npy", frozenset({"problem"})),
        ".pt": _STATE,
        ".pth": _STATE,
        ".ckpt": _STATE,
        ".pt2": Format("program of torch.export", "pt2", frozenset({"layers"})),
        ".onnx": Format("model in ONNX", "onnx.pick", frozenset({"layers", "input"})),
    }
)


def read(
    path: Path,
    *,
    layers: Mapping[str, Geometry | None],
    problem: Geometry | None,
    sizes: Mapping[str, tuple[int, ...]],
) -> Model:
    """Read a file by its suffix.

    Args:
        layers: names to examine, with their geometry where the format does not contain it; empty: all.
        problem: the geometry of the one weight of a .npy.
        sizes: shapes of a model's inputs, by name ("" if there is but one), in place of open ones.

    Raises:
        TconvError: no such file, an unknown suffix, a truncated file, no such layer, an option that does
            not apply to such a file.
    """
    check_file(path)
    if not path.exists():
        raise TconvError(f"{path}: no such file")
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise TconvError(f"{path}: unknown suffix {path.suffix!r}; {', '.join(SUFFIXES)} can be read")
    given = {"problem": problem, "layers": layers, "input": sizes}
    used = {**given, "problems": any(geometry is not None for geometry in layers.values())}
    for option in _OPTIONS:
        if used[option] and option not in kind.takes:
            fits = " and ".join(_OPTIONS[name] for name in _OPTIONS if name in kind.takes)
            raise TconvError(f"{path} is a {kind.name}: {_OPTIONS[option]} does not apply; {fits} would fit")
    module = importlib.import_module(f"tconv.models.{kind.module}")
    found: Model = module.read(path, **{name: value for name, value in given.items() if name in kind.takes})
    return found
