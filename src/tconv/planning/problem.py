"""The problem as the kernels see it: names, integers, dtypes."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from tconv import _core
from tconv.planning.activations import Activation, parse_activation

if TYPE_CHECKING:
    from tconv.geometry import Geometry

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "MAPS",
    "Layout",
    "MapName",
    "epilogue_of",
    "operands_of",
    "problem_of",
    "real",
]

MapName: TypeAlias = Literal["conv_transpose", "conv", "weight_gradient"]
Layout: TypeAlias = Literal["channels_first", "channels_last"]

MAPS: tuple[MapName, ...] = get_args(MapName)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DTYPES = tuple(dtype.name for dtype in _core.DType)


@lru_cache(maxsize=256)
def epilogue_of(activation: Activation, dtype: str) -> _core.Epilogue:
    """The epilogue of a layer of one dtype."""
    kind, numbers = parse_activation(activation)
    return _core.Epilogue(
        scale=_core.Scale.none,
        bias=_core.DType[dtype],
        activation=kind,
        numbers=numbers,
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
