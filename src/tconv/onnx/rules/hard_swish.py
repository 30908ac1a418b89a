"""A hard swish in four steps becomes two: a hard sigmoid, and a product.

    x clip(x + 3, 0, 6) / 6  =  x clip(x/6 + 1/2, 0, 1)  =  x HardSigmoid(x; alpha = 1/6, beta = 1/2)

since dividing by 6 moves into a clip together with its bounds. The activation is that of MobileNetV3 (Howard
et al. 2019, section 5.2); exporters write it in four nodes, each of which reads and writes the whole array.
Its alpha is a float32, so a model in float64 would lose digits; integers divide differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tconv.onnx.rules.context import Context
from tconv.onnx.rules.layer import other_input
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RULE"]


class Found(NamedTuple):
    """The activated value, and the four nodes of the activation."""

    x: ir.Value
    nodes: tuple[ir.Node, ir.Node, ir.Node, ir.Node]


def match(node: ir.Node, context: Context) -> Found | str:
    x = next((value for value in node.inputs if context.constant_shape(value) is None), None)
    three = None if x is None else other_input(node, x)
    if x is None or _number(three, context) != 3:
        return "it does not add 3"
    dtype = context.numbers(three).dtype
    if dtype not in (np.float32, np.float16):
        return f"it is in {dtype}, and the numbers of HardSigmoid are float32"
    if isinstance(clip := context.user(node.outputs[0], "Clip"), str):
        return clip
    if _bounds(clip, context) != (0, 6):
        return "the next node does not clip to 0 and 6"
    if isinstance(first := context.user(clip.outputs[0], "Mul", "Div"), str):
        return first
    if isinstance(second := context.user(first.outputs[0], "Div" if first.op_type == "Mul" else "Mul"), str):
        return second
    product, quotient = (first, second) if first.op_type == "Mul" else (second, first)
    before = clip.outputs[0] if product is first else first.outputs[0]
    if other_input(product, before) is not x:
        return "the clipped value is not multiplied by the input"
    if _number(quotient.inputs[1], context) != 6:
        return "the product is not divided by 6"
    return Found(x, (node, clip, first, second))


def _number(value: ir.Value | None, context: Context) -> float | None:
    """The value of a constant of one element without axes that would broadcast the other operand."""
    one = context.constant_shape(value) in ((), (1,))
    return float(context.numbers(value).reshape(-1)[0]) if one else None


def _bounds(clip: ir.Node, context: Context) -> tuple[float | None, float | None]:
    """The bounds are inputs since opset 11, attributes before."""
    if context.opset(clip) < 11:
        return clip.attributes.get_float("min", None), clip.attributes.get_float("max", None)
    low, high = (*clip.inputs[1:], None, None)[:2]
    return _number(low, context), _number(high, context)


def apply(found: Found, context: Context) -> None:
    make = Maker(found.nodes[0], context)
    gate = make.add("HardSigmoid", [found.x], alpha=1 / 6, beta=0.5)
    make.add("Mul", [found.x, gate])
    make.replace(*found.nodes)


RULE = Rule("hard-swish", ("Add",), match, apply)
