"""BatchNormalization after the layer goes into its weights and bias, right with groups.

    a (y - mean) + beta,    a = gamma / sqrt(variance + epsilon)      (Ioffe & Szegedy 2015, in evaluation)

is an affine map of each channel, so that of y = conv_transpose(x, W) + b is conv_transpose(x, a W) + a (b -
mean) + beta. With groups a belongs to (group, channel within it): see `tconv.algebra.fold`. The same holds
for a plain convolution. A BatchNormalization that takes mean and variance from the batch is no fixed map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.fold import fold_batchnorm
from tconv.onnx.rules.layer import LayerNode, matching, put_back, read_layer
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    layer: LayerNode
    norm: ir.Node
    weight: Array
    bias: Array


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    norm = context.user(node.outputs[0], "BatchNormalization")
    if isinstance(norm, str):
        return norm
    if norm.attributes.get_int("training_mode", 0) or len(norm.outputs) > 1:
        return "the BatchNormalization takes its mean and variance from the batch"
    if not norm.attributes.get_int("spatial", 1):  # up to opset 8
        return "the BatchNormalization has a mean for every position"
    if len(norm.inputs) != 5 or norm.inputs[0] is not node.outputs[0]:
        return "the layer gives the BatchNormalization its numbers"
    numbers = [context.constant(value) for value in norm.inputs[1:]]
    if any(array is None for array in numbers):
        return "the BatchNormalization's numbers are computed"
    gamma, beta, mean, variance = (array for array in numbers if array is not None)
    weight, bias = fold_batchnorm(
        layer.weight, layer.bias, mean=mean, variance=variance, gamma=gamma, beta=beta,
        epsilon=norm.attributes.get_float("epsilon", 1e-5), groups=layer.groups, transposed=layer.transposed,
    )  # fmt: skip
    return _Match(layer, norm, weight, bias)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    made = put_back(found.layer, context, weight=found.weight, bias=found.bias)
    context.replace([node, found.norm], [made])


RULE = matching(
    "fold-batchnorm",
    "BatchNormalization goes into the weights and bias of the layer before it",
    ["ConvTranspose", "Conv"],
    _match,
    _rewrite,
)
