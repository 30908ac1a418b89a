"""A layer shaped like an inverse STFT becomes a matrix product and overlap-add.

One output channel per group and a long kernel: every input column gives a frame of k values, frame i begins
at output i s, and overlapping frames add. Split into m = k/s pieces of s values, the last padded with zeros,

    frames = W^T x                      one matrix product, (k, in) times (in, n)
    blocks = sum over j of piece j of the frames, moved j columns on        m - 1 additions of (s, n + m - 1)
    output = the columns of blocks, one after the other, cropped at both ends

(`tconv.algebra.overlap`; Allen & Rabiner 1977). Where the layer is computed by a column buffer and col2im,
each frame is scattered value by value; here it is moved in whole rows. Nothing depends on the length.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.arrays import check_room
from tconv.algebra.overlap import Frames, to_frames
from tconv.conventions.onnx_options import ConvOptions
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.interleaving import cropped
from tconv.onnx.rules.layer import LayerNode, read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import read_options
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]

_LEAST_KERNEL = 32  # below, columns are too short for a matrix product to pay
_MOST_PIECES = 32


class Found(NamedTuple):
    """A layer of one axis and one output channel per group, with its options."""

    layer: LayerNode
    options: ConvOptions


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_layer(node, context), str):
        return layer
    if layer.axes != 1:
        return f"it has {layer.axes} axes, not one"
    outputs, kernel = layer.shape[1:]
    if outputs != 1:
        return f"{outputs} output channels per group, not one"
    if kernel < _LEAST_KERNEL:
        return f"kernel {kernel} is short; from {_LEAST_KERNEL} on it is like an inverse STFT"
    if isinstance(options := read_options(layer, context), str):
        return options
    if options.dilation != (1,):
        return "a dilated kernel has no frames"
    hop = options.stride[0]
    pieces = -(-kernel // hop)
    check_room(layer.shape[0] * pieces * hop, prod(layer.shape))
    if pieces > _MOST_PIECES:
        return f"{pieces} frames overlap; at most {_MOST_PIECES} are added one by one"
    return Found(layer, options)


def apply(found: Found, context: Context) -> None:
    layer, (stride, padding, _) = found.layer, found.options.call
    groups, bias = layer.groups, layer.bias
    frames = to_frames(layer.weight, stride[0], padding, groups)
    matrix = frames.matrix[0] if groups == 1 else frames.matrix
    make = Maker(layer.node, context)
    columns = layer.node.inputs[0]
    if groups > 1:
        each = make.constant([0, groups, layer.channels[0] // groups, -1], "columns")
        columns = make.add("Reshape", [columns, each])
    product = make.add("MatMul", [make.constant(matrix, "frames"), columns])
    lo, hi = frames.crop
    more = max(0, -(hi // frames.hop))  # blocks of zeros at the end, if the output is longer than the frames
    blocks = _added(make, product, 1 if groups == 1 else 2, frames, more)
    rank = 3 if groups == 1 else 4
    turned = make.add("Transpose", [blocks], perm=[*range(rank - 2), rank - 1, rank - 2])
    whole = make.add("Reshape", [turned, make.constant([0, groups, -1], "line")])
    line = cropped(make, whole, ((lo, hi + more * frames.hop),))
    if bias is not None:
        make.add("Add", [line, make.constant(bias[:, None], "bias")])
    make.replace(layer.node)


def _added(make: Maker, product: ir.Value, axis: int, frames: Frames, more: int) -> ir.Value:
    """The pieces of frames along `axis`, each moved on by its number, added."""
    if frames.pieces + more == 1:
        return product
    pieces = make.split(product, axis, frames.pieces, frames.hop)
    moved = [
        make.pad(piece, [0] * (axis + 1) + [j], [0] * (axis + 1) + [frames.pieces - 1 - j + more])
        for j, piece in enumerate(pieces)
    ]
    return make.add("Sum", moved) if len(moved) > 1 else moved[0]


RULE = Rule("inverse-stft", ("ConvTranspose",), match, apply)
