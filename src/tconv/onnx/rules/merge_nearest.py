"""Nearest upsampling and the convolution after it become one transposed convolution.

Upsampling by f repeats, so the convolution sums the same x[i] under several taps. Summing the taps instead,

    conv(repeat(x, f), w, p, d) = conv_transpose(x, v, stride f, padding d(k-1) - p),
    v = turned w, spread by d, convolved with ones(f): d(k-1) + f taps                (`tconv.algebra.merge`)

Both sides see zeros beyond the border, so it is exact there, too. For k = 3 and f = 2 in two axes an output
takes 4 products where it took 9.

A Resize repeats where its coordinates and rounding say so for every output: asymmetric with floor, half_pixel
with either round, tf_half_pixel_for_nn with floor, and whatever else agrees at its factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.merge import Merged, merge_nearest
from tconv.onnx.rules.layer import LayerNode, label, matching, read_layer
from tconv.onnx.rules.options import read_options, transposed_attributes
from tconv.onnx.rules.resizing import OPERATORS, read_resizing, repeats
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE", "upsampled_convolution"]


class _Match(NamedTuple):
    conv: LayerNode
    weight: Array
    attributes: dict[str, Any]


def upsampled_convolution(node: ir.Node, context: Context) -> tuple[LayerNode, Merged] | str:
    """The convolution after a Resize that repeats, and the layer that both are; or why they are not."""
    resizing = read_resizing(node, context)
    if isinstance(resizing, str):
        return resizing
    uneven = repeats(resizing)
    if uneven is not None:
        return uneven
    following = context.user(node.outputs[0], "Conv")
    if isinstance(following, str):
        return following
    conv = read_layer(following, context)
    if isinstance(conv, str):
        return f"the convolution after it: {conv}"
    if following.inputs[0] is not node.outputs[0] or node.outputs[0] in following.inputs[1:]:
        return "its answer is the weights of the convolution"
    if conv.axes != len(resizing.factors):
        return f"it resizes {len(resizing.factors)} axes of {conv.axes}"
    options = read_options(conv, context)
    if isinstance(options, str):
        return f"the convolution after it: {options}"
    if set(options.stride) != {1}:
        return f"the convolution after it has stride {max(options.stride)}"
    return conv, merge_nearest(conv.weight, resizing.factors, options.padding, options.dilation, conv.groups)


def _match(node: ir.Node, context: Context) -> _Match | str:
    found = upsampled_convolution(node, context)
    if isinstance(found, str):
        return found
    conv, merged = found
    said = transposed_attributes(merged.weight.shape[2:], merged.stride, merged.padding, conv.groups)
    return said if isinstance(said, str) else _Match(conv, merged.weight, said)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    conv = found.conv.node
    weight = context.make_constant(conv, found.weight, f"{label(conv)}_weight")
    inputs = [node.inputs[0], weight, *conv.inputs[2:]]
    made = context.make_node("ConvTranspose", inputs, found.attributes, like=label(conv))
    made.name = conv.name
    context.replace([node, conv], [made])


RULE = matching(
    "merge-nearest",
    "nearest upsampling and the convolution after it become one transposed convolution",
    OPERATORS,
    _match,
    _rewrite,
)
