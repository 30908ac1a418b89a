"""Networks built on the project's transposed convolutions, a file each.

`NETWORKS` says which file has which network; each is imported when it is first asked for. `project` runs any
network of convolutions backwards, from a unit to the picture. The names of the FCN's options are listed here
without PyTorch, so that a command line can show them before it loads it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tconv.nets.dcgan import Discriminator as Discriminator
    from tconv.nets.dcgan import Generator as Generator
    from tconv.nets.deconvolutional import DeconvNet as DeconvNet
    from tconv.nets.efficientnet_lite import EfficientNetLite0 as EfficientNetLite0
    from tconv.nets.fcn import FCN as FCN
    from tconv.nets.projection import Projection as Projection
    from tconv.nets.projection import project as project

__all__ = [
    "BACKBONES",
    "FCN",
    "NETS",
    "UPSAMPLINGS",
    "DeconvNet",
    "Discriminator",
    "EfficientNetLite0",
    "Generator",
    "Projection",
    "project",
]

NETS = ("fcn32s", "fcn16s", "fcn8s", "fcn8s-atonce", "fcn4s")
BACKBONES = ("small", "vgg16", "efficientnet-lite0")
UPSAMPLINGS = ("learned", "fixed", "stack", "subpixel", "nearest", "bilinear", "bicubic")

NETWORKS = {
    "DeconvNet": "deconvolutional",
    "Discriminator": "dcgan",
    "EfficientNetLite0": "efficientnet_lite",
    "FCN": "fcn",
    "Generator": "dcgan",
    "Projection": "projection",
    "project": "projection",
}
"""Name of a class or function -> the module of this room that defines it."""


def __getattr__(name: str) -> object:
    if name in NETWORKS:
        return getattr(importlib.import_module(f"{__name__}.{NETWORKS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
