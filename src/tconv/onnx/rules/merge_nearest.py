"""Nearest upsampling and the convolution after it become one transposed convolution.

Upsampling by f repeats, so the convolution sums the same x[i] under several taps. Summing the taps instead,

    conv(repeat(x, f), w, p, d) = conv_transpose(x, v, stride f, padding d(k-1) - p),
    v = flipped w, spread by d, convolved with ones(f): d(k-1) + f taps                (`tconv.algebra.merge`)

Both have zeros beyond the border, so it is exact there, too. For k = 3 and f = 2 in two axes an output takes
4 products instead of 9.

A Resize repeats where its coordinates and rounding say so for every output: asymmetric with floor, half_pixel
with either round, tf_half_pixel_for_nn with floor, and whatever else agrees at its factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.merge import merge_nearest, merged_kernel
from tconv.conventions.onnx_options import ConvOptions
from tconv.geometry.normalize import Sides
from tconv.models.onnx.resize import OPERATORS, read_resize, repeats
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import read_options, transposed_attributes
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE", "Upsampled", "upsampled_convolution"]


class Upsampled(NamedTuple):
    """A Resize that repeats, the convolution after it, and both as one layer without its weights."""

    resize: ir.Node
    conv: LayerNode
    options: ConvOptions  #: of the convolution
    factors: tuple[int, ...]
    kernel: tuple[int, ...]
    padding: Sides

    @property
    def weight(self) -> Array:
        """The weights of the one layer, computed."""
        _, padding, dilation = self.options.call
        return merge_nearest(self.conv.weight, self.factors, padding, dilation, self.conv.groups).weight


class Found(NamedTuple):
    """Both layers, and the attributes of the merged one."""

    both: Upsampled
    attributes: dict[str, Any]


def upsampled_convolution(node: ir.Node, context: Context) -> Upsampled | str:
    """The convolution after a Resize that repeats, and both as one layer; else the reason."""
    if isinstance(resizing := read_resize(node, context.shape(node.inputs[0]), context.opset(node)), str):
        return resizing
    uneven = repeats(resizing)
    if uneven is not None:
        return uneven
    if isinstance(following := context.user(node.outputs[0], "Conv"), str):
        return following
    if isinstance(conv := read_layer(following, context), str):
        return f"the convolution after it: {conv}"
    if following.inputs[0] is not node.outputs[0] or node.outputs[0] in following.inputs[1:]:
        return "its output is the weights of the convolution"
    factors = resizing.factors
    if conv.axes != len(factors):
        return f"it resizes {len(factors)} axes of {conv.axes}"
    if isinstance(options := read_options(conv, context), str):
        return f"the convolution after it: {options}"
    if set(options.stride) != {1}:
        return f"the convolution after it has stride {max(options.stride)}"
    kernel, padding = merged_kernel(conv.shape, factors, options.padding, options.dilation)
    return Upsampled(node, conv, options, factors, kernel, padding)


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(both := upsampled_convolution(node, context), str):
        return both
    return Found(both, transposed_attributes(both.kernel, both.factors, both.padding, both.conv.groups))


def apply(found: Found, context: Context) -> None:
    (resize, layer, *_), weight = found.both, found.both.weight
    make = Maker(layer.node, context)
    inputs = [resize.inputs[0], make.constant(weight, "weight"), *layer.node.inputs[2:]]
    make.renew(inputs, found.attributes, "ConvTranspose")
    make.replace(resize, layer.node)


RULE = Rule("merge-nearest", OPERATORS, match, apply)
