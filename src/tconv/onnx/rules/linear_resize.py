"""Linear Resize becomes edge padding and one depthwise transposed convolution, borders included.

With a whole factor f the weight of input i at output o is max(0, 1 - |o - a - i f| / f), a = (f-1)/2 with
half-pixel centres and 0 for asymmetric: a function of o - i f, so a transposed convolution of stride f with
that triangle as its kernel (`tconv.algebra.resize`). Beyond the border a Resize reads the edge again, where
the layer sees zeros. They agree after the edge is repeated once where it is read beyond, and the outputs of
these copies are cropped. align_corners stretches by (f n - 1)/(n - 1), which is no whole factor: refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.algebra.arrays import check_room
from tconv.algebra.resize import Resize, linear_resize
from tconv.onnx.rules.layer import label, matching
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import transposed_attributes
from tconv.onnx.rules.resizing import OPERATORS, centred, read_resizing
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    channels: int
    made: Resize
    dtype: np.dtype[np.generic]


def _match(node: ir.Node, context: Context) -> _Match | str:
    resizing = read_resizing(node, context)
    if isinstance(resizing, str):
        return resizing
    middle = centred(resizing)
    if isinstance(middle, str):
        return middle
    if len(resizing.factors) > 3:
        return f"it resizes {len(resizing.factors)} axes; at most 3 are known to a layer"
    shape = context.shape(node.inputs[0])
    if shape is None or not isinstance(shape[1], int):
        return "its number of channels is not known"
    dtype = context.dtype(node.inputs[0])
    if dtype is None or dtype.kind != "f":
        return f"it resizes {'values of an unknown type' if dtype is None else dtype}"
    made = linear_resize(resizing.factors, len(resizing.factors), centred=middle)
    check_room(shape[1] * made.kernel.size, 1)
    return _Match(shape[1], made, dtype)


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    channels, made, dtype = found
    make = Maker(node, context, label(node))
    befores, behinds = zip(*made.edge, strict=True)
    padded = make.pad(node.inputs[0], [0, 0, *befores], [0, 0, *behinds], "edge")
    kernel = np.broadcast_to(made.kernel, (channels, 1, *made.kernel.shape)).astype(dtype)
    said = transposed_attributes(made.kernel.shape, made.stride, made.padding, channels)
    assert not isinstance(said, str)
    make.add("ConvTranspose", [padded, make.constant(kernel, "kernel")], **said)
    context.replace([node], make.nodes)


RULE = matching(
    "linear-resize",
    "linear Resize becomes edge padding and a depthwise transposed convolution",
    OPERATORS,
    _match,
    _rewrite,
)
