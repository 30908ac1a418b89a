"""What a Resize or Upsample node does, in all its variants, if it is a resize by whole factors.

An output o reads the input around a coordinate c(o), by ONNX's coordinate_transformation_mode. With a whole
factor f all but align_corners are periodic, c(o + f) = c(o) + 1, so the f outputs of one input determine it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tconv.algebra.arrays import Array
from tconv.models.onnx.constants import constant

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["OPERATORS", "ResizeOptions", "Shape", "centred", "read_resize", "repeats"]

OPERATORS = ("Resize", "Upsample")

Shape = Sequence[int | str | None]

_HALF = Fraction(1, 2)
_MOST_TIMES = 4096  # far more than pictures need
_Coordinate = Callable[[int, int], Fraction]


def _centred(o: int, f: int) -> Fraction:
    return (o + _HALF) / f - _HALF


#: coordinate_transformation_mode -> coordinate of output o at a whole factor f. pytorch_half_pixel differs
#: from half_pixel only for an output of one cell, half_pixel_symmetric only for factors that are not whole.
_COORDINATES: Mapping[str, _Coordinate] = MappingProxyType(
    {
        "asymmetric": lambda o, f: Fraction(o, f),
        "half_pixel": _centred,
        "half_pixel_symmetric": _centred,
        "pytorch_half_pixel": _centred,
        "tf_half_pixel_for_nn": lambda o, f: (o + _HALF) / f,
    }
)

_ROUNDINGS: Mapping[str, Callable[[Fraction], int]] = MappingProxyType(
    {
        "ceil": math.ceil,
        "floor": math.floor,
        "round_prefer_ceil": lambda c: math.floor(c + _HALF),
        "round_prefer_floor": lambda c: math.ceil(c - _HALF),
    }
)


@dataclass(frozen=True)
class ResizeOptions:
    """A resize of spatial axes by whole factors."""

    mode: str  #: "nearest", "linear" or "cubic"
    factors: tuple[int, ...]  #: one per spatial axis
    coordinates: str
    rounding: str


def repeats(found: ResizeOptions) -> str | None:
    """None if each value is repeated `factor` times along each axis, else the reason why it is not."""
    if found.mode != "nearest":
        return f"its mode is {found.mode}, not nearest"
    if found.coordinates not in _COORDINATES:
        return f"{found.coordinates} shifts with the size"
    at, near = _COORDINATES[found.coordinates], _ROUNDINGS.get(found.rounding)
    if near is None:
        return f"{found.rounding} is not a rounding of ONNX"
    # Both functions are monotone, so the first and the last output tell of those between them.
    if any(near(at(o, f)) != 0 for f in set(found.factors) for o in (0, f - 1)):
        return f"{found.coordinates} with {found.rounding} repeats values unevenly"
    return None


def centred(found: ResizeOptions) -> bool | str:
    """Whether cells are centred on each other (True) or the first samples agree; else why neither holds."""
    if found.mode != "linear":
        return f"its mode is {found.mode}, not linear"
    at = _COORDINATES.get(found.coordinates)
    if at is None:
        return f"{found.coordinates} does not preserve the distance of samples"
    firsts = {at(0, f) == _centred(0, f) for f in found.factors if f > 1}
    if at(0, 1) != 0:
        return f"{found.coordinates} is only for nearest"
    return firsts == {True}


def read_resize(node: ir.Node, shape: Shape | None, opset: int) -> ResizeOptions | str:
    """What a Resize or Upsample node does, or the reason why it is not a resize by whole factors.

    `shape` is that of its input, as far as known; `opset` is the version of ONNX's own operators there.
    """
    old = node.op_type == "Upsample" or opset < 11
    text = node.attributes.get_string
    if node.attributes.get_int("antialias", 0):
        return "it has antialias"
    if text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return "it keeps the aspect ratio"
    scales = _scales(node, shape, opset)
    if isinstance(scales, str):
        return scales
    if len(scales) < 3 or scales[0] != 1 or scales[1] != 1:
        return "it resizes the batch or the channels"
    said = ", ".join(f"{scale:g}" for scale in scales[2:])
    if not all(1 <= scale <= _MOST_TIMES and scale.is_integer() for scale in scales[2:]):
        return f"its factors {said} are not whole, or beyond {_MOST_TIMES}"
    if set(scales) == {1}:
        return "it resizes nothing"
    mode = text("mode", "nearest")
    return ResizeOptions(
        "linear" if mode == "bilinear" else mode,
        tuple(int(scale) for scale in scales[2:]),
        "asymmetric" if old else text("coordinate_transformation_mode", "half_pixel"),
        "floor" if old else text("nearest_mode", "round_prefer_floor"),
    )


def _scales(node: ir.Node, shape: Shape | None, opset: int) -> list[float] | str:
    """The factor of every axis, from scales or sizes."""
    if node.op_type == "Upsample" and opset < 9:
        return list(node.attributes.get_floats("scales", ()))
    inputs = [*node.inputs[1:], None, None, None]
    given, sizes = (inputs[0], None) if node.op_type == "Upsample" or opset < 11 else (inputs[1], inputs[2])
    scales = constant(given)
    if given is not None and scales is None:
        return "its scales are computed"
    if scales is not None and scales.size:
        return _spread(scales, node, shape)
    wanted = constant(sizes)
    if wanted is None:
        return "its sizes are computed"
    if shape is None:
        return "its input's shape is not known"
    named = node.attributes.get_ints("axes", range(len(shape)))
    of = [shape[axis] for axis in named if -len(shape) <= axis < len(shape)]
    known = [size for size in of if isinstance(size, int) and size > 0]
    if len(known) != wanted.size:
        return "its input's sizes are not known"
    return _spread(wanted.ravel() / np.array(known), node, shape)


def _spread(scales: Array, node: ir.Node, shape: Shape | None) -> list[float] | str:
    """The scales of some axes, extended to all axes."""
    found = [float(scale) for scale in scales.ravel()]
    axes = node.attributes.get_ints("axes", ())
    if not axes:
        return found
    if shape is None:
        return "its input's shape is not known"
    every = dict.fromkeys(range(len(shape)), 1.0)
    every |= {axis % len(shape): scale for axis, scale in zip(axes, found, strict=False)}
    if len(set(axes)) != len(found) or min(axes) < -len(shape) or max(axes) >= len(shape):
        return f"its axes {tuple(axes)} do not fit {len(found)} scales"
    return list(every.values())
