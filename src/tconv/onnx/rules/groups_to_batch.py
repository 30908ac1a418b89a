"""Groups that all have the same weights become one group on a larger batch.

Group g makes channels g (out/groups) .. of channels g (in/groups) .. by its own block of weights. Where the
blocks are equal, groups are so many independent pictures:

    (n, groups c, h, w) -> (n groups, c, h, w) -> one group -> (n groups, m, H, W) -> (n, groups m, H, W)

and both reshapes leave the memory as it is. FCN's upsampling is such a layer: the same bilinear filter on
every channel. A bias that differs from group to group is added behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.onnx.rules.explicit import in_one_group
from tconv.onnx.rules.layer import LayerNode, label, matching, read_grouped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    layer: LayerNode
    attributes: dict[str, Any]
    weight: Array  #: of one group
    bias: Array | None  #: of one group
    added: Array | None  #: behind, where it is not the same in every group


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_grouped(node, context)
    if isinstance(layer, str):
        return layer
    blocks = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
    if not (blocks == blocks[:1]).all():
        return "its groups have different weights"
    attributes = in_one_group(node, context)
    if layer.bias is None:
        return _Match(layer, attributes, blocks[0], None, None)
    biases = layer.bias.reshape(layer.groups, -1)
    if (biases == biases[:1]).all():
        return _Match(layer, attributes, blocks[0], biases[0], None)
    return _Match(layer, attributes, blocks[0], None, layer.bias.reshape(-1, *(1,) * layer.axes))


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    layer = found.layer
    make = Maker(node, context, label(node))
    inputs, outputs = layer.channels
    kept = [0] * layer.axes  # to Reshape: the size that the axis of this number has
    apart = make.add("Reshape", [node.inputs[0], make.constant([-1, inputs // layer.groups, *kept], "apart")])
    numbers = [make.constant(found.weight, "weight")]
    if found.bias is not None:
        numbers.append(make.constant(found.bias, "bias"))
    made = make.add(node.op_type, [apart, *numbers], **found.attributes)
    made = make.add("Reshape", [made, make.constant([-1, outputs, *kept], "together")])
    if found.added is not None:
        make.add("Add", [made, make.constant(found.added, "bias")])
    context.replace([node], make.nodes)


RULE = matching(
    "groups-to-batch",
    "groups of equal weights become one group on a larger batch",
    ["ConvTranspose"],
    _match,
    _rewrite,
)
