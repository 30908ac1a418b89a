"""A constant that multiplies or divides each channel after the layer goes into its weights and bias.

    a (conv_transpose(x, W) + b) = conv_transpose(x, a W) + a b      a of shape (C, 1, ..., 1) or one number

With groups, output channel g (C/groups) + j has its weights in W[c, j] for the inputs c of group g alone, so
each group's block is multiplied by its own part of a (`tconv.algebra.fold`). Division multiplies by 1/a, and
Neg by -1. The same holds for a plain convolution, whose outputs are the first axis of W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, rounded
from tconv.algebra.fold import scale_outputs
from tconv.onnx.rules.layer import LayerNode, matching, other_input, per_channel, put_back, read_layer
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["OPERATORS", "RULE", "factors"]

OPERATORS = ("Mul", "Div", "Neg")


class _Match(NamedTuple):
    layer: LayerNode
    scaling: ir.Node
    weight: Array
    bias: Array | None


def factors(scaling: ir.Node, value: ir.Value, axes: int, channels: int, context: Context) -> Array | str:
    """What a Mul, Div or Neg of `value` multiplies each channel by, (channels,); else why that is unknown."""
    if scaling.op_type == "Neg":
        return np.full(channels, -1.0)
    constant = context.constant(other_input(scaling, value))
    if constant is None:
        return "the factor is computed"
    scale = per_channel(constant, axes, channels)
    if scale is None:
        return f"the factor has shape {constant.shape}, not one number a channel"
    wide = np.broadcast_to(scale, channels).astype(np.float64)
    if scaling.op_type == "Div":
        if scaling.inputs[0] is not value:
            return "it divides a constant by the channels, not the channels"
        if not wide.all():
            return "it divides by zero"
        wide = 1 / wide
    return wide if np.isfinite(wide).all() else "the factor is not finite"


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    scaling = context.user(node.outputs[0], *OPERATORS)
    if isinstance(scaling, str):
        return scaling
    scale = factors(scaling, node.outputs[0], layer.axes, layer.channels[1], context)
    if isinstance(scale, str):
        return scale
    weight = scale_outputs(layer.weight, scale, layer.groups, transposed=layer.transposed)
    bias = None if layer.bias is None else rounded(layer.bias.astype(np.float64) * scale, layer.bias)
    return _Match(layer, scaling, weight, bias)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    made = put_back(found.layer, context, weight=found.weight, bias=found.bias)
    context.replace([node, found.scaling], [made])


RULE = matching(
    "fold-scale",
    "a constant that multiplies each channel goes into the weights",
    ["ConvTranspose", "Conv"],
    _match,
    _rewrite,
)
