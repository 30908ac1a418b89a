"""Groups become one, with zeros stored for pairs of channels in different groups.

W of (in, out/groups) becomes (in, out) with each group's block on the diagonal: a product with zero for
every pair that was not connected before, so the sums are the same. It costs `groups` times the products and
the weights: for runtimes without groups in this layer, if equal filters (`groups_to_batch`) or few
groups (`split_groups`) do not apply.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import check_room
from tconv.algebra.zeros import dense_groups
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, put_back, read_grouped
from tconv.onnx.rules.options import in_one_group
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A layer of several groups, and its attributes for one."""

    layer: LayerNode
    attributes: dict[str, Any]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(layer := read_grouped(node, context), str):
        return layer
    check_room(prod(layer.shape) * layer.groups, prod(layer.shape))
    return Found(layer, in_one_group(node, context))


def apply(found: Found, context: Context) -> None:
    layer, attributes = found
    weight = dense_groups(layer.weight, layer.groups)
    put_back(layer, context, layer.node, weight=weight, attributes=attributes)


RULE = Rule("dense-groups", ("ConvTranspose",), match, apply)
