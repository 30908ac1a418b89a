"""The ways to upsample a map of scores by a whole factor, with half-pixel alignment.

Every way gives exactly `factor` times the size.  Those that use a transposed convolution repeat the map's
edge once around it and crop `factor` more.  A bilinear stamp at the border would otherwise lack its
neighbour and fade (a corner would have 0.5625 of its value at 2x); with the edge the layer starts as exactly
the bilinear interpolation of the whole map.  Kernel, stride and padding are those of FCN's reference code:
k = 2f - f mod 2, s = f, p = ceil((f-1)/2).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from tconv import filters
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.nets.grid import Grid
from tconv.torch import ConvTranspose2d, conv_transpose2d
from tconv.torch.init import bilinear_

__all__ = ["grid_after", "upsampler"]

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def upsampler(kind: str, channels: int, factor: int, *, dense: bool = True) -> nn.Module:
    """A module that maps (n, channels, h, w) to (n, channels, factor * h, factor * w).

    learned: one transposed convolution that starts bilinear, over all pairs of channels (`dense`, as
    published) or channel by channel.  fixed: the same filter, channel by channel, as a buffer.  stack:
    learned 2x layers with PReLUs between them, whose slopes start at 1, so that the stack starts linear.
    nearest, bilinear, bicubic: interpolation.
    """
    if kind in INTERPOLATIONS:
        return nn.Upsample(scale_factor=factor, mode=kind, align_corners=None if kind == "nearest" else False)
    if kind == "fixed":
        return FixedBilinear(channels, factor)
    if kind == "learned":
        return nn.Sequential(_learned("", channels, factor, dense))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, two in enumerate(_twos(factor), 1):
        if number > 1:
            layers[f"prelu{number - 1}"] = nn.PReLU(channels, init=1.0)
        layers.update(_learned(str(number), channels, two, dense))
    return nn.Sequential(layers)


def grid_after(kind: str, factor: int, grid: Grid) -> Grid:
    """The grid after `upsampler(kind, channels, factor)`."""
    if kind in INTERPOLATIONS:  # an interpolation is the transposed convolution with its filter
        return grid.transposed(_axis(filters.options(kind, factor)))
    for each in _twos(factor) if kind == "stack" else (factor,):
        grid = grid.padded(1).transposed(_axis(_options(each)))
    return grid


class FixedBilinear(nn.Module):
    """Bilinear upsampling that is not learned: one filter per channel, kept as a buffer."""

    weight: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.options = _options(factor)
        empty = torch.empty(channels, 1, self.options["kernel"], self.options["kernel"])
        self.register_buffer("weight", bilinear_(empty, factor))

    def forward(self, x: Tensor) -> Tensor:
        edged = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        stride, padding = self.options["stride"], self.options["padding"]
        return conv_transpose2d(edged, self.weight, stride=stride, padding=padding, groups=x.shape[1])


def _learned(number: str, channels: int, factor: int, dense: bool) -> OrderedDict[str, nn.Module]:
    options = _options(factor)
    up = ConvTranspose2d(
        channels,
        channels,
        options["kernel"],
        stride=options["stride"],
        padding=options["padding"],
        groups=1 if dense else channels,
        bias=False,
    )
    with torch.no_grad():
        bilinear_(up.weight, factor)
    return OrderedDict({f"edge{number}": nn.ReplicationPad2d(1), f"up{number}": up})


def _twos(factor: int) -> tuple[int, ...]:
    if factor < 2 or factor & (factor - 1):
        raise TconvError(f"upsampling='stack' cannot upsample {factor} times; powers of 2 would fit")
    return (2,) * (factor.bit_length() - 1)


def _options(factor: int) -> dict[str, int]:
    """Kernel, stride and padding of FCN's bilinear filter, for a map with one edge cell around it."""
    options = filters.options("bilinear", factor)
    return {**options, "padding": options["padding"] + factor}


def _axis(options: dict[str, int]) -> Geometry:
    return Geometry.make(in_channels=1, out_channels=1, input=4, **options)
