"""auto_pad and output_shape are written as pads, as ONNX Runtime reads them.

SAME_UPPER and SAME_LOWER make i s outputs of i inputs. With o = output_padding that crops (i-1)s + d(k-1) +
1 + o - i s = d(k-1) + 1 + o - s cells, whatever i is, so this also holds for open sizes; if there is
nothing to crop, nothing is added. output_shape m crops (i-1)s + d(k-1) + 1 + o - m, which needs a known
i. The odd cell is cropped at the end for SAME_UPPER, else at the start. If output_shape is larger than the
full output, output padding is used. OpenVINO puts the odd cell of output_shape at the start for SAME_UPPER as
well: written as pads, the layer has one meaning everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import pads_of, read_attributes, written
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer, and its attributes with pads."""

    node: ir.Node
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(told := read_attributes(node, context), str):
        return told
    if told.auto_pad == "NOTSET" and told.output_shape is None:
        return "its pads are explicit"
    pads = pads_of(told)
    return pads if isinstance(pads, str) else Found(node, written(told, pads))


def apply(found: Found, context: Context) -> None:
    make = Maker(found.node, context)
    make.renew(found.node.inputs, found.attributes)
    make.replace(found.node)


RULE = Rule("explicit-pads", ("ConvTranspose",), match, apply)
