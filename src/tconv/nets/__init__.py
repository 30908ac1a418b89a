"""Networks built on the project's transposed convolutions: FCNs over two backbones, deconvolutional networks.

The names of the options are listed here without PyTorch, so that a command line can show them before it loads
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tconv.nets.deconvolutional import DeconvNet as DeconvNet
    from tconv.nets.fcn import FCN as FCN

__all__ = ["BACKBONES", "FCN", "NETS", "UPSAMPLINGS", "DeconvNet"]

NETS = ("fcn32s", "fcn16s", "fcn8s", "fcn8s-atonce")
BACKBONES = ("small", "vgg16")
UPSAMPLINGS = ("learned", "fixed", "stack", "nearest", "bilinear", "bicubic")


def __getattr__(name: str) -> object:
    if name == "FCN":
        from tconv.nets.fcn import FCN

        return FCN
    if name == "DeconvNet":
        from tconv.nets.deconvolutional import DeconvNet

        return DeconvNet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
