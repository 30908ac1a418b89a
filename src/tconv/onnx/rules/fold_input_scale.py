"""A constant that multiplies or divides each channel before the layer is folded into its weights.

    conv_transpose(a x, W) = conv_transpose(x, W'),    W'[c] = a[c] W[c],    a of shape (C, 1, ..., 1) or one

Both are sums over c of a[c] x[c] times W[c], and zeros around x stay zeros. A shift before the layer cannot
be folded: beyond the border there is zero, not the shift. The same holds for a plain convolution, whose
inputs are the second axis of W, counted within each group.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.fold import scale_inputs
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.fold_scale import OPERATORS, factors
from tconv.onnx.rules.layer import LayerNode, other_input, put_back, read_layer
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, the node that scales its input `x`, and the factors, (channels,)."""

    layer: LayerNode
    scaling: ir.Node
    x: ir.Value
    scale: Array


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    scaled = node.inputs[0]
    assert scaled is not None  # read_layer checks this
    scaling = scaled.producer()
    if scaling is None or scaling.domain or scaling.op_type not in OPERATORS:
        named = "an input" if scaling is None else scaling.op_type
        return f"it follows {named}, not a scale"
    user = context.user(scaled, node.op_type)
    if user is not node:
        return user if isinstance(user, str) else "another layer reads its input"
    x = next((given for given in scaling.inputs if context.constant_shape(given) is None), None)
    if x is None:
        return "the scaled value is a constant"
    inputs = layer.channels[0]
    if isinstance(scale := factors(scaling, x, layer.axes, inputs, context), str):
        return scale
    if _might_widen(scaling, x, layer, context):
        return f"whether {inputs} channels are scaled, or fewer broadcast, is not known"
    return Found(layer, scaling, x, scale)


def _might_widen(scaling: ir.Node, x: ir.Value, layer: LayerNode, context: Context) -> bool:
    """Whether the constant may have more axes or channels than x, which is then broadcast."""
    shape = context.constant_shape(other_input(scaling, x))
    rank = layer.axes + 2
    if shape is None or (prod(shape) == 1 and len(shape) < rank):
        return False
    known = context.shape(x)
    return known is None or len(known) != rank or known[1] != layer.channels[0]


def apply(found: Found, context: Context) -> None:
    layer, scaling, x, scale = found
    weight = scale_inputs(layer.weight, scale, layer.groups, transposed=layer.transposed)
    put_back(layer, context, scaling, layer.node, weight=weight, x=x)


RULE = Rule("fold-input-scale", ("ConvTranspose", "Conv"), match, apply)
