"""The engine inside ONNX Runtime: nodes `tconv::ConvTranspose`, computed by a library of custom operators.

>>> import onnxruntime
>>> options = onnxruntime.SessionOptions()
>>> register(options)
"""

from __future__ import annotations

from typing import Any

from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import shown
from tconv.onnx.engine.planner import LIBRARY, install

__all__ = ["library", "register"]

#: Marks options that have the operator; a domain may be added to them once.
_MARK = "tconv.registered"


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
    """Let sessions with these options run nodes of the domain `tconv`; a second time changes nothing.

    Raises:
        TconvError: this installation has no library, the argument is no SessionOptions, or ONNX Runtime
            refuses the library.
    """
    add = getattr(session_options, "register_custom_ops_library", None)
    if add is None:
        raise TconvError(f"{shown(session_options)} is no onnxruntime.SessionOptions")
    try:
        session_options.get_session_config_entry(_MARK)
    except Exception:  # it has no such entry; ONNX Runtime's exceptions have no common base
        try:
            add(library())
        except Exception as fault:
            if isinstance(fault, TconvError):
                raise
            said = " ".join(str(fault).split())[:300]
            raise TconvError(f"ONNX Runtime refuses {LIBRARY}: {said}") from None
        session_options.add_session_config_entry(_MARK, "1")
