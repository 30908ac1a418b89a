"""A constant added to each channel before a convolution without padding is folded into its bias.

    conv(x + b, W) = conv(x, W) + B,    B[o] = sum over c and taps of W[o, c, tap] b[c]

A convolution that is not padded reads every tap of every output from within x, so the shift reaches all
outputs equally. With padding it does not: beyond the border there is zero, not the shift. Nor does it in a
transposed convolution, where outputs have different taps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import wide
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, is_per_channel, other_input, put_back, read_layer
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A convolution, and the node that adds the constant `shift` to its input `x`."""

    layer: LayerNode
    adding: ir.Node
    x: ir.Value
    shift: ir.Value | None


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    auto_pad = node.attributes.get_string("auto_pad", "NOTSET")
    if any(node.attributes.get_ints("pads", ())) or auto_pad not in ("NOTSET", "VALID"):
        return "it is padded"
    shifted = node.inputs[0]
    assert shifted is not None  # read_layer checks this
    adding = shifted.producer()
    if adding is None or adding.domain or adding.op_type != "Add":
        named = "an input" if adding is None else adding.op_type
        return f"it follows {named}, not an addition"
    user = context.user(shifted, "Conv")
    if user is not node:
        return user if isinstance(user, str) else "another layer reads its input"
    x = next((given for given in adding.inputs if context.constant_shape(given) is None), None)
    shift = None if x is None else other_input(adding, x)
    held, inputs = context.constant_shape(shift), layer.channels[0]
    if x is None or held is None or not is_per_channel(held, layer.axes, inputs):
        return "the addend is not one constant per channel"
    shape = context.shape(x)
    if shape is None or len(shape) != layer.axes + 2 or shape[1] != inputs:
        return f"whether {inputs} channels are shifted, or fewer broadcast, is not known"
    return Found(layer, adding, x, shift)


def apply(found: Found, context: Context) -> None:
    layer, adding, x, shift = found
    inputs, outputs = layer.channels
    groups, weight, bias = layer.groups, layer.weight, layer.bias
    taps = wide(weight).reshape(outputs, inputs // groups, -1).sum(2)
    shifts = wide(context.numbers(shift).reshape(-1))
    blocks = np.broadcast_to(shifts, (inputs,)).reshape(groups, -1)
    added = (taps.reshape(groups, -1, blocks.shape[1]) * blocks[:, None]).sum(2).reshape(-1)
    own = np.zeros(outputs) if bias is None else wide(bias)
    put_back(layer, context, adding, layer.node, bias=(own + added).astype(weight.dtype), x=x)


RULE = Rule("fold-input-shift", ("Conv",), match, apply)
