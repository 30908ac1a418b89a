"""A transposed convolution becomes one convolution of stride 1 whose channels are its phases, interleaved.

Output o stands at phase r = (o + lo) mod s of the full output, and each phase is a convolution of the input
itself, since a tap t reaches r only where t d = r (mod s). So

    conv_transpose(x, W, stride s) = depth_to_space(conv(x, W'), s),    W' with prod(s) times the channels,

the sub-pixel convolution of Shi et al. 2016 (`tconv.algebra.shuffle`). DepthToSpace does it for two axes of
equal stride, else Reshape, Transpose and Reshape. The bias is repeated for every phase.

There are two choices for where blocks begin, hence two rules. The first avoids cropping if possible: k4 s2 p1
is a convolution with kernel 3, of whose 9 taps 4 hold weights in each phase. The second takes the smallest
kernel, here 2, so that no product is with zero, and crops the excess with a Slice.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.shuffle import Phases, channels_last, phases
from tconv.conventions.onnx_options import ConvOptions
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.interleaving import block_size, cropped, interleaved
from tconv.onnx.rules.layer import LayerNode
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import conv_attributes, read_with_options
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["CROPPED", "RULE", "Found", "apply", "put_phases", "with_phases"]


class Found(NamedTuple):
    """A layer, the convolution whose channels are its phases, and the spatial sizes of its input."""

    layer: LayerNode
    made: Phases
    sizes: tuple[int | None, ...]


def with_phases(node: ir.Node, context: Context) -> tuple[LayerNode, ConvOptions] | str:
    """A layer that has more than one phase, with its options; else the reason."""
    found = read_with_options(node, context)
    if not isinstance(found, str) and set(found[1].stride) == {1}:
        return "stride 1 has one phase"
    return found


def match(node: ir.Node, context: Context, *, crop: bool) -> Found | str:
    if isinstance(found := with_phases(node, context), str):
        return found
    layer, options = found
    made = phases(layer.shape, *options.call)
    if crop:
        whole, made = made, phases(layer.shape, *options.call, cropped=True)
        if made.kernel == whole.kernel:
            return "cropping does not shrink the kernel"
    return Found(layer, made, context.spatial(node.inputs[0], layer.axes))


def apply(found: Found, context: Context) -> None:
    layer = found.layer
    weight = found.made.weight(layer.weight, layer.groups)
    put_phases(layer.node.inputs[0], context, found, weight, layer.node)


def put_phases(source: ir.Value | None, context: Context, found: Found, weight: Array, *old: ir.Node) -> None:
    """Replace `old` by the convolution of `source`, the interleaving of its phases and the crop."""
    layer, made, sizes = found
    make = Maker(layer.node, context)
    groups, stride, bias = layer.groups, made.stride, layer.bias
    bias = None if bias is None else bias.repeat(prod(stride))
    if groups == 1 and block_size(stride, groups, make.opset) is not None:
        weight = channels_last(weight, stride)
        bias = None if bias is None else channels_last(bias, stride)
    inputs = [source, make.constant(weight, "weight")]
    if bias is not None:
        inputs.append(make.constant(bias, "bias"))
    apart = make.add("Conv", inputs, **conv_attributes(made.kernel, made.dilation, made.padding, groups))
    ends = zip(sizes, made.padding, made.dilation, made.kernel, strict=True)
    left = [None if size is None else size + lo + hi - d * (k - 1) for size, (lo, hi), d, k in ends]
    full = interleaved(make, apart, layer.channels[1], stride, left, groups)
    cropped(make, full, made.crop)
    make.replace(*old)


RULE = Rule("conv-depth-to-space", ("ConvTranspose",), partial(match, crop=False), apply)

CROPPED = Rule("conv-depth-to-space-cropped", ("ConvTranspose",), partial(match, crop=True), apply)
