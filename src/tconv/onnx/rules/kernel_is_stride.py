"""A layer whose stamps do not overlap becomes a 1x1 convolution and DepthToSpace.

Where the kernel's reach d(k-1) + 1 is at most the stride along every axis, each cell of the output has one
input and at most one tap:

    y[i s + r] = w_r x[i],    w_r the tap that reaches r, or zero

so that a 1x1 convolution makes the s cells of each input as channels, and DepthToSpace lays them side by
side (Shi et al. 2016). No product is added. Padding crops the result, and output padding, as far as the
kernel is shorter than the stride or padding crops there, is part of it. `conv_depth_to_space` is the same
for any kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconv.algebra.shuffle import to_subpixel
from tconv.geometry.axis import reach
from tconv.onnx.rules.conv_depth_to_space import PhasesApart, put_phases, with_phases
from tconv.onnx.rules.layer import matching
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


def _match(node: ir.Node, context: Context) -> PhasesApart | str:
    found = with_phases(node, context)
    if isinstance(found, str):
        return found
    layer, (stride, dilation, padding) = found
    reaches = [reach(k, d) for k, d in zip(layer.weight.shape[2:], dilation, strict=True)]
    if any(far > s for far, s in zip(reaches, stride, strict=True)):
        return f"its kernel reaches {tuple(reaches)} cells with strides {stride}, so its stamps overlap"
    # From the block that the first cell lies in; so is the kernel 1, whatever is cropped.
    made = to_subpixel(layer.weight, stride, padding, dilation, layer.groups, cropped=True)
    return PhasesApart(layer, made)


RULE = matching(
    "kernel-is-stride",
    "a layer whose stamps do not overlap becomes a 1x1 convolution and DepthToSpace",
    ["ConvTranspose"],
    _match,
    put_phases,
)
