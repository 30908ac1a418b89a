"""What the rules that change a layer's numbers or options share: the layer read, and put back changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tconv.algebra.arrays import Array
from tconv.errors import TconvError
from tconv.onnx.rules.rule import Context, Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = [
    "LayerNode",
    "Restated",
    "label",
    "matching",
    "other_input",
    "per_channel",
    "put_back",
    "read_grouped",
    "read_layer",
    "renewed",
    "restate",
]

_Match = TypeVar("_Match")


@dataclass(frozen=True)
class LayerNode:
    """A Conv or ConvTranspose node whose numbers are in the file."""

    node: ir.Node
    weight: Array  #: (in, out/groups, *kernel) of a ConvTranspose, (out, in/groups, *kernel) of a Conv
    bias: Array | None  #: (out,)
    groups: int

    @property
    def transposed(self) -> bool:
        """Whether it is a ConvTranspose."""
        return self.node.op_type == "ConvTranspose"

    @property
    def axes(self) -> int:
        """The number of spatial axes."""
        return self.weight.ndim - 2

    @property
    def channels(self) -> tuple[int, int]:
        """In and out."""
        first, second = self.weight.shape[0], self.weight.shape[1] * self.groups
        return (first, second) if self.transposed else (second, first)


def read_layer(node: ir.Node, context: Context) -> LayerNode | str:
    """The layer at a node, or the reason why its numbers are not known."""
    if not 2 <= len(node.inputs) <= 3 or node.inputs[0] is None or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    weight = context.constant(node.inputs[1])
    if weight is None:
        return "its weights are computed"
    if weight.dtype.kind not in "fV":  # V: bfloat16, which NumPy has not
        return f"its weights are {weight.dtype}"
    groups = node.attributes.get_int("group", 1)
    if not 3 <= weight.ndim <= 5 or 0 in weight.shape or groups < 1 or weight.shape[0] % groups:
        return f"its weights have shape {weight.shape} and {groups} groups"
    given = node.inputs[2] if len(node.inputs) > 2 else None
    layer = LayerNode(node, weight, context.constant(given), groups)
    if given is not None and layer.bias is None:
        return "its bias is computed"
    if layer.bias is not None and layer.bias.shape != layer.channels[1:]:
        return f"its bias has shape {layer.bias.shape} for {layer.channels[1]} channels"
    return layer


def read_grouped(node: ir.Node, context: Context) -> LayerNode | str:
    """A layer of several groups, or the reason why there is none."""
    layer = read_layer(node, context)
    return "it has one group" if isinstance(layer, LayerNode) and layer.groups == 1 else layer


def put_back(
    layer: LayerNode,
    context: Context,
    *,
    weight: Array | None = None,
    bias: Array | None = None,
    x: ir.Value | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> ir.Node:
    """The layer as a new node, with what is given in place of what it has; its options stay as they are."""
    node = layer.node
    name = label(node)
    inputs = [
        node.inputs[0] if x is None else x,
        node.inputs[1] if weight is None else context.make_constant(node, weight, f"{name}_weight"),
        *([] if bias is None else [context.make_constant(node, bias, f"{name}_bias")]),
    ]
    if bias is None:
        inputs += node.inputs[2:]
    return renewed(node, context, inputs, node.attributes if attributes is None else attributes)


class Restated(NamedTuple):
    """A layer that stays one node, with other weights and attributes of the same meaning."""

    layer: LayerNode
    weight: Array
    attributes: dict[str, Any]


def restate(node: ir.Node, context: Context, found: Restated) -> None:
    """Put the restated layer in the place of its node."""
    layer, weight, attributes = found
    context.replace([node], [put_back(layer, context, weight=weight, attributes=attributes)])


def renewed(
    node: ir.Node, context: Context, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any]
) -> ir.Node:
    """A node of the same operator and name, to take the place of `node`."""
    made = context.make_node(node.op_type, inputs, dict(attributes), like=label(node))
    made.name = node.name
    return made


def label(node: ir.Node) -> str:
    """A name for what is made from this node."""
    return node.name or str(node.outputs[0].name)


def other_input(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """The operand of a node of two inputs that is not `value`; None if both are."""
    return next((given for given in node.inputs if given is not value), None)


def per_channel(array: Array | None, axes: int, channels: int) -> Array | None:
    """A constant that acts on (n, channels, *axes) channel by channel, as (channels,) or (1,); else None.

    >>> import numpy as np
    >>> per_channel(np.ones((3, 1, 1)), 2, 3), per_channel(np.float32(2), 2, 3)
    (array([1., 1., 1.]), array([2.], dtype=float32))
    >>> per_channel(np.ones((3, 1)), 2, 3) is None  # it acts on rows
    True
    """
    if array is None or array.ndim > axes + 2:
        return None
    aligned = array.reshape((1,) * (axes + 2 - array.ndim) + array.shape)
    if aligned.size not in (1, channels) or aligned.shape[1] != aligned.size:
        return None
    return aligned.reshape(-1)


def matching(
    name: str,
    what: str,
    op_types: Iterable[str],
    match: Callable[[ir.Node, Context], _Match | str],
    rewrite: Callable[[ir.Node, Context, _Match], None],
) -> Rule:
    """A rule made of `match`, which returns what `rewrite` needs, or the reason why there is nothing to do.

    What the identities of `tconv.algebra` refuse is such a reason, too. So is an opset in which operators
    that rules write mean something else: before 7 Add does not broadcast and Reshape or Split take their
    numbers otherwise; before 9 Constant, which a function has in place of initializers, holds no integers.
    """

    def found(node: ir.Node, context: Context) -> _Match | str:
        opset, oldest = context.opset(node), 9 if context.in_function(node) else 7
        if opset < oldest:
            return f"opset {opset} is older than {oldest}"
        try:
            return match(node, context)
        except TconvError as fault:
            return str(fault)

    def check(node: ir.Node, context: Context) -> str | None:
        answer = found(node, context)
        return answer if isinstance(answer, str) else None

    def apply(node: ir.Node, context: Context) -> None:
        answer = found(node, context)
        assert not isinstance(answer, str), answer
        rewrite(node, context, answer)

    return Rule(name, what, frozenset(op_types), check, apply)
