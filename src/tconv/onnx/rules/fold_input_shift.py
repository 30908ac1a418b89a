"""A constant added to each channel before a convolution without padding goes into its bias.

    conv(x + b, W) = conv(x, W) + B,    B[o] = sum over c and taps of W[o, c, tap] b[c]

A convolution that is not padded reads every tap of every output from within x, so the shift reaches all
outputs alike. With padding it would not: beyond the border there is zero, not the shift. Nor would it in a
transposed convolution, where outputs have different taps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, wide
from tconv.onnx.rules.layer import LayerNode, matching, other_input, per_channel, put_back, read_layer
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    layer: LayerNode
    adding: ir.Node
    x: ir.Value
    bias: Array


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    padded = any(node.attributes.get_ints("pads", ())) or _auto_pad(node) not in ("NOTSET", "VALID")
    if padded:
        return "it is padded"
    shifted = node.inputs[0]
    assert shifted is not None  # read_layer has seen to it
    adding = shifted.producer()
    if adding is None or adding.domain or adding.op_type != "Add":
        return (
            f"nothing is added before it, but {'an input' if adding is None else adding.op_type} stands there"
        )
    user = context.user(shifted, "Conv")
    if user is not node:
        return user if isinstance(user, str) else "another layer reads its input"
    x = next((given for given in adding.inputs if context.constant(given) is None), None)
    inputs, outputs = layer.channels
    shift = None if x is None else per_channel(context.constant(other_input(adding, x)), layer.axes, inputs)
    if x is None or shift is None:
        return "what is added is not one constant a channel"
    shape = context.shape(x)
    if shape is None or len(shape) != layer.axes + 2 or shape[1] != inputs:
        return f"whether {inputs} channels are shifted, or made of fewer, is not known"
    taps = wide(layer.weight).reshape(outputs, inputs // layer.groups, -1).sum(2)
    blocks = np.broadcast_to(wide(shift), (inputs,)).reshape(layer.groups, -1)
    added = (taps.reshape(layer.groups, -1, blocks.shape[1]) * blocks[:, None]).sum(2).reshape(-1)
    held = np.zeros(outputs) if layer.bias is None else wide(layer.bias)
    return _Match(layer, adding, x, (held + added).astype(layer.weight.dtype))


def _auto_pad(node: ir.Node) -> str:
    return str(node.attributes.get_string("auto_pad", "NOTSET"))


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    context.replace([found.adding, node], [put_back(found.layer, context, bias=found.bias, x=found.x)])


RULE = matching(
    "fold-input-shift",
    "a constant added to each channel before a convolution without padding goes into its bias",
    ["Conv"],
    _match,
    _rewrite,
)
