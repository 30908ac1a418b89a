"""A transposed convolution becomes a node `tconv::ConvTranspose`, which tconv's engine computes.

Inputs and attributes stay as they are. An activation that alone reads the output becomes two attributes,
named as in ONNX Runtime's own fused operators: `activation`, the name of ONNX's operator ("Silu" for x
Sigmoid(x), "GeluTanh" for Gelu with approximate="tanh"), and `activation_params`, its numbers. The engine
applies it to the sums before it rounds and stores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.models.onnx import options
from tconv.models.onnx.nodes import constant_tensor
from tconv.onnx.rules.activations import Applied, applied_to
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["DOMAIN", "RULE"]

DOMAIN = "tconv"


class Found(NamedTuple):
    """A layer, and the activation that becomes part of it, if any."""

    node: ir.Node
    activation: Applied | None


def match(node: ir.Node, context: Context) -> Found | str:
    if not 2 <= len(node.inputs) <= 3 or None in node.inputs[:2] or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    options.read(node, context.sizes(node.inputs[1]), None)  # says which attributes are none
    weight = constant_tensor(node.inputs[1])
    dtype = context.dtype(node.inputs[0]) if weight is None else np.dtype(weight.dtype.numpy())
    return Found(node, applied_to(node, context, dtype))


def apply(found: Found, context: Context) -> None:
    node, activation = found
    make = Maker(node, context)
    attributes: dict[str, Any] = dict(node.attributes)
    if activation is not None:
        attributes["activation"] = activation.name
        if activation.numbers:
            attributes["activation_params"] = list(activation.numbers)
    output = (node if activation is None else activation.nodes[-1]).outputs[0]
    kept = context.shape(output), output.type or context.type(node.outputs[0])
    out = make.renew(node.inputs, attributes, domain=DOMAIN)
    _describe(out, *kept)
    context.use_domain(node, DOMAIN)
    make.replace(node, *(() if activation is None else activation.nodes))


def _describe(value: ir.Value, shape: Any, kind: Any) -> None:
    """Keep type and sizes, which tools cannot infer through an operator that they do not know."""
    import onnx_ir as ir

    value.type = kind
    value.shape = None if shape is None else ir.Shape(shape)


RULE = Rule("to-engine", ("ConvTranspose",), match, apply, oldest=1)
