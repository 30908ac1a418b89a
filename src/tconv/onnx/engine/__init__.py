"""The engine inside ONNX Runtime: nodes `tconv::ConvTranspose`, computed by a library of custom operators.

>>> import onnxruntime
>>> options = onnxruntime.SessionOptions()
>>> register(options)
"""

from __future__ import annotations

from typing import Any

from tconv.arguments import checked
from tconv.onnx.engine.planner import LIBRARY, install

__all__ = ["library", "register"]


@checked
def library() -> str:
    """The path of the library that `SessionOptions.register_custom_ops_library` takes.

    In this process it plans with tconv's planner. A program without Python may use the file as well
    (docs/guides/onnxruntime.md).

    Raises:
        TconvError: this installation has no such library.
    """
    install()
    return str(LIBRARY)


@checked
def register(session_options: Any) -> None:
    """Let sessions with these options run nodes of the domain `tconv`.

    Raises:
        TconvError: this installation has no library, or ONNX Runtime refuses it.
    """
    session_options.register_custom_ops_library(library())
