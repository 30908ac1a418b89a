"""A transposed convolution becomes a node `tconv::ConvTranspose`, which tconv's engine computes.

Inputs and attributes stay as they are, but for quantized weights and biases. They become the numbers that
ONNX Runtime would dequantize at each run, since the engine packs constants once per session. An activation
that alone reads the output becomes two attributes, named as in ONNX Runtime's own fused operators:
`activation`, the name of ONNX's operator ("Silu" for x Sigmoid(x), "GeluTanh" for Gelu with
approximate="tanh"), and `activation_params`, its numbers. The engine applies it to the sums before it rounds
and stores them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.algebra.arrays import Array
from tconv.models.onnx import options
from tconv.models.onnx.constants import constant, held, is_linear
from tconv.models.onnx.nodes import ENGINE_DOMAIN
from tconv.onnx.rules.activations import Applied, applied_to
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


_MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class Found(NamedTuple):
    """A layer, and the activation that becomes part of it, if any."""

    node: ir.Node
    activation: Applied | None
    spread: Spread | None = None


class Spread(NamedTuple):
    """The scale of a quantized input, and perhaps its zero point, once for each channel."""

    node: ir.Node  #: DequantizeLinear
    parts: tuple[Array, ...]


def match(node: ir.Node, context: Context) -> Found | str:
    if not 2 <= len(node.inputs) <= 3 or None in node.inputs[:2] or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    options.read(node, context.sizes(node.inputs[1]), None)  # says which attributes are none
    if isinstance(spread := _spread(node, context), str):
        return spread
    weight = held(node.inputs[1])
    dtype = context.dtype(node.inputs[0]) if weight is None else weight.dtype
    return Found(node, applied_to(node, context, dtype), spread)


def _spread(node: ir.Node, context: Context) -> Spread | str | None:
    """What dequantizes the input per tensor, per channel instead; None if nothing does; or why not.

    Behind a DequantizeLinear of one scale, ONNX Runtime quantizes constant weights and biases of every node
    whose type is ConvTranspose, in any domain, and fails, or computes other numbers. With a scale for each
    channel, all equal, it does not.
    """
    assert node.inputs[0] is not None
    before = node.inputs[0].producer()
    if before is None or not is_linear(before, "DequantizeLinear") or len(before.inputs) < 2:
        return None
    shapes = [context.sizes(value) for value in before.inputs[1:] if value is not None]
    if shapes[0] not in ((), (1,)):
        return None
    channels = next(iter(context.sizes(node.inputs[1])), None)
    parts = [
        context.constant(value) if shape in ((), (1,)) else None
        for value, shape in zip(filter(None, before.inputs[1:]), shapes, strict=True)
    ]
    if channels is None or channels < 2 or any(part is None for part in parts):
        return "its input is quantized, and ONNX Runtime would quantize the engine's weights"
    return Spread(before, tuple(np.repeat(part.reshape(1), channels) for part in parts if part is not None))


def apply(found: Found, context: Context) -> None:
    node, activation, spread = found
    make = Maker(node, context)
    attributes: dict[str, Any] = dict(node.attributes)
    if activation is not None:
        attributes["activation"] = activation.name
        if activation.numbers:
            attributes["activation_params"] = list(activation.numbers)
    output = (node if activation is None else activation.nodes[-1]).outputs[0]
    kept = context.shape(output), output.type or context.type(node.outputs[0])
    inputs = [_plain(value, make, what) for value, what in zip(node.inputs, _INPUTS, strict=False)]
    if spread is not None:
        held_ = [
            make.constant(part, what, exact=True)
            for part, what in zip(spread.parts, ("scale", "zero"), strict=False)
        ]
        # Before opset 13 ONNX's own has one scale only.
        other = spread.node.domain == _MICROSOFT or context.opset(node) < 13
        inputs[0] = make.add(
            "DequantizeLinear", [spread.node.inputs[0], *held_], _MICROSOFT if other else "", axis=1
        )
        if other:
            context.use_domain(node, _MICROSOFT)
    out = make.renew(inputs, attributes, domain=ENGINE_DOMAIN)
    _describe(out, *kept)
    context.use_domain(node, ENGINE_DOMAIN)
    make.replace(node, *(() if activation is None else activation.nodes))


_INPUTS = ("x", "weight", "bias")


def _plain(value: ir.Value | None, make: Maker, what: str) -> ir.Value | None:
    """A quantized constant as plain numbers; any other value as it is."""
    found = held(value)
    array = constant(value) if found is not None and found.quantized else None
    return value if array is None else make.constant(array, what)


def _describe(value: ir.Value, shape: Any, kind: Any) -> None:
    """Keep type and sizes, which tools cannot infer through an operator that they do not know."""
    import onnx_ir as ir

    value.type = kind
    value.shape = None if shape is None else ir.Shape(shape)


RULE = Rule("to-engine", ("ConvTranspose",), match, apply, oldest=1)
