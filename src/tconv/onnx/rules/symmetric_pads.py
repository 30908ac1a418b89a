"""Pads that differ at the two ends become equal ones, and a Slice crops the rest.

Padding (lo, hi) crops lo and hi cells of the full output. With m = min(lo, hi) on each axis the layer crops
m at both ends and a Slice lo - m at the start or hi - m at the end: the same cells, for every size of the
input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.geometry.normalize import Sides
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.interleaving import cropped
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import pads_of, read_attributes, written
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, its attributes with equal pads, and the cells still to be cropped."""

    node: ir.Node
    attributes: dict[str, Any]
    crop: Sides


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(told := read_attributes(node, context), str):
        return told
    if isinstance(pads := pads_of(told), str):
        return pads
    if all(lo == hi for lo, hi in pads):
        return "its pads are equal at both ends"
    both = [min(lo, hi) for lo, hi in pads]
    crop = tuple((lo - m, hi - m) for (lo, hi), m in zip(pads, both, strict=True))
    return Found(node, written(told, tuple((m, m) for m in both)), crop)


def apply(found: Found, context: Context) -> None:
    node = found.node
    make = Maker(node, context)
    cropped(make, make.add(node.op_type, node.inputs, **found.attributes), found.crop)
    make.replace(node)


RULE = Rule("symmetric-pads", ("ConvTranspose",), match, apply)
