"""The problem as the kernels see it: names, integers, dtypes."""

from __future__ import annotations

from functools import cache, lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from tconv import _core
from tconv.errors import TconvError
from tconv.geometry.normalize import shown

if TYPE_CHECKING:
    from tconv.geometry import Geometry

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "MAPS",
    "Activation",
    "Layout",
    "MapName",
    "epilogue_of",
    "operands_of",
    "parse_activation",
    "problem_of",
    "real",
]

MapName: TypeAlias = Literal["conv_transpose", "conv", "weight_gradient"]
Layout: TypeAlias = Literal["channels_first", "channels_last"]
Activation: TypeAlias = str | tuple[str | float, ...] | None

MAPS: tuple[MapName, ...] = get_args(MapName)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DTYPES = tuple(dtype.name for dtype in _core.DType)


def parse_activation(activation: Activation) -> tuple[_core.Activation, float, float, float]:
    """(kind, slope, lo, hi) of an activation as users spell it.

    Raises:
        TconvError: an unknown activation, or wrong numbers after its name.

    >>> parse_activation(("leaky_relu", 0.2))
    (Activation.leaky_relu, 0.2, 0.0, 0.0)
    """
    if activation is None:
        return _core.Activation.none, 0.0, 0.0, 0.0
    parts = activation if isinstance(activation, tuple | list) and len(activation) else (activation,)
    name, numbers = parts[0], parts[1:]
    known = isinstance(name, str) and name != "none" and name in _core.Activation.__members__
    expected = {"leaky_relu": 1, "clamp": 2}.get(str(name), 0)
    if not known or len(numbers) != expected:
        raise TconvError(
            f"activation={shown(activation)} is unknown; "
            'None, "relu", "tanh", "sigmoid", ("leaky_relu", slope) or ("clamp", lo, hi) would fit'
        )
    if not all(isinstance(number, Real) for number in numbers):
        raise TconvError(f"activation={shown(activation)} needs numbers after the name")
    try:
        values = [float(number) for number in numbers]
    except OverflowError:
        raise TconvError(f"activation={shown(activation)}: numbers that a float can hold would fit") from None
    if name == "leaky_relu":
        return _core.Activation.leaky_relu, values[0], 0.0, 0.0
    if name == "clamp":
        if not values[0] <= values[1]:
            raise TconvError(f"activation={shown(activation)}: the lower bound must not exceed the upper one")
        return _core.Activation.clamp, 0.0, values[0], values[1]
    return _core.Activation[str(name)], 0.0, 0.0, 0.0


@lru_cache(maxsize=256)
def epilogue_of(activation: Activation, dtype: str) -> _core.Epilogue:
    """The epilogue of a layer of one dtype."""
    kind, slope, lo, hi = parse_activation(activation)
    return _core.Epilogue(
        scale=_core.Scale.none,
        bias=_core.DType[dtype],
        activation=kind,
        slope=slope,
        clamp_lo=lo,
        clamp_hi=hi,
        rounding=_core.Rounding.nearest_even,
    )


@cache
def operands_of(dtype: str) -> _core.Operands:
    """The operands of a map on arrays of one dtype; halves are accumulated in float32."""
    one = _core.DType[dtype]
    sums = _core.DType.f32 if dtype in ("f16", "bf16") else one
    return _core.Operands(source=one, weight=one, sums=sums, target=one)


def problem_of(geometry: Geometry) -> _core.Problem:
    """The problem that the maps on `geometry` solve: three axes, channels of one group.

    A Geometry with fewer axes gets leading ones of size 1. Where an axis has one input, the stride has no
    effect and is replaced by the size of the kernel, if that is not dilated: every phase then has one tap.
    """
    axes = [
        (i, o, k, k if i == d == 1 else s, d, lo)
        for i, o, k, s, d, (lo, _) in zip(
            geometry.input,
            geometry.output,
            geometry.kernel,
            geometry.stride,
            geometry.dilation,
            geometry.padding,
            strict=True,
        )
    ]
    # Adjacent axes of one input, whose kernels are not cropped, are merged into one axis.
    for a in range(len(axes) - 1, 0, -1):
        if all(axis == (1, axis[2], axis[2], axis[2], 1, 0) for axis in axes[a - 1 : a + 1]):
            k = axes[a - 1][2] * axes[a][2]
            axes[a - 1 : a + 1] = [(1, k, k, k, 1, 0)]
    axes[:0] = [(1, 1, 1, 1, 1, 0)] * (3 - len(axes))
    input, output, kernel, stride, dilation, lo = ((z, y, x) for z, y, x in zip(*axes, strict=True))
    return _core.Problem(
        batch=geometry.batch,
        groups=geometry.groups,
        in_channels=geometry.in_channels // geometry.groups,
        out_channels=geometry.out_channels // geometry.groups,
        input=input,
        output=output,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        lo=lo,
    )


def real(problem: _core.Problem, dtype: str) -> tuple[_core.Problem, str]:
    """The real problem and dtype by which complex numbers are computed; others are returned unchanged.

    Each channel counts twice, once for its real and once for its imaginary part (core/complex.hpp).
    """
    if dtype[0] != "c":
        return problem, dtype
    twice = _core.Problem(
        batch=problem.batch,
        groups=problem.groups,
        in_channels=2 * problem.in_channels,
        out_channels=2 * problem.out_channels,
        input=problem.input,
        output=problem.output,
        kernel=problem.kernel,
        stride=problem.stride,
        dilation=problem.dilation,
        lo=problem.lo,
    )
    return twice, {"c64": "f32", "c128": "f64"}[dtype]
