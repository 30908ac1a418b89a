"""A transposed convolution becomes a node `tconv::ConvTranspose`, which tconv's engine computes.

Inputs and attributes stay as they are. An activation that alone reads the output becomes two attributes,
named as in ONNX Runtime's own fused operators: `activation`, the name of ONNX's operator, and
`activation_params`, its numbers. The engine applies it to the sums before it rounds and stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.models.onnx import options
from tconv.models.onnx.nodes import constant_tensor
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.maker import Maker
from tconv.onnx.rules.rule import Rule

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["DOMAIN", "RULE"]

DOMAIN = "tconv"


class Found(NamedTuple):
    """A layer; the activation that becomes part of it, if any, and its numbers."""

    node: ir.Node
    activation: ir.Node | None
    numbers: tuple[float, ...]


def match(node: ir.Node, context: Context) -> Found | str:
    if not 2 <= len(node.inputs) <= 3 or None in node.inputs[:2] or len(node.outputs) != 1:
        return f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs"
    options.read(node, context.sizes(node.inputs[1]), None)  # says which attributes are none
    weight = constant_tensor(node.inputs[1])
    dtype = context.dtype(node.inputs[0]) if weight is None else np.dtype(weight.dtype.numpy())
    follower = context.user(node.outputs[0], *_NUMBERS)
    if isinstance(follower, str) or follower.inputs[0] is not node.outputs[0]:
        return Found(node, None, ())
    numbers = _NUMBERS[follower.op_type](follower, context, dtype)
    return Found(node, None, ()) if numbers is None else Found(node, follower, numbers)


def _none(node: ir.Node, context: Context, dtype: np.dtype[Any] | None) -> tuple[float, ...]:
    return ()


def _slope(node: ir.Node, context: Context, dtype: np.dtype[Any] | None) -> tuple[float, ...]:
    return (node.attributes.get_float("alpha", 0.01),)


def _bounds(node: ir.Node, context: Context, dtype: np.dtype[Any] | None) -> tuple[float, ...] | None:
    """Both bounds, if they are constants, in order, and numbers that an attribute can hold."""
    import onnx_ir as ir

    if dtype is None:
        return None
    # Without a bound, the dtype's own.
    most = float(ir.DataType.from_numpy(dtype).max)
    bounds = [-most, most]
    for i, name in enumerate(("min", "max")):
        if context.opset(node) < 11:
            bounds[i] = node.attributes.get_float(name, bounds[i])
        elif len(node.inputs) > i + 1 and node.inputs[i + 1] is not None:
            held = context.constant(node.inputs[i + 1])
            if held is None or held.size != 1:
                return None
            bounds[i] = float(held.reshape(-1)[0])
    with np.errstate(over="ignore"):
        exact = all(float(np.float32(bound)) == bound for bound in bounds)
    return tuple(bounds) if exact and bounds[0] <= bounds[1] else None


#: Activations by ONNX's name -> their numbers, or None where they are not known or not exact.
_NUMBERS: Mapping[str, Callable[[ir.Node, Context, np.dtype[Any] | None], tuple[float, ...] | None]] = (
    MappingProxyType({"Relu": _none, "LeakyRelu": _slope, "Clip": _bounds, "Tanh": _none, "Sigmoid": _none})
)


def apply(found: Found, context: Context) -> None:
    node, activation, numbers = found
    make = Maker(node, context)
    attributes: dict[str, Any] = dict(node.attributes)
    if activation is not None:
        attributes["activation"] = activation.op_type
        if numbers:
            attributes["activation_params"] = list(numbers)
    output = node.outputs[0] if activation is None else activation.outputs[0]
    kept = context.shape(output), output.type or context.type(node.outputs[0])
    out = make.renew(node.inputs, attributes, domain=DOMAIN)
    _describe(out, *kept)
    context.use_domain(node, DOMAIN)
    make.replace(node, *(() if activation is None else (activation,)))


def _describe(value: ir.Value, shape: Any, kind: Any) -> None:
    """Keep type and sizes, which tools cannot infer through an operator that they do not know."""
    import onnx_ir as ir

    value.type = kind
    value.shape = None if shape is None else ir.Shape(shape)


RULE = Rule("to-engine", ("ConvTranspose",), match, apply, oldest=1)
