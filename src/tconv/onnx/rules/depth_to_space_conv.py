"""A convolution of stride 1 and the DepthToSpace after it become one transposed convolution.

The inverse of `conv_depth_to_space`, for the sub-pixel convolutions of super-resolution nets (Shi et al.
2016): tap j of phase r goes to tap (k-1-j) e s + r of a kernel of ((k-1)e + 1) s, e being the dilation, s the
block; zeros at its ends are removed (`tconv.algebra.shuffle`). Channels come in the order (phase, output),
DCR, or (output, phase), CRD, which is PyTorch's pixel_shuffle.

A transposed convolution has one bias per output channel, the convolution one per phase. If those differ, they
are added as a block that repeats: (n, c, h s, w s) is reshaped to (n, c, h, s, w, s) for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.shuffle import channels_first, check_subpixel, from_subpixel
from tconv.conventions.onnx_options import ConvOptions
from tconv.onnx.rules.context import Context, refers
from tconv.onnx.rules.interleaving import new_shape
from tconv.onnx.rules.layer import LayerNode
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import read_with_options, transposed_attributes
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """A convolution, and the DepthToSpace after it."""

    conv: LayerNode
    options: ConvOptions
    shuffle: ir.Node
    block: tuple[int, int]
    phases_first: bool  #: whether channels come in the order (phase, output)
    sizes: tuple[int | None, ...]  #: of the convolution's output


def match(node: ir.Node, context: Context) -> Found | str:
    before = None if node.inputs[0] is None else node.inputs[0].producer()
    if before is None or before.op_type != "Conv" or before.domain or refers(before):
        return "it does not follow a convolution"
    if isinstance(lone := context.user(before.outputs[0], "DepthToSpace"), str):
        return f"the convolution before it: {lone}"
    if isinstance(found := read_with_options(before, context), str):
        return f"the convolution before it: {found}"
    conv, options = found
    if set(options.stride) != {1}:
        return f"the convolution before it has stride {max(options.stride)}"
    block = (node.attributes.get_int("blocksize", 0),) * 2
    if conv.axes != 2 or block[0] < 1:
        return f"blocks of {block[0]} for {conv.axes} axes"
    phases_first = node.attributes.get_string("mode", "DCR") == "DCR"
    if phases_first and conv.groups > 1:
        return "the phases of an output lie in several groups"
    check_subpixel(conv.shape, block, options.padding, options.dilation, conv.groups)
    return Found(conv, options, node, block, phases_first, context.spatial(node.inputs[0], 2))


def apply(found: Found, context: Context) -> None:
    layer, options, shuffle, block, phases_first, _ = found
    weight, bias = layer.weight, layer.bias
    if phases_first:
        weight = channels_first(weight, block)
        bias = None if bias is None else channels_first(bias, block)
    weight, _, sides = from_subpixel(weight, block, options.padding, options.dilation, layer.groups)
    attributes = transposed_attributes(weight.shape[2:], block, sides, layer.groups)
    bias = _narrow(bias, block)
    conv = layer.node
    make = Maker(conv, context)
    inputs = [conv.inputs[0], make.constant(weight, "weight")]
    if bias is not None and bias.ndim == 1:
        inputs.append(make.constant(bias, "bias"))
    made = make.add("ConvTranspose", inputs, **attributes)
    if bias is not None and bias.ndim > 1:
        _add_phases(make, made, bias, found.sizes)
    make.replace(conv, shuffle)


def _narrow(bias: Array | None, block: tuple[int, ...]) -> Array | None:
    """(out * phases,) as (out,) if the phases agree, else as (out, *block)."""
    if bias is None:
        return None
    apart = bias.reshape(-1, *block)
    first = apart[:, 0, 0]
    return first if (apart == first[:, None, None]).all() else apart


def _add_phases(make: Maker, layer: ir.Value, bias: Array, sizes: tuple[int | None, ...]) -> None:
    channels, *block = bias.shape
    if None in sizes[1:] and None in sizes[:1]:
        whole = make.add("Shape", [layer])
        spatial = make.add("Gather", [whole, make.constant([2, 3], "axes")])
        blocks = make.add("Div", [spatial, make.constant(block, "block")])
        counted = [make.add("Gather", [blocks, make.constant([a], "axis")]) for a in range(2)]
        steps = [make.constant([s], "step") for s in block]
        parts = [make.constant([0, channels], "lead"), counted[0], steps[0], counted[1], steps[1]]
        apart = make.add("Concat", parts, axis=0)
    else:
        whole = new_shape(make, layer, [0, channels], sizes, block)
        seen = [n for size, s in zip(sizes, block, strict=True) for n in (-1 if size is None else size, s)]
        apart = make.constant([0, channels, *seen], "blocks")
    repeated = make.constant(bias[:, None, :, None, :], "bias")
    added = make.add("Add", [make.add("Reshape", [layer, apart]), repeated])
    make.add("Reshape", [added, whole])


RULE = Rule("depth-to-space-conv", ("DepthToSpace",), match, apply)
