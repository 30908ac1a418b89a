"""The options of a ConvTranspose node as integers, all of them explicit, and back as its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError
from tconv.geometry.normalize import Sides
from tconv.onnx import attributes
from tconv.onnx.attributes import Attributes
from tconv.onnx.rules.context import Context

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["in_one_group", "pads_of", "read_attributes", "written"]


def read_attributes(node: ir.Node, context: Context) -> Attributes | str:
    """What a ConvTranspose node says, as far as it is known, or why not; its weights may be computed."""
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    x, weight = map(context.sizes, node.inputs[:2])
    known = tuple(size for size in x[2:] if size is not None)
    sizes = known if known and len(known) == len(x) - 2 else None
    try:
        told = attributes.read(node, weight, sizes)
    except TconvError as fault:
        return str(fault)
    return told or "the shape of its weights is not known"


def pads_of(told: Attributes) -> Sides | str:
    """The pads, or why they are not known."""
    return told.pads if told.pads is not None else "its padding depends on sizes that are not known"


def written(told: Attributes, pads: Sides) -> dict[str, Any]:
    """The attributes of a node that says all of `told` with these pads, auto_pad and output_shape left out.

    Raises:
        TconvError: ONNX cannot say it: pads below 0, or an output_padding of stride and dilation or more.
    """
    # What padding may not take off behind, output padding adds.
    extra = tuple(o + max(-hi, 0) for o, (_, hi) in zip(told.output_padding, pads, strict=True))
    if min(lo for lo, _ in pads) < 0:
        raise TconvError(f"it would need the pads {pads}, and ONNX has none below 0")
    if any(o and o >= max(s, d) for o, s, d in zip(extra, told.stride, told.dilation, strict=True)):
        raise TconvError(f"it would need an output_padding of {extra} with strides {told.stride}")
    found: dict[str, int | tuple[int, ...]] = {
        "dilations": told.dilation,
        "group": told.groups,
        "kernel_shape": told.kernel,
        "output_padding": extra,
        "pads": (*(lo for lo, _ in pads), *(max(hi, 0) for _, hi in pads)),
        "strides": told.stride,
    }
    if not any(extra):
        del found["output_padding"]
    return {name: value if isinstance(value, int) else list(value) for name, value in found.items()}


def in_one_group(node: ir.Node, context: Context) -> dict[str, Any]:
    """The attributes of a node for one group, explicit if they are known.

    ONNX's shape inference makes an output of two axes where output_shape is less than the input, which it
    then holds against the nodes behind.

    Raises:
        TconvError: as `written`.
    """
    told = read_attributes(node, context)
    if isinstance(told, str) or told.pads is None:
        return {**node.attributes, "group": 1}
    return {**written(told, told.pads), "group": 1}
