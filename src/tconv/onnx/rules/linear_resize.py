"""Linear Resize becomes edge padding and one depthwise transposed convolution, borders included.

With a whole factor f the weight of input i at output o is max(0, 1 - |o - a - i f| / f), a = (f-1)/2 with
half-pixel centres and 0 for asymmetric: a function of o - i f, so a transposed convolution of stride f with
that triangle as its kernel (`tconv.algebra.resize`). Beyond the border a Resize reads the edge again, where
the layer has zeros. They agree if the edge is repeated once where it is read, and the outputs of these copies
are cropped. align_corners stretches by (f n - 1)/(n - 1), which is not a whole factor: refused.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.algebra.arrays import check_room
from tconv.algebra.resize import Lines, resize_lines
from tconv.models.onnx.resize import OPERATORS, centred, read_resize
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import transposed_attributes
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A Resize, its channels and their type, and the padding and layer that it becomes."""

    node: ir.Node
    channels: int
    dtype: np.dtype[np.generic]
    made: Lines
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(resizing := read_resize(node, context.shape(node.inputs[0]), context.opset(node)), str):
        return resizing
    if isinstance(middle := centred(resizing), str):
        return middle
    if len(resizing.factors) > 3:
        return f"it resizes {len(resizing.factors)} axes; a layer has at most 3"
    shape = context.shape(node.inputs[0])
    if shape is None or not isinstance(shape[1], int):
        return "its number of channels is not known"
    dtype = context.dtype(node.inputs[0])
    if dtype is None or dtype.kind != "f":
        return f"it resizes {'values of an unknown type' if dtype is None else dtype}"
    made = resize_lines(resizing.factors, len(resizing.factors), centred=middle)
    check_room(shape[1] * prod(made.shape), 1)
    attributes = transposed_attributes(made.shape, made.stride, made.padding, shape[1])
    return Found(node, shape[1], dtype, made, attributes)


def apply(found: Found, context: Context) -> None:
    node, channels, dtype, made, attributes = found
    kernel = np.broadcast_to(made.kernel, (channels, 1, *made.shape)).astype(dtype)
    make = Maker(node, context)
    befores, behinds = zip(*made.edge, strict=True)
    padded = make.pad(node.inputs[0], [0, 0, *befores], [0, 0, *behinds], "edge")
    make.add("ConvTranspose", [padded, make.constant(kernel, "kernel")], **attributes)
    make.replace(node)


RULE = Rule("linear-resize", OPERATORS, match, apply)
