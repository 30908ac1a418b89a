"""A transposed convolution whose kernel is such a product becomes nearest upsampling and a convolution.

The way back of `merge_nearest`: v = w' convolved with ones(s) along every axis has the quotient
w'[u] = v[u] - v[u-1] + w'[u-s]. It is exact where the division leaves nothing; in one dimension that is where
all phases have equal gains. Weights that were trained freely do not factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.merge import Convolution, split_nearest
from tconv.errors import TconvError
from tconv.onnx.rules.layer import LayerNode, label, matching, read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import conv_attributes, read_options
from tconv.onnx.rules.resizing import resized
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    layer: LayerNode
    conv: Convolution


def _match(node: ir.Node, context: Context) -> _Match | str:
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    options = read_options(layer, context)
    if isinstance(options, str):
        return options
    if set(options.stride) == {1}:
        return "stride 1 repeats nothing"
    if set(options.dilation) != {1}:
        return "a dilated kernel holds no repetition"
    kernel = layer.weight.shape[2:]
    if any(k < s for k, s in zip(kernel, options.stride, strict=True)):
        return f"kernel {kernel} is shorter than the stride {options.stride}"
    try:
        conv = split_nearest(layer.weight, options.stride, options.padding, layer.groups)
    except TconvError:
        return "its kernel is no product of repeating and a convolution"
    if min(map(min, conv.padding)) < 0:
        return f"the convolution would need the padding {conv.padding}, which ONNX cannot say"
    return _Match(layer, conv)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    layer, conv = found
    make = Maker(node, context, label(node))
    repeated = resized(make, node.inputs[0], conv.factor, "nearest")
    axes = layer.axes
    weight = make.constant(conv.weight, "weight")
    said = conv_attributes(conv.weight.shape[2:], (1,) * axes, conv.padding, layer.groups)
    make.add("Conv", [repeated, weight, *node.inputs[2:]], **said)
    context.replace([node], make.nodes)


RULE = matching(
    "split-nearest",
    "a transposed convolution that is one becomes nearest upsampling and a convolution",
    ["ConvTranspose"],
    _match,
    _rewrite,
)
