"""Nearest upsampling and the convolution after it become a smaller convolution and DepthToSpace.

Both are one transposed convolution (`merge_nearest`), and that is one convolution whose channels are its
phases (`conv_depth_to_space`), with the smallest kernel: k taps after repeating f times read at most
ceil((k-1)/f) + 1 different inputs, so with k = 3 and f = 2 an output takes 2 products per axis instead of
3. The excess at the ends is cropped. A runtime that is faster at convolutions than at transposed ones gains
more from this than from `merge_nearest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.shuffle import phases
from tconv.models.onnx.resize import OPERATORS
from tconv.onnx.rules import conv_depth_to_space
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.conv_depth_to_space import put_phases
from tconv.onnx.rules.merge_nearest import Upsampled, upsampled_convolution
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """Both layers as one, and the convolution whose channels are its phases."""

    both: Upsampled
    apart: conv_depth_to_space.Found


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(both := upsampled_convolution(node, context), str):
        return both
    conv = both.conv
    made = phases((*conv.shape[:2], *both.kernel), both.factors, both.padding, cropped=True)
    if all(k >= before for k, before in zip(made.kernel, conv.kernel, strict=True)):
        return f"a kernel of {conv.kernel} would become one of {made.kernel}"
    sizes = context.spatial(node.inputs[0], conv.axes)
    return Found(both, conv_depth_to_space.Found(conv, made, sizes))


def apply(found: Found, context: Context) -> None:
    both, apart = found
    weight = apart.made.weight(both.weight, both.conv.groups)
    put_phases(both.resize.inputs[0], context, apart, weight, both.resize, both.conv.node)


RULE = Rule("nearest-depth-to-space", OPERATORS, match, apply)
