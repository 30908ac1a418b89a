"""A dilated kernel is stored with the zeros between its taps, and the dilation goes.

Tap t of a kernel with dilation d reaches t d cells; so does tap t d of a kernel of d(k-1) + 1 taps that is
zero elsewhere. All other options mean the same. The price is d times the products along an axis, most of
them with zero: for runtimes that have no dilation in this layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tconv.algebra.zeros import spread_dilation
from tconv.onnx.rules.explicit import pads_of, read_attributes, written
from tconv.onnx.rules.layer import Restated, matching, read_layer, restate
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


def _match(node: ir.Node, context: Context) -> Restated | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    told = read_attributes(node, context)
    if isinstance(told, str):
        return told
    # The dilation of an axis with a single tap says nothing, and would still be more than a runtime takes.
    if set(told.dilation) == {1}:
        return "it has no dilation"
    pads = pads_of(told)
    if isinstance(pads, str):
        return pads
    weight = spread_dilation(layer.weight, told.dilation)
    plain = replace(told, kernel=weight.shape[2:], dilation=(1,) * told.axes)
    return Restated(layer, weight, written(plain, pads))


RULE = matching(
    "spread-dilation",
    "a dilated kernel is stored with zeros between its taps",
    ["ConvTranspose"],
    _match,
    restate,
)
