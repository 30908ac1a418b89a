"""Nearest upsampling and the convolution after it become a smaller convolution and DepthToSpace.

Both are one transposed convolution (`merge_nearest`), and that is one convolution whose channels are its
phases (`conv_depth_to_space`), with the smallest kernel: k taps after repeating f times read at most
ceil((k-1)/f) + 1 different inputs, so with k = 3 and f = 2 an output takes 2 products an axis where it took
3. What stands over at the ends is cropped. A runtime that is quicker at convolutions than at transposed
ones gains more from this than from `merge_nearest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.algebra.shuffle import to_subpixel
from tconv.onnx.rules.conv_depth_to_space import PhasesApart, phase_nodes
from tconv.onnx.rules.layer import matching
from tconv.onnx.rules.merge_nearest import upsampled_convolution
from tconv.onnx.rules.resizing import OPERATORS
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


def _match(node: ir.Node, context: Context) -> PhasesApart | str:
    found = upsampled_convolution(node, context)
    if isinstance(found, str):
        return found
    conv, merged = found
    made = to_subpixel(merged.weight, merged.stride, merged.padding, 1, conv.groups, cropped=True)
    short, long = made.weight.shape[2:], conv.weight.shape[2:]
    if all(k >= before for k, before in zip(short, long, strict=True)):
        return f"a kernel of {long} would become one of {short}"
    return PhasesApart(conv, made)


def _rewrite(node: ir.Node, context: Context, found: PhasesApart) -> None:
    nodes = phase_nodes(node.inputs[0], context, found)
    context.replace([node, found.layer.node], nodes)


RULE = matching(
    "nearest-depth-to-space",
    "nearest upsampling and the convolution after it become a smaller convolution and DepthToSpace",
    OPERATORS,
    _match,
    _rewrite,
)
