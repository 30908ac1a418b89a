"""A convolution of stride 1 and the DepthToSpace after it become one transposed convolution.

The way back of `conv_depth_to_space`, for the sub-pixel convolutions of super-resolution nets (Shi et al.
2016): tap j of phase r goes to tap (k-1-j) e s + r of a kernel of ((k-1)e + 1) s, e being the dilation, s the
block; zeros at its ends are taken off (`tconv.algebra.shuffle`). Channels come in the order (phase, output),
DCR, or (output, phase), CRD, which is PyTorch's pixel_shuffle.

A transposed convolution has one bias an output channel, the convolution one a phase. Where those differ they
are added as what they are, a block that repeats: (n, c, h s, w s) is seen as (n, c, h, s, w, s) for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tconv.algebra.arrays import Array
from tconv.algebra.shuffle import channels_first, from_subpixel
from tconv.onnx.rules.interleaving import new_shape
from tconv.onnx.rules.layer import LayerNode, label, matching, read_layer
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.options import read_options, transposed_attributes
from tconv.onnx.rules.rule import Context, refers

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    conv: LayerNode
    weight: Array
    attributes: dict[str, Any]
    bias: Array | None  #: (out,), or (out, s, s) where the phases differ
    sizes: tuple[int | None, ...]  #: of the convolution's answer


def _match(node: ir.Node, context: Context) -> _Match | str:
    before = None if node.inputs[0] is None else node.inputs[0].producer()
    if before is None or before.op_type != "Conv" or before.domain or refers(before):
        return "no convolution comes before it"
    lone = context.user(before.outputs[0], "DepthToSpace")
    if isinstance(lone, str):
        return f"the convolution before it: {lone}"
    conv = read_layer(before, context)
    if isinstance(conv, str):
        return f"the convolution before it: {conv}"
    options = read_options(conv, context)
    if isinstance(options, str):
        return f"the convolution before it: {options}"
    if set(options.stride) != {1}:
        return f"the convolution before it has stride {max(options.stride)}"
    block = (node.attributes.get_int("blocksize", 0),) * 2
    if conv.axes != 2 or block[0] < 1:
        return f"blocks of {block[0]} for {conv.axes} axes"
    weight, bias = conv.weight, conv.bias
    if node.attributes.get_string("mode", "DCR") == "DCR":
        if conv.groups > 1:
            return "the phases of an output lie in several groups"
        weight = channels_first(weight, block)
        bias = None if bias is None else channels_first(bias, block)
    merged = from_subpixel(weight, block, options.padding, options.dilation, conv.groups)
    said = transposed_attributes(merged.weight.shape[2:], block, merged.padding, conv.groups)
    if isinstance(said, str):
        return said
    shape = context.shape(node.inputs[0]) or (None,) * 4
    sizes = tuple(size if isinstance(size, int) else None for size in shape[2:])
    return _Match(conv, merged.weight, said, _narrow(bias, block), sizes)


def _narrow(bias: Array | None, block: tuple[int, ...]) -> Array | None:
    """(out * phases,) as (out,) where the phases agree, else as (out, *block)."""
    if bias is None:
        return None
    apart = bias.reshape(-1, *block)
    first = apart[:, 0, 0]
    return first if (apart == first[:, None, None]).all() else apart


def _rewrite(node: ir.Node, context: Context, found: _Match) -> None:
    conv = found.conv.node
    make = Maker(conv, context, label(conv))
    inputs = [conv.inputs[0], make.constant(found.weight, "weight")]
    bias = found.bias
    if bias is not None and bias.ndim == 1:
        inputs.append(make.constant(bias, "bias"))
    layer = make.add("ConvTranspose", inputs, **found.attributes)
    if bias is not None and bias.ndim > 1:
        _add_phases(make, layer, bias, found)
    context.replace([conv, node], make.nodes)


def _add_phases(make: Maker, layer: ir.Value, bias: Array, found: _Match) -> None:
    channels, *block = bias.shape
    sizes = found.sizes
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


RULE = matching(
    "depth-to-space-conv",
    "a convolution and the DepthToSpace after it become one transposed convolution",
    ["DepthToSpace"],
    _match,
    _rewrite,
)
