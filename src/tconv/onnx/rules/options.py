"""The options of a Conv or ConvTranspose node, with any auto_pad and output_shape, and its attributes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tconv.conventions.onnx_options import ConvOptions
from tconv.errors import TconvError
from tconv.geometry.normalize import Sides
from tconv.models.onnx import options
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import LayerNode, read_layer

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "conv_attributes",
    "in_one_group",
    "pads_of",
    "read_attributes",
    "read_options",
    "read_with_options",
    "transposed_attributes",
    "written",
]


def read_attributes(node: ir.Node, context: Context) -> ConvOptions | str:
    """The options of a node as far as known, or why they are not; its weights may be computed."""
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    x, weight = (context.sizes(value) for value in node.inputs[:2])
    known = tuple(size for size in x[2:] if size is not None)
    try:
        told = options.read(node, weight, known if known and len(known) == len(x) - 2 else None)
    except TconvError as fault:
        return str(fault)
    return told or "the shape of its weights is not known"


def pads_of(told: ConvOptions) -> Sides | str:
    """The pads, or why they are not known."""
    return told.pads if told.pads is not None else "its padding depends on sizes that are not known"


def read_options(layer: LayerNode, context: Context) -> ConvOptions | str:
    """The options of a layer, including its padding, or why they are not known."""
    told = read_attributes(layer.node, context)
    if isinstance(told, ConvOptions) and isinstance(pads := pads_of(told), str):
        return pads
    return told


def read_with_options(node: ir.Node, context: Context) -> tuple[LayerNode, ConvOptions] | str:
    """The layer at a node with its options, or the reason why either is not known."""
    if isinstance(layer := read_layer(node, context), str):
        return layer
    told = read_options(layer, context)
    return told if isinstance(told, str) else (layer, told)


def written(told: ConvOptions, pads: Sides) -> dict[str, Any]:
    """The attributes of a node with the options `told` and these pads, without auto_pad and output_shape.

    Raises:
        TconvError: ONNX cannot say it.
    """
    return replace(told, pads=pads).attributes()


def in_one_group(node: ir.Node, context: Context) -> dict[str, Any]:
    """The attributes of a node for one group, with explicit pads if they are known.

    ONNX's shape inference gives an output of two axes if output_shape is less than the input, and then
    rejects the nodes that follow.

    Raises:
        TconvError: as `written`.
    """
    told = read_attributes(node, context)
    if isinstance(told, str) or told.pads is None:
        return {**node.attributes, "group": 1}
    return {**told.attributes(), "group": 1}


def conv_attributes(
    kernel: tuple[int, ...], dilation: tuple[int, ...], padding: Sides, groups: int
) -> dict[str, Any]:
    """The attributes of a Conv of stride 1.

    Raises:
        TconvError: ONNX cannot say it.
    """
    made = ConvOptions(
        kernel=kernel, stride=(1,) * len(kernel), dilation=dilation, pads=padding, groups=groups,
        transposed=False,
    )  # fmt: skip
    return made.attributes()


def transposed_attributes(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: Sides, groups: int
) -> dict[str, Any]:
    """The attributes of a ConvTranspose.

    Raises:
        TconvError: ONNX cannot say it.
    """
    dilation = (1,) * len(kernel)
    return ConvOptions(
        kernel=kernel, stride=stride, dilation=dilation, pads=padding, groups=groups
    ).attributes()
