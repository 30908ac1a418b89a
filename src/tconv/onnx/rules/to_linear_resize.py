"""Edge padding and a depthwise bilinear transposed convolution become a linear Resize.

The inverse of `linear_resize`, and only after such a padding: a bilinear layer alone has zeros beyond the
border, so its outputs fade there, where a Resize repeats the edge. Every channel must have the same
triangle with half-pixel centres, to the rounding of its dtype; further copies of the edge do not matter, if
their outputs are cropped: E copies and the filter's padding (f - f mod 2)/2 take the padding E f + that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.resize import resize_lines
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import read_options
from tconv.onnx.rules.resizing import resized
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A Pad, and the layer after it with its factors."""

    pad: ir.Node
    layer: ir.Node
    factors: tuple[int, ...]


def match(node: ir.Node, context: Context) -> Found | str:
    if context.opset(node) < 11:
        return "Resize has half-pixel centres from opset 11 on"
    if node.attributes.get_string("mode", "constant") != "edge":
        return "it does not pad with the edge"
    if isinstance(following := context.user(node.outputs[0], "ConvTranspose"), str):
        return following
    if following.inputs[0] is not node.outputs[0]:
        return "its output is the weights of the layer"
    if isinstance(layer := read_layer(following, context), str):
        return f"the layer after it: {layer}"
    bias = layer.bias
    if bias is not None and bias.any():
        return "the layer after it has a bias"
    channels = layer.channels[0]
    if layer.groups != channels or layer.channels != (channels, channels):
        return "the layer after it is not depthwise"
    if isinstance(options := read_options(layer, context), str):
        return f"the layer after it: {options}"
    if max(options.stride) == 1 or set(options.dilation) != {1}:
        return "the layer after it does not upsample"
    if isinstance(edges := _edges(node, context, layer.axes), str):
        return edges
    wanted = resize_lines(options.stride, layer.axes)
    if layer.dtype.kind != "f":
        return f"the layer after it has weights of {layer.dtype}"
    # Whether filters are bilinear depends on their numbers, so those of the right size are read and compared.
    near = 4 * float(np.finfo(layer.dtype).eps)
    if layer.kernel != wanted.shape or np.abs(layer.weight - wanted.kernel).max() > near:
        return "the kernel of the layer after it is not bilinear"
    for held, least, crop, need, f in zip(
        edges, wanted.edge, options.padding, wanted.padding, options.stride, strict=True
    ):
        for end in (0, 1):
            if held[end] < least[end] or crop[end] != need[end] + (held[end] - least[end]) * f:
                return f"edges repeated {held} times and {crop} cropped are not a resize"
    return Found(node, following, options.stride)


def _edges(node: ir.Node, context: Context, axes: int) -> tuple[tuple[int, int], ...] | str:
    """How often each end of the spatial axes is repeated, or the reason why that is not known."""
    given = context.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if given is None:
        return "its pads are computed"
    rank, pads = axes + 2, [int(number) for number in given.ravel()]
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        chosen = context.constant(node.inputs[3])
        if chosen is None or len(pads) != 2 * chosen.size:
            return "its axes are computed"
        every = [0] * 2 * rank
        for i, axis in enumerate(int(number) % rank for number in chosen.ravel()):
            every[axis], every[axis + rank] = pads[i], pads[i + chosen.size]
        pads = every
    if len(pads) != 2 * rank:
        return f"it pads {len(pads) // 2} axes of {rank}"
    pairs = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if any(map(any, pairs[:2])):
        return "it pads the batch or the channels"
    return pairs[2:]


def apply(found: Found, context: Context) -> None:
    pad, layer, factors = found
    make = Maker(layer, context)
    resized(make, pad.inputs[0], factors, "linear")
    make.replace(pad, layer)


RULE = Rule("to-linear-resize", ("Pad",), match, apply)
