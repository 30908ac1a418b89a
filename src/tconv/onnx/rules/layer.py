"""A Conv or ConvTranspose node with constant weights: its shapes, and its replacement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.models.onnx.constants import constant, held, is_linear
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["LayerNode", "is_per_channel", "other_input", "put_back", "read_grouped", "read_layer"]


@dataclass(frozen=True)
class LayerNode:
    """A Conv or ConvTranspose node whose weights and bias are constants, which are read on access."""

    node: ir.Node
    shape: tuple[int, ...]  #: of weights: (in, out/groups, *kernel); of a Conv (out, in/groups, *kernel)
    dtype: np.dtype[Any]
    groups: int

    @property
    def weight(self) -> Array:
        """The weights, read from the file."""
        found = constant(self.node.inputs[1])
        assert found is not None  # read_layer checks this
        return found

    @property
    def bias(self) -> Array | None:
        """The bias, (out,), read from the file; None if there is none."""
        return constant(self.node.inputs[2]) if self.biased else None

    @property
    def biased(self) -> bool:
        """Whether it has a bias."""
        return len(self.node.inputs) > 2 and self.node.inputs[2] is not None

    @property
    def transposed(self) -> bool:
        """Whether it is a ConvTranspose."""
        return self.node.op_type == "ConvTranspose"

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps along each spatial axis."""
        return self.shape[2:]

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return len(self.shape) - 2

    @property
    def channels(self) -> tuple[int, int]:
        """The input and output channels."""
        first, second = self.shape[0], self.shape[1] * self.groups
        return (first, second) if self.transposed else (second, first)


def read_layer(node: ir.Node, context: Context) -> LayerNode | str:
    """The layer at a node, or the reason why its weights are not known."""
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    weight = held(node.inputs[1])
    if weight is None:
        return "its weights are computed"
    dtype, shape = weight.dtype, weight.shape
    if dtype.kind not in "fV":  # V: bfloat16, which NumPy lacks
        return f"its weights are {dtype}"
    groups = node.attributes.get_int("group", 1)
    if not 3 <= len(shape) <= 5 or 0 in shape or groups < 1 or shape[0] % groups:
        return f"its weights have shape {shape} and {groups} groups"
    before = node.inputs[0].producer()
    if before is not None and is_linear(before, "DequantizeLinear"):
        return "its input is quantized, and ONNX Runtime would round new weights to int8"
    layer = LayerNode(node, shape, dtype, groups)
    bias = context.constant_shape(node.inputs[2]) if layer.biased else None
    if layer.biased and bias is None:
        return "its bias is computed"
    if bias is not None and bias != layer.channels[1:]:
        return f"its bias has shape {bias} for {layer.channels[1]} channels"
    return layer


def read_grouped(node: ir.Node, context: Context) -> LayerNode | str:
    """A layer of several groups, or the reason why there is none."""
    layer = read_layer(node, context)
    return "it has one group" if isinstance(layer, LayerNode) and layer.groups == 1 else layer


def put_back(
    layer: LayerNode,
    context: Context,
    *old: ir.Node,
    weight: Array | None = None,
    bias: Array | None = None,
    x: ir.Value | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Replace `old` nodes by the layer, with the given weights, bias and attributes."""
    node, make = layer.node, Maker(layer.node, context)
    inputs = [
        node.inputs[0] if x is None else x,
        node.inputs[1] if weight is None else make.constant(weight, "weight"),
        *(node.inputs[2:] if bias is None else [make.constant(bias, "bias")]),
    ]
    make.renew(inputs, node.attributes if attributes is None else attributes)
    make.replace(*old)


def other_input(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """The operand of a node of two inputs that is not `value`; None if both are."""
    return next((given for given in node.inputs if given is not value), None)


def is_per_channel(shape: tuple[int, ...], axes: int, channels: int) -> bool:
    """Whether a constant of this shape acts on (n, channels, *axes) per channel, or as one number.

    >>> is_per_channel((3, 1, 1), 2, 3), is_per_channel((), 2, 3)
    (True, True)
    >>> is_per_channel((3, 1), 2, 3)  # it acts on rows
    False
    """
    if len(shape) > axes + 2:
        return False
    aligned = (1,) * (axes + 2 - len(shape)) + shape
    return prod(shape) in (1, channels) and aligned[1] == prod(shape)
