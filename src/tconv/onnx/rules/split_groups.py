"""Groups become layers of their own: channels are split, each group's layer is run, and all are concatenated.

    y = concat over g of conv_transpose(x_g, W_g) + b_g,    x_g, W_g, b_g: the channels of group g

which is what groups mean. For few groups; many become many nodes, and `dense_groups` has one for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.onnx.rules.explicit import in_one_group
from tconv.onnx.rules.layer import LayerNode, label, matching, read_grouped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]

_MOST = 16


class _Match(NamedTuple):
    layer: LayerNode
    attributes: dict[str, Any]  #: of each group's layer


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_grouped(node, context)
    if isinstance(layer, str):
        return layer
    if layer.groups > _MOST:
        return f"its {layer.groups} groups would be more than {_MOST} layers"
    return _Match(layer, in_one_group(node, context))


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    make = Maker(node, context, label(node))
    layer, attributes = found
    groups = layer.groups
    assert node.inputs[0] is not None  # read_grouped has seen to it
    parts = make.split(node.inputs[0], 1, groups, layer.channels[0] // groups)
    weights = np.split(layer.weight, groups)
    biases = None if layer.bias is None else np.split(layer.bias, groups)
    made = []
    for g, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        inputs = [part, make.constant(weight, f"weight{g}")]
        if biases is not None:
            inputs.append(make.constant(biases[g], f"bias{g}"))
        made.append(make.add(node.op_type, inputs, **attributes))
    make.add("Concat", made, axis=1)
    context.replace([node], make.nodes)


RULE = matching("split-groups", "each group becomes a layer of its own", ["ConvTranspose"], _match, _rewrite)
