"""The ways to upsample a map of scores by a whole factor, with half-pixel alignment.

Every way gives exactly `factor` times the size.  Those that use a transposed convolution repeat the map's
edge once around it and crop `factor` more.  A bilinear stamp at the border would otherwise lack its
neighbour and fade (a corner would have 0.5625 of its value at 2x); with the edge the layer starts as exactly
the bilinear interpolation of the whole map.  Kernel, stride and padding are those of FCN's reference code:
k = 2f - f mod 2, s = f, p = ceil((f-1)/2).

With `corners` cell i of the map lies at cell f * i of the larger one, as a backbone has it that pads both
ends of its strided convolutions alike.  Then the kernel is odd, k = 2f - 1, and behind the last cell the edge
goes on.
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


def upsampler(
    kind: str, channels: int, factor: int, *, dense: bool = True, corners: bool = False
) -> nn.Module:
    """A module that maps (n, channels, h, w) to (n, channels, factor * h, factor * w).

    learned: one transposed convolution that starts bilinear, over all pairs of channels (`dense`, as
    published) or channel by channel.  fixed: the same filter, channel by channel, as a buffer.  stack:
    learned 2x layers with PReLUs between them, whose slopes start at 1, so that the stack starts linear.
    subpixel: a 3x3 convolution to factor^2 times the channels, whose cells are then placed side by side (Shi
    et al. 2016); it starts bilinear, too.  nearest, bilinear, bicubic: interpolation.
    """
    if kind in INTERPOLATIONS:
        if corners:
            return FromCorners(factor, kind)
        return nn.Upsample(scale_factor=factor, mode=kind, align_corners=None if kind == "nearest" else False)
    if kind == "fixed":
        return FixedBilinear(channels, factor, corners=corners)
    if kind == "subpixel":
        return SubPixel(channels, factor, dense=dense, corners=corners)
    if kind == "learned":
        return nn.Sequential(_learned("", channels, factor, dense, corners))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, two in enumerate(_twos(factor), 1):
        if number > 1:
            layers[f"prelu{number - 1}"] = nn.PReLU(channels, init=1.0)
        layers.update(_learned(str(number), channels, two, dense, corners))
    return nn.Sequential(layers)


def grid_after(kind: str, factor: int, grid: Grid, *, corners: bool = False) -> Grid:
    """The grid after `upsampler(kind, channels, factor)`."""
    if kind in INTERPOLATIONS:  # an interpolation is the transposed convolution with its filter
        return grid.transposed(_axis(_REACH[kind](factor) if corners else filters.options(kind, factor)))
    if kind == "subpixel":  # a transposed convolution of three cells' width
        return grid.transposed(_axis(_REACH[kind](factor) if corners else _three(factor)))
    for each in _twos(factor) if kind == "stack" else (factor,):
        options = _options(each, corners)
        grid = grid.padded(1).transposed(_axis({name: options[name] for name in _ALONG}))
    return grid


#: What a grid follows; the far end is cropped anyway.
_ALONG = ("kernel", "stride", "padding")

#: Upsampling -> a window of what one cell reaches, with `corners`.  Between two cells "nearest" has a tie.
_REACH = {
    "nearest": lambda f: {"kernel": f // 2 * 2 + 1, "stride": f, "padding": f // 2},
    "bilinear": lambda f: {"kernel": 2 * f - 1, "stride": f, "padding": f - 1},
    "bicubic": lambda f: {"kernel": 4 * f - 1, "stride": f, "padding": 2 * f - 1},
    "subpixel": lambda f: {"kernel": 4 * f - 1, "stride": f, "padding": 2 * f - 1},
}


def _three(factor: int) -> dict[str, int]:
    return {"kernel": 3 * factor, "stride": factor, "padding": factor}


class SubPixel(nn.Module):
    """Sub-pixel convolution: the scores of a cell's factor^2 pixels are channels of a 3x3 convolution."""

    def __init__(self, channels: int, factor: int, *, dense: bool, corners: bool) -> None:
        super().__init__()
        groups = 1 if dense else channels
        self.conv = nn.Conv2d(
            channels,
            channels * factor**2,
            3,
            padding=1,
            padding_mode="replicate",
            groups=groups,
            bias=False,
        )
        self.shuffle = nn.PixelShuffle(factor)
        # Pixel r of cell i lies at i + at[r] among the cells; neighbour t has a triangle's share of it.
        pixels = torch.arange(factor, dtype=torch.float64)
        at = pixels / factor if corners else (pixels + 0.5) / factor - 0.5
        line = (1 - (at[:, None] - torch.tensor([-1.0, 0.0, 1.0])).abs()).clamp(min=0)
        square = torch.einsum("yu,xv->yxuv", line, line).reshape(factor**2, 3, 3)
        with torch.no_grad():
            self.conv.weight.zero_()
            for channel in range(channels):
                own = slice(channel * factor**2, (channel + 1) * factor**2)
                self.conv.weight[own, channel if dense else 0] = square.to(self.conv.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        larger: Tensor = self.shuffle(self.conv(x))
        return larger


class FromCorners(nn.Module):
    """Interpolation with cell i of the map at cell f * i of the larger one."""

    def __init__(self, factor: int, mode: str) -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x: Tensor) -> Tensor:
        factor, (height, width) = self.factor, x.shape[-2:]
        if self.mode == "nearest":
            more = nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
            larger = nn.functional.interpolate(more, scale_factor=factor, mode="nearest")
            front = factor // 2
            return larger[..., front : front + factor * height, front : front + factor * width]
        size = [(cells - 1) * factor + 1 for cells in (height, width)]
        larger = nn.functional.interpolate(x, size, mode=self.mode, align_corners=True)
        return nn.functional.pad(larger, (0, factor - 1, 0, factor - 1), mode="replicate")


class FixedBilinear(nn.Module):
    """Bilinear upsampling that is not learned: one filter per channel, kept as a buffer."""

    weight: Tensor

    def __init__(self, channels: int, factor: int, *, corners: bool = False) -> None:
        super().__init__()
        self.options = _options(factor, corners)
        kernel = self.options["kernel"]
        self.register_buffer("weight", _bilinear(torch.empty(channels, 1, kernel, kernel), factor))

    def forward(self, x: Tensor) -> Tensor:
        edged = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        options = self.options
        return conv_transpose2d(
            edged,
            self.weight,
            stride=options["stride"],
            padding=options["padding"],
            output_padding=options["output_padding"],
            groups=x.shape[1],
        )


def _learned(
    number: str, channels: int, factor: int, dense: bool, corners: bool
) -> OrderedDict[str, nn.Module]:
    options = _options(factor, corners)
    up = ConvTranspose2d(
        channels,
        channels,
        options["kernel"],
        stride=options["stride"],
        padding=options["padding"],
        output_padding=options["output_padding"],
        groups=1 if dense else channels,
        bias=False,
    )
    with torch.no_grad():
        _bilinear(up.weight, factor)
    return OrderedDict({f"edge{number}": nn.ReplicationPad2d(1), f"up{number}": up})


def _bilinear(weight: Tensor, factor: int) -> Tensor:
    """The bilinear filter of `factor`, of an even or an odd kernel, in every channel of its own."""
    kernel = weight.shape[-1]
    if kernel == 2 * factor - factor % 2:
        return bilinear_(weight, factor)
    distance = (torch.arange(kernel) - (kernel - 1) / 2).abs()
    line = (1 - distance / factor).to(weight.dtype)
    weight.zero_()
    for channel in range(weight.shape[0]):
        weight[channel, channel if weight.shape[1] > 1 else 0] = line[:, None] * line
    return weight


def _twos(factor: int) -> tuple[int, ...]:
    if factor < 2 or factor & (factor - 1):
        raise TconvError(f"upsampling='stack' cannot upsample {factor} times; powers of 2 would fit")
    return (2,) * (factor.bit_length() - 1)


def _options(factor: int, corners: bool) -> dict[str, int]:
    """Kernel, stride and padding of a bilinear filter, for a map with one edge cell around it."""
    if corners:
        return {
            "kernel": 2 * factor - 1,
            "stride": factor,
            "padding": 2 * factor - 1,
            "output_padding": factor - 1,
        }
    options = filters.options("bilinear", factor)
    return {**options, "padding": options["padding"] + factor, "output_padding": 0}


def _axis(options: dict[str, int]) -> Geometry:
    return Geometry.make(in_channels=1, out_channels=1, input=4, **options)
