"""The convolutional half of an FCN: five stages of convolutions and 2x2 pooling, then fc6 and fc7.

Both backbones are one class with a row of `PLANS`.  State dict names: `stageN.convM`, `stageN.normM`
(`stage1.norm`), `fc6`, `norm6`, `fc7`, `norm7`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tconv.geometry import Geometry
from tconv.nets.grid import Grid

__all__ = ["PLANS", "Backbone", "ChannelNorm", "Plan", "window"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a backbone; channel counts are multiples of `width`."""

    width: int
    stages: tuple[tuple[int, int], ...]  # (channels / width, convolutions) for strides 1, 2, 4, 8, 16
    fc: int  # channels / width of fc6 and fc7
    fc_kernel: int
    norm: bool
    dropout: float
    #: Stride -> the factor of its features in a net that is trained all at once.
    skip_scale: dict[int, float] = field(default_factory=dict)


PLANS = {
    # With norms and a 3x3 fc6 a net learns from a hundred pictures and random weights in a minute. Norms also
    # keep every stream on the same scale: VGG's skip scales would suppress the skips.
    "small": Plan(16, ((1, 2), (2, 2), (4, 2), (8, 2), (8, 2)), 16, 3, norm=True, dropout=0.1),
    # Simonyan & Zisserman 2014, configuration D; FCN section 4.1 for its head, its reference code
    # (voc-fcn8s-atonce) for the scales: the activations of shallow stages are larger by these factors.
    "vgg16": Plan(
        64,
        ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)),
        64,
        7,
        norm=False,
        dropout=0.5,
        skip_scale={16: 1e-2, 8: 1e-4},
    ),
}


class Backbone(nn.Module):
    """A picture (n, c, h, w) to a dict: stride -> features (n, channels[stride], h / stride, w / stride).

    Pooling rounds sizes up, so that a picture of any size, even 1x1, has a map at every stride.
    """

    #: Whether norms keep their statistics; these norms have none.
    frozen = True
    #: A pooling puts the centre of its cell between those of the cells it pools.
    corners = False

    def __init__(self, plan: Plan, in_channels: int = 3, width: int | None = None) -> None:
        super().__init__()
        width = plan.width if width is None else width
        grid, channels = Grid(), in_channels
        self.channels: dict[int, int] = {}
        self.grids: dict[int, Grid] = {}
        for number, (multiple, convs) in enumerate(plan.stages, 1):
            self.add_module(
                f"stage{number}", _stage(channels, width * multiple, convs, plan.norm, first=number == 1)
            )
            channels = width * multiple
            for _ in range(convs):
                grid = grid.convolved(window(3, padding=1))
            grid = grid.convolved(window(2, stride=2))
            self.channels[2**number], self.grids[2**number] = channels, grid
        fc = width * plan.fc
        self.fc6 = nn.Conv2d(channels, fc, plan.fc_kernel, padding=plan.fc_kernel // 2)
        self.norm6 = ChannelNorm(fc) if plan.norm else nn.Identity()
        self.fc7 = nn.Conv2d(fc, fc, 1)
        self.norm7 = ChannelNorm(fc) if plan.norm else nn.Identity()
        self.dropout = nn.Dropout2d(plan.dropout)
        self.channels[32] = fc
        self.grids[32] = grid.convolved(window(plan.fc_kernel, padding=plan.fc_kernel // 2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        features: dict[int, Tensor] = {}
        # Channels last: a training step of `small` takes three quarters of the time on a CPU.
        x = x.contiguous(memory_format=torch.channels_last)
        for number in range(1, 6):
            x = self.get_submodule(f"stage{number}")(x)
            features[2**number] = x
        x = self.dropout(torch.relu(self.norm6(self.fc6(x))))
        features[32] = self.dropout(torch.relu(self.norm7(self.fc7(x))))
        return features


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels at each position of (n, c, h, w), and over nothing else.

    Batch norm is unstable with batches of one or two pictures, and group norm makes every score depend on the
    whole picture, which then cannot be labelled in tiles.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _stage(in_channels: int, out_channels: int, convs: int, norm: bool, *, first: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, convs + 1):
        layers[f"conv{number}"] = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if norm and not first:
            layers[f"norm{number}"] = ChannelNorm(out_channels)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        in_channels = out_channels
    layers["pool"] = nn.MaxPool2d(2, ceil_mode=True)
    if norm and first:  # at full size, norms after each convolution would cost as much as the convolutions
        layers["norm"] = ChannelNorm(out_channels)
    return nn.Sequential(layers)


def window(kernel: int, stride: int = 1, padding: int = 0) -> Geometry:
    """A convolution or pooling along one axis, as the Geometry whose transpose it is."""
    return Geometry.make(
        in_channels=1, out_channels=1, input=1, kernel=kernel, stride=stride, padding=padding
    )
