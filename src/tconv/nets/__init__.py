"""Networks built on the project's transposed convolutions, and what a unit of a network sees.

FCN-32s, 16s and 8s over two backbones; `project` runs any network of convolutions backwards from a unit.

The names of the options are listed here without PyTorch, so that a command line can show them before it loads
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tconv.nets.fcn import FCN as FCN
    from tconv.nets.projection import project as project

__all__ = ["BACKBONES", "FCN", "NETS", "UPSAMPLINGS", "project"]

NETS = ("fcn32s", "fcn16s", "fcn8s", "fcn8s-atonce")
BACKBONES = ("small", "vgg16")
UPSAMPLINGS = ("learned", "fixed", "stack", "nearest", "bilinear", "bicubic")


def __getattr__(name: str) -> object:
    if name == "FCN":
        from tconv.nets.fcn import FCN

        return FCN
    if name == "project":
        from tconv.nets.projection import project

        return project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
