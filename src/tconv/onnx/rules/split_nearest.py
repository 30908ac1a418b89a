"""A transposed convolution with a suitable kernel becomes nearest upsampling and a convolution.

The inverse of `merge_nearest`: v = w' convolved with ones(s) along every axis has the quotient
w'[u] = v[u] - v[u-1] + w'[u-s]. It is exact if the division leaves no remainder; in one dimension that is if
all phases have equal gains. Freely trained weights do not factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.merge import Convolution, split_nearest, tolerated
from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import conv_attributes, read_with_options
from tconv.onnx.rules.resizing import resized
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, and the convolution that equals it after nearest upsampling."""

    layer: LayerNode
    conv: Convolution


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(found := read_with_options(node, context), str):
        return found
    layer, options = found
    if set(options.stride) == {1}:
        return "stride 1 repeats nothing"
    if set(options.dilation) != {1}:
        return "a dilated kernel has no repetition"
    if any(k < s for k, s in zip(layer.kernel, options.stride, strict=True)):
        return f"kernel {layer.kernel} is shorter than the stride {options.stride}"
    try:
        conv = _divided(layer, options)
    except TconvError:
        return "its kernel is not a product of repetition and a convolution"
    if min(map(min, conv.padding)) < 0:
        return f"the convolution would need the padding {conv.padding}, which ONNX cannot say"
    return Found(layer, conv)


def _divided(layer: LayerNode, options: ConvOptions) -> Convolution:
    """The convolution; whether there is one is known only from the quotient, so it is computed here.

    One filter is tried first: those of nearly every trained layer do not factor.
    """
    weight, (stride, padding, _) = layer.weight, options.call
    tolerance = tolerated(weight)
    split_nearest(weight[:1, :1], stride, padding, tolerance=tolerance)
    return split_nearest(weight, stride, padding, layer.groups, tolerance=tolerance)


def apply(found: Found, context: Context) -> None:
    layer, conv = found
    make = Maker(layer.node, context)
    repeated = resized(make, layer.node.inputs[0], conv.factor, "nearest")
    weight = make.constant(conv.weight, "weight")
    said = conv_attributes(conv.weight.shape[2:], (1,) * layer.axes, conv.padding, layer.groups)
    make.add("Conv", [repeated, weight, *layer.node.inputs[2:]], **said)
    make.replace(layer.node)


RULE = Rule("split-nearest", ("ConvTranspose",), match, apply)
