"""output_padding is subtracted from the pads at the end, or replaced by taps of zero there.

The output has (i-1)s - lo - hi + d(k-1) + 1 + o cells: o restores what hi crops, so (hi, o) and (hi - o, 0)
are the same layer. Where o is more than hi, e = ceil((o - hi) / d) taps of zero after the kernel's last
make the full output longer by e d cells that no input reaches, of which hi - o + e d are cropped: the
others hold only the bias, as with output padding. ONNX has no negative padding, which would need no zeros.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import check_room
from tconv.algebra.zeros import append_taps
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import pads_of, read_attributes, written
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, its attributes without output padding, and the taps of zero to add along each axis."""

    node: ir.Node
    attributes: dict[str, Any]
    taps: tuple[int, ...]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(told := read_attributes(node, context), str):
        return told
    if not any(told.output_padding):
        return "it has no output_padding"
    if isinstance(pads := pads_of(told), str):
        return pads
    behind = [hi - o for (_, hi), o in zip(pads, told.output_padding, strict=True)]
    taps = tuple(max(-(hi // d), 0) for hi, d in zip(behind, told.dilation, strict=True))
    kernel = tuple(k + e for k, e in zip(told.kernel, taps, strict=True))
    if any(taps):
        shape = context.constant_shape(node.inputs[1])
        if shape is None:
            return "taps of zero would be added, and its weights are computed"
        check_room(prod(shape[:2]) * prod(kernel), prod(shape))
    longer = replace(told, kernel=kernel, output_padding=(0,) * told.axes)
    ends = zip(pads, behind, taps, told.dilation, strict=True)
    left = tuple((lo, hi + e * d) for (lo, _), hi, e, d in ends)
    return Found(node, written(longer, left), taps)


def apply(found: Found, context: Context) -> None:
    node, inputs = found.node, list(found.node.inputs)
    make = Maker(node, context)
    if any(found.taps):
        weight = append_taps(context.numbers(inputs[1]), found.taps)
        inputs[1] = make.constant(weight, "weight")
    make.renew(inputs, found.attributes)
    make.replace(node)


RULE = Rule("drop-output-padding", ("ConvTranspose",), match, apply)
