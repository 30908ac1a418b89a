"""Groups become one, with zeros stored for the pairs of channels that lie in different groups.

W of (in, out/groups) becomes (in, out) with each group's block on the diagonal: a product with zero for
every pair that was not joined before, so the sums are the same. It costs `groups` times the products and
the weights: for runtimes that have no groups in this layer, where equal filters (`groups_to_batch`) or few
groups (`split_groups`) do not serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.algebra.zeros import dense_groups
from tconv.onnx.rules.explicit import in_one_group
from tconv.onnx.rules.layer import Restated, matching, read_grouped, restate
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


def _match(node: ir.Node, context: Context) -> Restated | str:
    layer = read_grouped(node, context)
    if isinstance(layer, str):
        return layer
    return Restated(layer, dense_groups(layer.weight, layer.groups), in_one_group(node, context))


RULE = matching(
    "dense-groups", "groups become one, with zeros between them", ["ConvTranspose"], _match, restate
)
