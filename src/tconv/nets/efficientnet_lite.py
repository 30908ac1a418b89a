"""EfficientNet-Lite0 (Tan & Le 2019, in the variant of 2020 for small devices): a classifier for ImageNet.

Inverted residuals without squeeze-excitation, ReLU6 instead of swish.  The picture is RGB,
(values of 0..255 - 127) / 128.  Every layer of the classifier pads as TensorFlow's "same" does, because the
published weights were trained with it: an odd cell of padding is at the far end.  `LiteFeatures`, an FCN's
backbone, pads both ends alike, because the position of a cell must not depend on the size of the picture.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.models.state import load_plain
from tconv.nets.backbones import window
from tconv.nets.grid import Grid

__all__ = [
    "DEVIATION",
    "MEAN",
    "EfficientNetLite0",
    "LiteFeatures",
    "features_from",
    "normalized",
    "read_efficientnet_lite0",
]

#: The normalisation of values of 0..1 that the published weights were trained with.
MEAN, DEVIATION = 127 / 255, 128 / 255

#: One row per stage: kernel, stride, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
#: The last block at a stride -> the stride.
ENDS = {2: 4, 4: 8, 10: 16, 15: 32}
STEM, HEAD, CLASSES = 32, 1280, 1000
#: Our name of a layer -> its name in the published file.
_PUBLISHED = {
    "stem.conv": "_conv_stem",
    "stem.norm": "_bn0",
    "expand.conv": "_expand_conv",
    "expand.norm": "_bn0",
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
    "head.conv": "_conv_head",
    "head.norm": "_bn1",
    "fc": "_fc",
}


class EfficientNetLite0(nn.Module):
    """Pictures (n, 3, h, w) to the scores of 1,000 classes (n, 1000); any size gives a map at every stride.

    Each convolution is followed by a norm and, but at the end of a block, by a ReLU6; they are named
    `stem`, `blocks.N.expand`, `blocks.N.depthwise`, `blocks.N.project` and `head`, with `conv`, `norm` and
    `relu` in each, then `fc`.
    """

    #: Stride -> the number of channels of its features.
    channels: ClassVar[dict[int, int]] = {4: 24, 8: 40, 16: 112, 32: 320}

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Layer(3, STEM, 3, stride=2)
        blocks, channels = [], STEM
        for kernel, stride, expansion, out, count in STAGES:
            for number in range(count):
                blocks.append(_Block(channels, out, kernel, 1 if number else stride, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.head = _Layer(channels, HEAD, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(HEAD, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)[32]
        pooled: Tensor = self.pool(self.head(features))
        scores: Tensor = self.fc(pooled.flatten(1))
        return scores

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """Stride -> features (n, channels[stride], ceil(h / stride), ceil(w / stride)), for a decoder."""
        return _features(self.stem, self.blocks, x)


class LiteFeatures(nn.Module):
    """The classifier without its head, as the backbone of an FCN: a picture to stride -> features.

    Cell i of a map of stride s has its centre at pixel s * i, whatever the picture's size.  (The classifier's
    does where all sizes are odd, such as 225, 113, 57, 29 and 15; there both compute the same.)  Norms in
    evaluation mode, which `frozen` keeps them in, are multiplied into the weights: that spares passes.
    """

    channels: ClassVar[dict[int, int]] = EfficientNetLite0.channels
    #: Centres are at the corners of cells: upsampling must keep cell i at pixel s * i.
    corners = True

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = _FoldingLayer(in_channels, STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = STEM
        self.grids: dict[int, Grid] = {}
        grid = Grid().convolved(window(3, stride=2, padding=1))
        for kernel, stride, expansion, out, count in STAGES:
            for number in range(count):
                step = 1 if number else stride
                grid = grid.convolved(window(kernel, step, kernel // 2))
                if len(blocks) in ENDS:
                    self.grids[ENDS[len(blocks)]] = grid
                blocks.append(_Block(channels, out, kernel, step, expansion, _FoldingLayer))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.frozen = False

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        return _features(self.stem, self.blocks, x.contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True) -> LiteFeatures:
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _features(stem: nn.Module, blocks: nn.ModuleList, x: Tensor) -> dict[int, Tensor]:
    x = stem(x)
    found = {}
    for number, block in enumerate(blocks):
        x = block(x)
        if number in ENDS:
            found[ENDS[number]] = x
    return found


class _Layer(nn.Module):
    """Convolution, norm, and a ReLU6 if `relu`."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.relu = nn.ReLU6() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        padded = nn.functional.pad(x, _same(x, kernel, stride)) if kernel > 1 else x
        y: Tensor = self.relu(self.norm(self.conv(padded)))
        return y


class _FoldingLayer(_Layer):
    """The same with padding of both ends alike; a norm in evaluation mode becomes part of the weights."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__(channels, out, kernel, stride=stride, groups=groups, relu=relu)
        self.conv.padding = (kernel // 2, kernel // 2)
        self.relu = nn.ReLU6(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        if norm.training:
            y: Tensor = self.relu(norm(conv(x)))
            return y
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight, bias = conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
        folded: Tensor = self.relu(
            nn.functional.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)
        )
        return folded


class _Block(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project; add the input where the shapes allow it."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, expansion: int, layer: type[_Layer] = _Layer
    ) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = layer(channels, inner, 1) if expansion > 1 else None
        self.depthwise = layer(inner, inner, kernel, stride=stride, groups=inner)
        self.project = layer(inner, out, 1, relu=False)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else self.expand(x)
        y: Tensor = self.project(self.depthwise(inner))
        return x + y if self.residual else y


def _same(x: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """(left, right, top, bottom) so that each size becomes ceil(size / stride)."""
    totals = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:]]
    top, left = (total // 2 for total in totals)
    return left, totals[1] - left, top, totals[0] - top


def normalized(picture: Tensor) -> Tensor:
    """RGB of 0..255, (..., 3, h, w), as the network wants it."""
    return (picture.float() - 127) / 128


def read_efficientnet_lite0(path: str | Path) -> EfficientNetLite0:
    """The network with the weights of a state dict, ours or the published one, in evaluation mode.

    Raises:
        TconvError: no such file, or it is not a state dict of this network.
    """
    path = Path(path)
    check_file(path)
    try:
        content = load_plain(path)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as fault:
        raise TconvError(
            f"weights {path}: not a PyTorch file of plain tensors; those of EfficientNet-Lite0 would fit"
        ) from fault
    model = EfficientNetLite0().eval()
    state = model.state_dict()
    model.load_state_dict({name: _tensor(path, content, name, own) for name, own in state.items()})
    return model


def features_from(path: str | Path, in_channels: int = 3) -> dict[str, Tensor]:
    """The tensors of a classifier's file that `LiteFeatures` has, by its names.

    Gray pictures (`in_channels` = 1) are taken as RGB of three equal values.

    Raises:
        TconvError: as in `read_efficientnet_lite0`.
    """
    state = read_efficientnet_lite0(path).state_dict()
    weights = {name: value for name, value in state.items() if name.startswith(("stem.", "blocks."))}
    if in_channels == 1:
        weights["stem.conv.weight"] = weights["stem.conv.weight"].sum(1, keepdim=True)
    return weights


def _tensor(path: Path, content: Any, name: str, own: Tensor) -> Tensor:
    layer, _, part = name.rpartition(".")
    held = content if isinstance(content, Mapping) else {}
    value = held.get(name, held.get(f"{_published(layer)}.{part}"))
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        raise TconvError(
            f"weights {path}: not a state dict of EfficientNet-Lite0 (it lacks {_published(layer)}.{part})"
        )
    if value.shape != own.shape or value.is_floating_point() != own.is_floating_point() or value.is_meta:
        raise TconvError(
            f"weights {clean(path)}: {_published(layer)}.{part} is {value.dtype} of {tuple(value.shape)}; "
            f"{own.dtype} of {tuple(own.shape)} would fit"
        )
    return value.to(own.dtype)


def _published(layer: str) -> str:
    head, _, rest = layer.partition(".")
    if head != "blocks":
        return _PUBLISHED[layer]
    number, _, inner = rest.partition(".")
    return f"_blocks.{number}.{_PUBLISHED[inner]}"
