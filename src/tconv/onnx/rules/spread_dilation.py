"""A dilated kernel is stored with zeros between its taps, and the dilation is removed.

Tap t of a kernel with dilation d reaches t d cells; so does tap t d of a kernel of d(k-1) + 1 taps that is
zero elsewhere. All other options keep their meaning. The cost is d times the products along an axis, most
of them with zero: for runtimes that have no dilation in this layer.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import check_room
from tconv.algebra.zeros import spread_dilation
from tconv.geometry.axis import reach
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, put_back, read_layer
from tconv.onnx.rules.options import pads_of, read_attributes, written
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, its dilation, and its attributes without it."""

    layer: LayerNode
    dilation: tuple[int, ...]
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    if isinstance(told := read_attributes(node, context), str):
        return told
    # The dilation of an axis with a single tap has no effect, but a runtime may still refuse it.
    if set(told.dilation) == {1}:
        return "it has no dilation"
    if isinstance(pads := pads_of(told), str):
        return pads
    kernel = tuple(reach(k, d) for k, d in zip(layer.kernel, told.dilation, strict=True))
    check_room(prod(layer.shape[:2]) * prod(kernel), prod(layer.shape))
    plain = replace(told, kernel=kernel, dilation=(1,) * told.axes)
    return Found(layer, told.dilation, written(plain, pads))


def apply(found: Found, context: Context) -> None:
    layer, dilation, attributes = found
    weight = spread_dilation(layer.weight, dilation)
    put_back(layer, context, layer.node, weight=weight, attributes=attributes)


RULE = Rule("spread-dilation", ("ConvTranspose",), match, apply)
