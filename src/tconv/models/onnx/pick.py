"""A model in ONNX for `tconv diagnose`: some of its layers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tconv.errors import TconvError, clean
from tconv.geometry import Geometry
from tconv.models.model import Model, only
from tconv.models.onnx import reader

__all__ = ["read"]


def read(path: Path, *, layers: Mapping[str, Geometry | None], input: Mapping[str, tuple[int, ...]]) -> Model:
    """All transposed convolutions, and the convolutions around them; `layers` selects some by name."""
    found = reader.read(path, input=input)
    if all(layer.conv for layer in found.layers):
        some = ", ".join(sorted({clean(node.op_type) for node in found.onnx.graph})[:8])
        raise TconvError(f"{path}: it has no transposed convolution with constant weights; it has {some}")
    return replace(found, layers=only(found.layers, layers, str(path)))
