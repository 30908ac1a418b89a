"""OpenVINO's entry, opened once in a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino

__all__ = ["core"]


@cache
def core() -> openvino.Core:
    """The `openvino.Core` of this process, which is never released.

    As seen in 2026.4.1, each Core that compiles a model gives the calling thread a stack for signal handlers,
    and when released puts back the one before, without asking whether that still exists. Two Cores released
    in the order of their making leave none: the next signal with a handler, such as Ctrl-C in Python, ends
    the process by a segmentation fault.
    """
    import openvino

    return openvino.Core()
