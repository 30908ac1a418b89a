"""Groups that all have the same weights become one group with a larger batch.

Group g computes channels g (out/groups) .. from channels g (in/groups) .. with its own block of weights. If
the blocks are equal, groups are independent images of a batch:

    (n, groups c, h, w) -> (n groups, c, h, w) -> one group -> (n groups, m, H, W) -> (n, groups m, H, W)

and both reshapes leave the memory as it is. FCN's upsampling is such a layer: the same bilinear filter on
every channel. A bias that differs from group to group is added after the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, read_grouped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import in_one_group
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer whose groups have the same weights, and one group of it."""

    layer: LayerNode
    weight: Array
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_grouped(node, context), str):
        return layer
    # Whether groups are equal depends on their numbers, so they are read; two suffice for nearly all layers.
    weight = layer.weight
    blocks = weight.reshape(layer.groups, -1, *weight.shape[1:])
    if not ((blocks[1] == blocks[0]).all() and (blocks == blocks[:1]).all()):
        return "its groups have different weights"
    return Found(layer, blocks[0], in_one_group(node, context))


def apply(found: Found, context: Context) -> None:
    layer, weight, attributes = found
    bias = layer.bias
    biases = None if bias is None else bias.reshape(layer.groups, -1)
    alike = biases is None or (biases == biases[:1]).all()
    make = Maker(layer.node, context)
    inputs, outputs = layer.channels
    kept = [0] * layer.axes  # to Reshape: the size that the axis of this number has
    shape = make.constant([-1, inputs // layer.groups, *kept], "apart")
    apart = make.add("Reshape", [layer.node.inputs[0], shape])
    numbers = [make.constant(weight, "weight")]
    if biases is not None and alike:
        numbers.append(make.constant(biases[0], "bias"))
    made = make.add(layer.node.op_type, [apart, *numbers], **attributes)
    made = make.add("Reshape", [made, make.constant([-1, outputs, *kept], "together")])
    if biases is not None and not alike:
        make.add("Add", [made, make.constant(biases.reshape(-1, *(1,) * layer.axes), "bias")])
    make.replace(layer.node)


RULE = Rule("groups-to-batch", ("ConvTranspose",), match, apply)
