"""Nodes that resize."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tconv.onnx.rules.maker import Maker

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["resized"]


def resized(make: Maker, value: ir.Value | None, factors: tuple[int, ...], mode: str) -> ir.Value:
    """`value`, its spatial axes resized: "nearest" repeats, "linear" has half-pixel centres (opset 11)."""
    scales = np.array([1, 1, *factors], np.float32)
    if make.opset < 9:
        return make.add("Upsample", [value], mode=mode, scales=scales.tolist())
    given = make.constant(scales, "scales")
    if make.opset < 11:
        return make.add("Upsample" if make.opset == 9 else "Resize", [value, given], mode=mode)
    region = make.constant(np.zeros(0, np.float32), "region") if make.opset < 13 else None
    said = {"coordinate_transformation_mode": "half_pixel"}
    if mode == "nearest":
        said = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return make.add("Resize", [value, region, given], mode=mode, **said)
