"""The problems that a user wants tuned: spelled, from a list, or the transposed layers of a model."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.geometry import Geometry

__all__ = ["Wanted", "wanted"]

#: NumPy's names of the types that have fast kernels; another is tuned as float32.
CODES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "complex64": "c64"}


class Wanted(NamedTuple):
    """A problem, of one or more layers."""

    names: tuple[str, ...]
    geometry: Geometry
    dtype: str


def wanted(args: argparse.Namespace) -> tuple[list[Wanted], list[str]]:
    """What the arguments of `tconv tune` name, each problem once, and notes on layers that cannot be tuned.

    Raises:
        TconvError: a problem, a list or a model that cannot be read, or two kinds of these.
    """
    given = [name for name in ("problems", "suite", "model") if getattr(args, name)]
    if len(given) > 1:
        first, second = ("PROBLEM" if name == "problems" else f"--{name}" for name in given[:2])
        raise TconvError(f"{first} and {second} were given; one of the two would fit")
    for name in ("layer", "input"):
        if getattr(args, name) and not args.model:
            raise TconvError(f"--{name} was given without --model; a problem contains its sizes")
    notes: list[str] = []
    if args.model:
        found, notes = _of_model(args)
    elif args.suite:
        found = [Wanted((name,), geometry, "f32") for name, geometry in _listed(args)]
    else:
        found = [Wanted((), Geometry.parse(text), "f32") for text in args.problems]
    merged: dict[tuple[Geometry, str], Wanted] = {}
    for one in found:
        if one.geometry.batch:  # an empty batch has no time
            names = merged.get(one[1:], Wanted((), *one[1:])).names
            merged[one[1:]] = one._replace(names=(*names, *one.names))
    return list(merged.values()), notes


def _listed(args: argparse.Namespace) -> list[tuple[str, Geometry]]:
    from tconv.testing import read_cases

    check_file(args.suite)
    try:
        text = args.suite.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise TconvError(f"--suite {args.suite} cannot be read: {error}") from None
    found = read_cases(text)
    if not found:
        raise TconvError(f"--suite {args.suite} lists no problem; NAME PROBLEM lines would fit")
    return found


def _of_model(args: argparse.Namespace) -> tuple[list[Wanted], list[str]]:
    from tconv.models.formats import read
    from tconv.models.options import layer, shape

    named = dict(layer(entry) for entry in args.layer)
    model = read(
        args.model,
        layers={name: None if text is None else Geometry.parse(text) for name, text in named.items()},
        problem=None,
        sizes=dict(shape(entry) for entry in args.input),
    )
    found, notes = [], []
    for one in model.layers:
        if one.conv:
            continue
        if one.geometry is None or not one.sized:
            notes.append(
                f"{clean(one.name)}: {one.why or 'its sizes are not known'}; --input SHAPE may give them"
            )
            continue
        found.append(Wanted((one.name,), one.geometry, CODES.get(one.dtype, "f32")))
    if not found:
        why = f": {notes[0]}" if notes else ""
        raise TconvError(f"{args.model}: no transposed layer of known size{why}")
    return found, notes
