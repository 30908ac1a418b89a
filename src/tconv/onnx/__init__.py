"""Models in ONNX: read with care, looked through, and rewritten exactly.

Files are read by `tconv.onnx.model`, their transposed convolutions by `tconv.onnx.convolutions`; both stand
on onnx-ir, which `pip install 'tconv[onnx]'` brings.
"""

from __future__ import annotations

from tconv.onnx.attributes import Attributes
from tconv.onnx.convolutions import Transposed, transposed
from tconv.onnx.inspection import Inspection, inspect
from tconv.onnx.model import constant, read, write
from tconv.onnx.rewriting import Refused, Report, rewrite

__all__ = [
    "Attributes",
    "Inspection",
    "Refused",
    "Report",
    "Transposed",
    "constant",
    "inspect",
    "read",
    "rewrite",
    "transposed",
    "write",
]
