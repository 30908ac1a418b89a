"""Groups become separate layers: channels are split, each group's layer is run, and all are concatenated.

    y = concat over g of conv_transpose(x_g, W_g) + b_g,    x_g, W_g, b_g: the channels of group g

which is the meaning of groups. For few groups; for many, `dense_groups` needs only one node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, read_grouped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import in_one_group
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]

_MOST = 16


class Found(NamedTuple):
    """A layer of several groups, and the attributes of each group's layer."""

    layer: LayerNode
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_grouped(node, context), str):
        return layer
    if layer.groups > _MOST:
        return f"its {layer.groups} groups would be more than {_MOST} layers"
    return Found(layer, in_one_group(node, context))


def apply(found: Found, context: Context) -> None:
    layer, attributes = found
    node, groups, bias = layer.node, layer.groups, layer.bias
    weights = np.split(layer.weight, groups)
    biases = None if bias is None else np.split(bias, groups)
    make = Maker(node, context)
    parts = make.split(node.inputs[0], 1, groups, layer.channels[0] // groups)
    made = []
    for g, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        inputs = [part, make.constant(weight, f"weight{g}")]
        if biases is not None:
            inputs.append(make.constant(biases[g], f"bias{g}"))
        made.append(make.add(node.op_type, inputs, **attributes))
    make.add("Concat", made, axis=1)
    make.replace(node)


RULE = Rule("split-groups", ("ConvTranspose",), match, apply)
