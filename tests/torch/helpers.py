"""The problems of cases.txt that PyTorch can say, as arguments for its functions and ours; and a model."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import tconv.torch
from tconv.geometry import Geometry
from tconv.testing import integer_arrays, load_cases
from tconv.torch import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

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


#: Transposed convolutions of `Everything`.
LAYERS = 7
#: Shapes that `Everything` takes.
SIZES = [(2, 4, 5, 6), (3, 4, 7, 4), (5, 4, 4, 9)]


class Everything(nn.Module):
    """What layers of ours can do, for compilers and exporters.

    Groups, dilation, asked-for sizes, every padding, activations, one and three axes, no batch axis.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = ConvTranspose2d(4, 6, (3, 4), stride=(2, 3), padding=1, output_padding=(1, 0), groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = ConvTranspose2d(
            6, 3, 3, stride=2, dilation=2, bias=False, activation=("leaky_relu", 0.1)
        )
        self.third = ConvTranspose2d(3, 2, 3, stride=2, padding=1, activation="tanh")
        self.uneven = ConvTranspose2d(2, 2, 4, stride=2, padding=((0, 3), (-1, 2)), activation="relu")
        self.ring = ConvTranspose2d(2, 2, 3, padding=1, padding_mode="circular")
        self.line = ConvTranspose1d(2, 1, 4, stride=2, padding="same", activation=("clamp", -1.0, 1.0))
        self.cube = ConvTranspose3d(1, 2, 2, stride=2, activation="sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        made = self.second(self.norm(self.first(x)))
        made = self.third(made, output_size=[2 * size for size in made.shape[2:]])
        made = self.ring(self.uneven(made))
        line = self.line(made.mean((0, 2)))
        return self.cube(made.mean(1)[:, None, None]).mean((1, 2, 3)) + line.mean()
