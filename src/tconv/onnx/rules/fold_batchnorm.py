"""BatchNormalization after the layer is folded into its weights and bias, also with groups.

    a (y - mean) + beta,    a = gamma / sqrt(variance + epsilon)      (Ioffe & Szegedy 2015, in evaluation)

is an affine map of each channel, so that of y = conv_transpose(x, W) + b is conv_transpose(x, a W) + a (b -
mean) + beta. With groups a belongs to (group, channel within it): see `tconv.algebra.fold`. The same holds
for a plain convolution. A BatchNormalization that takes mean and variance from the batch is not a fixed map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.fold import Affine, batchnorm, fold_affine
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, put_back, read_layer
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, the BatchNormalization after it, and its affine map of each channel."""

    layer: LayerNode
    norm: ir.Node
    affine: Affine


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    if isinstance(norm := context.user(node.outputs[0], "BatchNormalization"), str):
        return norm
    if norm.attributes.get_int("training_mode", 0) or len(norm.outputs) > 1:
        return "the BatchNormalization takes its mean and variance from the batch"
    if not norm.attributes.get_int("spatial", 1):  # up to opset 8
        return "the BatchNormalization has a mean for every position"
    if len(norm.inputs) != 5 or norm.inputs[0] is not node.outputs[0]:
        return "the layer computes the parameters of the BatchNormalization"
    if any(context.constant_shape(value) is None for value in norm.inputs[1:]):
        return "the BatchNormalization's numbers are computed"
    # Read here, one number per channel: every variance must be above zero.
    gamma, beta, mean, variance = map(context.numbers, norm.inputs[1:])
    epsilon = norm.attributes.get_float("epsilon", 1e-5)
    affine = batchnorm(
        layer.channels[1], mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon
    )
    return Found(layer, norm, affine)


def apply(found: Found, context: Context) -> None:
    layer, norm, affine = found
    weight, bias = fold_affine(layer.weight, layer.bias, affine, layer.groups, transposed=layer.transposed)
    put_back(layer, context, layer.node, norm, weight=weight, bias=bias)


RULE = Rule("fold-batchnorm", ("ConvTranspose", "Conv"), match, apply)
