"""A constant added to or subtracted from each channel becomes the layer's bias.

    y = conv_transpose(x, W) + b        b of shape (C, 1, ..., 1), (1, C, 1, ..., 1) or one number
      = conv_transpose(x, W, bias=b)
    b - conv_transpose(x, W) = conv_transpose(x, -W, bias=b)

A transposed convolution adds its bias to every output, also where no tap reaches, so nothing else changes.
An existing bias is added to the constant. The same holds for a plain convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import rounded
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, is_per_channel, other_input, put_back, read_layer
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, and the node that adds a constant to its output or subtracts it."""

    layer: LayerNode
    add: ir.Node
    added: ir.Value | None


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    if isinstance(add := context.user(node.outputs[0], "Add", "Sub"), str):
        return add
    added = other_input(add, node.outputs[0])
    shape = context.constant_shape(added)
    if shape is None:
        return "the addend is computed"
    if not is_per_channel(shape, layer.axes, layer.channels[1]):
        return f"the addend has shape {shape}, not one number per channel"
    return Found(layer, add, added)


def apply(found: Found, context: Context) -> None:
    layer, add, added = found
    shift = context.numbers(added).astype(np.float64).reshape(-1)
    held, weight = layer.bias, layer.weight
    own = np.zeros(layer.channels[1]) if held is None else held.astype(np.float64)
    turned = add.op_type == "Sub" and add.inputs[1] is layer.node.outputs[0]  # b - y
    total = shift - own if turned else own - shift if add.op_type == "Sub" else own + shift
    bias = rounded(total, weight)
    put_back(layer, context, layer.node, add, weight=-weight if turned else None, bias=bias)


RULE = Rule("fold-bias", ("ConvTranspose", "Conv"), match, apply)
