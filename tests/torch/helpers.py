"""The problems of cases.txt that PyTorch can say, as arguments for its functions and ours."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

import tconv.torch
from tconv.geometry import Geometry
from tconv.testing import integer_arrays, load_cases

#: PyTorch's padding is one number for both sides, and never negative.
CASES = {
    name: geometry for name, geometry in load_cases() if all(lo == hi >= 0 for lo, hi in geometry.padding)
}
OURS = {axes: getattr(tconv.torch, f"conv_transpose{axes}d") for axes in (1, 2, 3)}
THEIRS = {axes: getattr(functional, f"conv_transpose{axes}d") for axes in (1, 2, 3)}
MIXED = Geometry.parse("n2 c4>6 i4x3 k3x4 s2x3 p1 o1x0 d1x2 g2")


class Tensors(NamedTuple):
    x: Tensor
    weight: Tensor
    bias: Tensor
    y: Tensor  #: of the output's shape, not the output of x


def tensors(geometry: Geometry, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensors:
    """Small whole numbers, so that every sum is exact."""
    arrays = integer_arrays(geometry, "complex128" if dtype.is_complex else "float64", seed)
    if not dtype.is_signed:
        arrays = integer_arrays(geometry, "uint8", seed)
    return Tensors(*(torch.from_numpy(array).to(dtype) for array in arrays))


def randoms(geometry: Geometry, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensors:
    """Normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = geometry.input_shape, geometry.weight_shape, (geometry.out_channels,), geometry.output_shape
    return Tensors(*(torch.randn(shape, dtype=dtype, generator=generator) for shape in shapes))


def options(geometry: Geometry) -> dict[str, Any]:
    """The keywords of torch.nn.functional.conv_transpose*d."""
    return {
        "stride": geometry.stride,
        "padding": tuple(lo for lo, _ in geometry.padding),
        "output_padding": geometry.output_padding,
        "groups": geometry.groups,
        "dilation": geometry.dilation,
    }
