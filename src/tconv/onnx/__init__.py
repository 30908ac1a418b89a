"""Models in ONNX: inspected, rewritten exactly, and run in ONNX Runtime with tconv's engine.

Files are read and written by `tconv.models.onnx`, which uses onnx-ir: `pip install 'tconv[onnx]'`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tconv.arguments import checked
from tconv.models.onnx import reader
from tconv.models.onnx.constants import constant
from tconv.models.onnx.file import write
from tconv.models.onnx.layers import transposed
from tconv.onnx.engine import library, register
from tconv.onnx.engine.sessions import session
from tconv.onnx.inspection import Inspection, inspect
from tconv.onnx.rewriting import Refused, Report, rewrite

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "Inspection",
    "Refused",
    "Report",
    "constant",
    "inspect",
    "library",
    "read",
    "register",
    "rewrite",
    "session",
    "transposed",
    "write",
]


@checked
def read(path: str | os.PathLike[str]) -> ir.Model:
    """The model in a file; external tensors are located and their size is checked; they are read on use.

    Raises:
        TconvError: no such file, not an ONNX model, truncated, larger than a file of this format can be; a
            cycle; sizes that disagree, also after inference; an unknown opset; data that are missing or
            outside the model's folder.
    """
    model: ir.Model = reader.read(path).onnx
    return model
