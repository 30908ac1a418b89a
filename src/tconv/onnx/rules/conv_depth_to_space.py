"""A transposed convolution becomes one convolution of stride 1 whose channels are its phases, interleaved.

Output o stands at phase r = (o + lo) mod s of the full output, and each phase is a convolution of the input
itself, since a tap t reaches r only where t d = r (mod s). So

    conv_transpose(x, W, stride s) = depth_to_space(conv(x, W'), s),    W' with prod(s) times the channels,

the sub-pixel convolution of Shi et al. 2016 (`tconv.algebra.shuffle`). DepthToSpace does it for two axes of
one stride, else Reshape, Transpose and Reshape. The bias is repeated for every phase.

There are two ways to choose where blocks begin, hence two rules. The first crops nothing where it need not:
k4 s2 p1 is a convolution with kernel 3, of whose 9 taps 4 hold weights in each phase. The second takes the
smallest kernel, here 2, so that no product is with zero, and crops what then stands over with a Slice.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.shuffle import SubPixel, channels_last, to_subpixel
from tconv.onnx.rules.interleaving import block_size, cropped, interleaved
from tconv.onnx.rules.layer import LayerNode, label, matching, read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import Options, conv_attributes, read_options
from tconv.onnx.rules.rule import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["CROPPED", "RULE", "PhasesApart", "phase_nodes", "put_phases", "with_phases"]


class PhasesApart(NamedTuple):
    """A layer, and the convolution whose channels are its phases."""

    layer: LayerNode
    made: SubPixel


def with_phases(node: ir.Node, context: Context) -> tuple[LayerNode, Options] | str:
    """A layer that has more than one phase, with its options; else why it is none."""
    layer = read_layer(node, context)
    if isinstance(layer, str):
        return layer
    options = read_options(layer, context)
    if isinstance(options, str):
        return options
    if set(options.stride) == {1}:
        return "stride 1 has one phase"
    return layer, options


def _match(node: ir.Node, context: Context, *, crop: bool) -> PhasesApart | str:
    found = with_phases(node, context)
    if isinstance(found, str):
        return found
    layer, (stride, dilation, padding) = found
    whole, short = (
        to_subpixel(layer.weight, stride, padding, dilation, layer.groups, cropped=c) for c in (False, True)
    )
    if crop and short.weight.shape == whole.weight.shape:
        return "cropping makes the kernel no smaller"
    return PhasesApart(layer, short if crop else whole)


def put_phases(node: ir.Node, context: Context, found: PhasesApart) -> None:
    """Put the convolution, the interleaving of its phases and the crop in the place of the layer."""
    context.replace([node], phase_nodes(node.inputs[0], context, found))


def phase_nodes(source: ir.Value | None, context: Context, found: PhasesApart) -> list[ir.Node]:
    """The nodes that make the answer of the layer out of `source`."""
    layer, made = found
    make = Maker(layer.node, context, label(layer.node))
    groups, stride = layer.groups, made.stride
    weight, bias = made.weight, None if layer.bias is None else layer.bias.repeat(prod(stride))
    if groups == 1 and block_size(stride, groups, make.opset) is not None:
        weight = channels_last(weight, stride)
        bias = None if bias is None else channels_last(bias, stride)
    kernel = weight.shape[2:]
    inputs = [source, make.constant(weight, "weight")]
    if bias is not None:
        inputs.append(make.constant(bias, "bias"))
    phases = make.add("Conv", inputs, **conv_attributes(kernel, made.dilation, made.padding, groups))
    shape = context.shape(source) or (None,) * (2 + layer.axes)
    sizes = [
        size + lo + hi - d * (k - 1) if isinstance(size, int) else None
        for size, (lo, hi), d, k in zip(shape[2:], made.padding, made.dilation, kernel, strict=True)
    ]
    full = interleaved(make, phases, layer.channels[1], stride, sizes, groups)
    cropped(make, full, made.crop)
    return make.nodes


RULE = matching(
    "conv-depth-to-space",
    "a transposed convolution becomes a convolution and DepthToSpace",
    ["ConvTranspose"],
    partial(_match, crop=False),
    put_phases,
)

CROPPED = matching(
    "conv-depth-to-space-cropped",
    "the same with the smallest kernel, and a Slice that crops what then stands over",
    ["ConvTranspose"],
    partial(_match, crop=True),
    put_phases,
)
