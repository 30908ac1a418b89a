"""An added constant, one number a channel, becomes the layer's bias.

    y = conv_transpose(x, W) + b        b of shape (C, 1, ..., 1), (1, C, 1, ..., 1) or one number
      = conv_transpose(x, W, bias=b)

A transposed convolution adds its bias to every output, also where no tap reaches, so nothing else changes.
A bias that is there already is added to the constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.onnx.rules.rule import Context, Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class _Match(NamedTuple):
    add: ir.Node
    bias: np.ndarray[Any, Any]


def _match(node: ir.Node, context: Context) -> _Match | str:
    weight = context.constant(node.inputs[1])
    if weight is None:
        return "its weights are computed"
    bias = context.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
    if bias is None:
        return "its bias is computed"
    add = context.user(node.outputs[0], "Add")
    if isinstance(add, str):
        return add
    other = next((value for value in add.inputs if value is not node.outputs[0]), None)
    constant = context.constant(other)
    if constant is None:
        return "what is added is computed"
    outputs = weight.shape[1] * node.attributes.get_int("group", 1)
    rank = weight.ndim
    aligned = (
        constant.reshape((1,) * (rank - constant.ndim) + constant.shape) if constant.ndim <= rank else None
    )
    if aligned is None or aligned.size not in (1, outputs) or aligned.shape[1] != aligned.size:
        return f"what is added has shape {constant.shape}, not one number a channel"
    total = np.broadcast_to(bias, outputs).astype(np.float64) + aligned.reshape(-1)
    return _Match(add, total.astype(weight.dtype))


def check(node: ir.Node, context: Context) -> str | None:
    found = _match(node, context)
    return found if isinstance(found, str) else None


def apply(node: ir.Node, context: Context) -> None:
    found = _match(node, context)
    assert isinstance(found, _Match)
    bias = context.make_constant(node, found.bias, f"{node.name}_bias")
    attributes = {attribute.name: attribute for attribute in node.attributes.values()}
    made = context.make_node("ConvTranspose", [*node.inputs[:2], bias], attributes, like=str(node.name))
    context.replace([node, found.add], [made])


RULE = Rule(
    name="fold-bias",
    what="a constant added to each channel becomes the layer's bias",
    op_types=frozenset(["ConvTranspose"]),
    check=check,
    apply=apply,
)
