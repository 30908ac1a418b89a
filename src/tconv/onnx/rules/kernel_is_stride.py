"""A layer whose stamps do not overlap becomes a 1x1 convolution and DepthToSpace.

If the kernel's reach d(k-1) + 1 is at most the stride along every axis, each cell of the output has one input
and at most one tap:

    y[i s + r] = w_r x[i],    w_r the tap that reaches r, or zero

so a 1x1 convolution computes the s cells of each input as channels, and DepthToSpace places them side by
side (Shi et al. 2016). No product is added. Padding crops the result, and output padding, as far as the
kernel is shorter than the stride or padding crops there, is part of it. `conv_depth_to_space` is the same
for any kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.algebra.shuffle import phases
from tconv.geometry.axis import reach
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.conv_depth_to_space import Found, apply, with_phases
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


def match(node: ir.Node, context: Context) -> Found | str:
    if isinstance(found := with_phases(node, context), str):
        return found
    layer, options = found
    stride, dilation = options.stride, options.dilation
    reaches = [reach(k, d) for k, d in zip(layer.kernel, dilation, strict=True)]
    if any(far > s for far, s in zip(reaches, stride, strict=True)):
        return f"its kernel reaches {tuple(reaches)} cells with strides {stride}, so its stamps overlap"
    # From the block that contains the first cell: so the kernel is 1, whatever is cropped.
    made = phases(layer.shape, *options.call, cropped=True)
    return Found(layer, made, context.spatial(node.inputs[0], layer.axes))


RULE = Rule("kernel-is-stride", ("ConvTranspose",), match, apply)
