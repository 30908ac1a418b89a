"""Fully convolutional networks for segmentation: FCN-32s, 16s, 8s, 8s at once, and 4s.

Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, which
does not go to stride 4.

State dict, in order from the picture to the scores:

    backbone.stage1 .. stage5, backbone.fc6, backbone.fc7       or backbone.stem, backbone.blocks
    score.s32, score.s16, score.s8, score.s4    1x1 convolutions: features of that stride -> classes
    upsample.s32to16, s16to8, s8to1             the way from one stride to the next (FCN-32s: s32to1)

A name says what a layer does and not which net it is in, so a 16s takes from a 32s, and an 8s from a 16s,
every tensor with the same name and shape. The new score layers start at zero, so the new net gives the same
scores as the old one, up to the smoothness of its upsampling.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from tconv.arguments import checked
from tconv.errors import TconvError, unknown
from tconv.nets import BACKBONES, NETS, UPSAMPLINGS
from tconv.nets.backbones import PLANS, Backbone, ChannelNorm, window
from tconv.nets.efficientnet_lite import LiteFeatures
from tconv.nets.grid import Grid
from tconv.nets.upsampling import grid_after, upsampler

__all__ = ["FCN", "Copied"]

_MOST = 10_000  # classes, or channels of a picture or of the first stage

#: The strides whose scores are fused, deepest first, before stride 1.
STRIDES = {
    "fcn32s": (32,),
    "fcn16s": (32, 16),
    "fcn8s": (32, 16, 8),
    "fcn8s-atonce": (32, 16, 8),
    "fcn4s": (32, 16, 8, 4),
}


@dataclass(frozen=True, slots=True)
class Copied:
    """What `FCN.init_from` did, as names in the state dict."""

    copied: tuple[str, ...]
    other_shape: tuple[str, ...]  # in both, but of different sizes: unchanged
    missing: tuple[str, ...]  # in this net only: unchanged
    unused: tuple[str, ...]  # in the given weights only

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors copied"]
        for what, names in (
            ("of another shape", self.other_shape),
            ("new here", self.missing),
            ("not used", self.unused),
        ):
            if names:
                parts.append(f"{what}: {', '.join(names)}")
        return "; ".join(parts)


class FCN(nn.Module):
    """Class scores for every pixel: (n, in_channels, h, w) -> (n, num_classes, h, w), for any h and w from 1.

    `net`: how many pooling stages are fused: fcn32s, fcn16s, fcn8s, fcn4s, or fcn8s-atonce (skips scaled, so
    that the whole net can be trained in one go; a backbone with norms needs no scales: there it is fcn8s).
    `backbone`: small, vgg16, or efficientnet-lite0.  `upsampling`: learned (starts bilinear; over all pairs
    of classes if `dense`, as published, else class by class), fixed, stack, subpixel, nearest, bilinear,
    bicubic.
    `width` replaces the backbone's base width (small 16, vgg16 64).  `head`: channels of a 3x3 convolution
    with norm and ReLU between the features of a stride and their scores; 0 for none, as published.  An
    unknown name, or a picture that does not fit, raises `TconvError`.

    >>> import torch
    >>> net = FCN(4, net="fcn8s", backbone="small", upsampling="learned", in_channels=1)
    >>> net(torch.zeros(1, 1, 37, 53)).shape
    torch.Size([1, 4, 37, 53])
    >>> net.total_stride
    32
    """

    @checked
    def __init__(
        self,
        num_classes: int,
        *,
        net: str = "fcn8s",
        backbone: str = "small",
        upsampling: str = "learned",
        in_channels: int = 3,
        width: int | None = None,
        dense: bool = True,
        head: int = 0,
    ) -> None:
        super().__init__()
        _check("net", net, NETS)
        _check("backbone", backbone, BACKBONES)
        _check("upsampling", upsampling, UPSAMPLINGS)
        for name, count in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            if count is not None and not 1 <= count <= _MOST:
                much = "few; at least 1" if count < 1 else f"many; at most {_MOST:,}"
                raise TconvError(f"FCN: {name}={count} is too {much} would fit")
        if not 0 <= head <= _MOST:
            raise TconvError(f"FCN: head={head} does not fit; 0 (none) to {_MOST:,} channels would")
        self.num_classes, self.in_channels = num_classes, in_channels
        self.net, self.upsampling = net, upsampling
        self.strides = STRIDES[net]
        self.skip_scale = PLANS[backbone].skip_scale if net == "fcn8s-atonce" and backbone in PLANS else {}
        self.backbone = _backbone(backbone, in_channels, width)
        self.head = head
        self.score = nn.ModuleDict()
        self.upsample = nn.ModuleDict()
        for here, there in pairwise((*self.strides, 1)):
            score = nn.Conv2d(head or self.backbone.channels[here], num_classes, 1)
            # Zero, as published: no class is preferred at the start, and a new skip changes nothing yet.
            for parameter in score.parameters():
                nn.init.zeros_(parameter)
            self.score[f"s{here}"] = _headed(self.backbone.channels[here], head, score) if head else score
            self.upsample[f"s{here}to{there}"] = upsampler(
                upsampling, num_classes, here // there, dense=dense, corners=self.backbone.corners
            )
        self._crops, self._grid = self._align()

    def _align(self) -> tuple[dict[int, int], Grid]:
        """The cells to crop in front of each upsampled map, and the grid of the final scores."""
        crops: dict[int, int] = {}
        grids = self.backbone.grids
        if self.head:
            grids = {stride: grid.convolved(window(3, padding=1)) for stride, grid in grids.items()}
        grid = grids[self.strides[0]]
        for here, there in pairwise((*self.strides, 1)):
            grid = grid_after(self.upsampling, here // there, grid, corners=self.backbone.corners)
            target = grids[there] if there > 1 else Grid()
            crops[there] = grid.crop_to(target)
            grid = grid.joined(target)
        return crops, grid

    @property
    def total_stride(self) -> int:
        """Shifting a picture by a multiple of this many pixels shifts its scores (except at borders)."""
        return max(self.backbone.channels)

    @property
    def receptive_field(self) -> int:
        """The receptive field's margin in pixels: a score depends on no pixel farther away, on any side."""
        return self._grid.margin

    def forward(self, x: Tensor) -> Tensor:
        self._check_picture(x)
        features = self.backbone(x)
        scores = self._score(self.strides[0], features)
        for here, there in pairwise((*self.strides, 1)):
            skip = self._score(there, features) if there > 1 else None
            size = x.shape[-2:] if skip is None else skip.shape[-2:]
            scores = _crop(self.upsample[f"s{here}to{there}"](scores), self._crops[there], size)
            scores = scores if skip is None else scores + skip
        return scores

    def _score(self, stride: int, features: dict[int, Tensor]) -> Tensor:
        scale = self.skip_scale.get(stride, 1.0)
        feature = features[stride]
        scores: Tensor = self.score[f"s{stride}"](feature if scale == 1.0 else feature * scale)
        return scores.contiguous()

    def _check_picture(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < 1:
            raise TconvError(
                f"FCN: an input of shape {tuple(x.shape)} does not fit; "
                f"(n, {self.in_channels}, h, w) with h and w of at least 1 would"
            )

    def init_from(self, state_dict: Mapping[str, Tensor]) -> Copied:
        """Copy every tensor of the same name and shape, and say what was not copied.

        `TconvError` if nothing matches.
        """
        own = self.state_dict()
        same = [name for name in own if name in state_dict]
        fits = {name: state_dict[name] for name in same if own[name].shape == state_dict[name].shape}
        if not fits:
            raise TconvError(
                f"init_from: of {len(state_dict)} tensors none has a name and shape of this {self.net}; "
                "weights of another FCN of the same backbone would fit"
            )
        with torch.no_grad():
            for name, value in fits.items():
                own[name].copy_(value)
        return Copied(
            copied=tuple(fits),
            other_shape=tuple(name for name in same if name not in fits),
            missing=tuple(name for name in own if name not in state_dict),
            unused=tuple(name for name in state_dict if name not in own),
        )


def _backbone(name: str, in_channels: int, width: int | None) -> Backbone | LiteFeatures:
    if name in PLANS:
        return Backbone(PLANS[name], in_channels, width)
    if width is not None:
        raise TconvError(f"FCN: width={width} does not fit {name}, which has one width; leave it out")
    return LiteFeatures(in_channels)


def _headed(channels: int, width: int, score: nn.Conv2d) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(
        OrderedDict(
            conv=conv, norm=ChannelNorm(width), relu=nn.ReLU(), dropout=nn.Dropout2d(0.1), score=score
        )
    )


def _crop(x: Tensor, front: int, size: torch.Size) -> Tensor:
    """`size` cells of each axis, starting at cell `front`."""
    height, width = size
    return x[..., front : front + height, front : front + width]


def _check(dial: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise unknown(f"FCN: {dial}=", name, names)
