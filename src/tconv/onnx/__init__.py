"""Models in ONNX: looked through, and rewritten exactly.

Files are read and written by `tconv.models.onnx`, which stands on onnx-ir: `pip install 'tconv[onnx]'`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tconv.models.onnx import reader
from tconv.models.onnx.file import write
from tconv.models.onnx.layers import transposed
from tconv.models.onnx.nodes import constant
from tconv.onnx.inspection import Inspection, inspect
from tconv.onnx.rewriting import Refused, Report, rewrite

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Inspection", "Refused", "Report", "constant", "inspect", "read", "rewrite", "transposed", "write"]


def read(path: str | os.PathLike[str]) -> ir.Model:
    """The model in a file; tensors outside of it are found and measured, and read when they are used.

    Raises:
        TconvError: no such file, not an ONNX model, cut short, larger than a file of this format can be; a
            cycle; sizes that disagree, with what inference finds, too; an unknown opset; data that lies
            outside the model's folder or is not there.
    """
    model: ir.Model = reader.read(path).onnx
    return model
