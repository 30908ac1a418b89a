"""A constant added to or subtracted from each channel becomes the layer's bias.

    y = conv_transpose(x, W) + b        b of shape (C, 1, ..., 1), (1, C, 1, ..., 1) or one number
      = conv_transpose(x, W, bias=b)
    b - conv_transpose(x, W) = conv_transpose(x, -W, bias=b)

A transposed convolution adds its bias to every output, also where no tap reaches, so nothing else changes.
A bias that is there already is added to the constant. The same holds for a plain convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, rounded
from tconv.onnx.rules.layer import LayerNode, matching, other_input, per_channel, put_back, read_layer
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    layer: LayerNode
    add: ir.Node
    weight: Array | None  #: where its sign changes
    bias: Array


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    add = context.user(node.outputs[0], "Add", "Sub")
    if isinstance(add, str):
        return add
    constant = context.constant(other_input(add, node.outputs[0]))
    if constant is None:
        return "what is added is computed"
    added = per_channel(constant, layer.axes, layer.channels[1])
    if added is None:
        return f"what is added has shape {constant.shape}, not one number a channel"
    turned = add.op_type == "Sub" and add.inputs[1] is node.outputs[0]  # b - y
    own = np.zeros(layer.channels[1]) if layer.bias is None else layer.bias.astype(np.float64)
    shift = added.astype(np.float64)
    total = shift - own if turned else own - shift if add.op_type == "Sub" else own + shift
    return _Match(layer, add, -layer.weight if turned else None, rounded(total, layer.weight))


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    made = put_back(found.layer, context, weight=found.weight, bias=found.bias)
    context.replace([node, found.add], [made])


RULE = matching(
    "fold-bias",
    "a constant added to each channel becomes the layer's bias",
    ["ConvTranspose", "Conv"],
    _match,
    _rewrite,
)
