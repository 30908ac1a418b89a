"""A constant that multiplies or divides each channel after the layer is folded into its weights and bias.

    a (conv_transpose(x, W) + b) = conv_transpose(x, a W) + a b      a of shape (C, 1, ..., 1) or one number

With groups, output channel g (C/groups) + j has its weights in W[c, j] only for the inputs c of group g, so
each group's block is multiplied by its own part of a (`tconv.algebra.fold`). Division multiplies by 1/a, and
Neg by -1. The same holds for a plain convolution, whose outputs are the first axis of W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, rounded
from tconv.algebra.fold import scale_outputs
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, is_per_channel, other_input, put_back, read_layer
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["OPERATORS", "RULE", "factors"]

OPERATORS = ("Mul", "Div", "Neg")


class Found(NamedTuple):
    """A layer, the node that scales its output, and the factors, (channels,)."""

    layer: LayerNode
    scaling: ir.Node
    scale: Array


def factors(scaling: ir.Node, value: ir.Value, axes: int, channels: int, context: Context) -> Array | str:
    """What a Mul, Div or Neg of `value` multiplies each channel by, (channels,); else why that is unknown.

    The numbers are read, one per channel: all must be finite, and none a division by zero.
    """
    if scaling.op_type == "Neg":
        return np.full(channels, -1.0)
    other = other_input(scaling, value)
    shape = context.constant_shape(other)
    if shape is None:
        return "the factor is computed"
    if not is_per_channel(shape, axes, channels):
        return f"the factor has shape {shape}, not one number per channel"
    if scaling.op_type == "Div" and scaling.inputs[0] is not value:
        return "it divides a constant by the channels"
    wide = np.broadcast_to(context.numbers(other).reshape(-1), channels).astype(np.float64)
    if scaling.op_type == "Div":
        if not wide.all():
            return "it divides by zero"
        wide = 1 / wide
    return wide if np.isfinite(wide).all() else "the factor is not finite"


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    if isinstance(scaling := context.user(node.outputs[0], *OPERATORS), str):
        return scaling
    scale = factors(scaling, node.outputs[0], layer.axes, layer.channels[1], context)
    return scale if isinstance(scale, str) else Found(layer, scaling, scale)


def apply(found: Found, context: Context) -> None:
    layer, scaling, scale = found
    weight = scale_outputs(layer.weight, scale, layer.groups, transposed=layer.transposed)
    held = layer.bias
    bias = None if held is None else rounded(held.astype(np.float64) * scale, held)
    put_back(layer, context, layer.node, scaling, weight=weight, bias=bias)


RULE = Rule("fold-scale", ("ConvTranspose", "Conv"), match, apply)
