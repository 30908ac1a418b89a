"""Activations after a node: in one node, or in the nodes of which exporters compose them.

SiLU is x Sigmoid(x), which ONNX lacks as an operator; GELU, HardSwish and Mish are operators only since opset
20, 14 and 18. PyTorch's exporters write GELU as x (1 + Erf(x / sqrt 2)) / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.onnx.rules.context import Context, refers
from tconv.onnx.rules.layer import is_per_channel, other_input

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Applied", "applied_to"]


class Applied(NamedTuple):
    """An activation: its name as an attribute, its numbers, and its nodes, in the order of the data flow."""

    name: str
    numbers: tuple[float, ...]
    nodes: tuple[ir.Node, ...]


class _Place(NamedTuple):
    """Where an activation may be: after which layer, in what."""

    layer: ir.Node
    context: Context
    dtype: np.dtype[Any] | None


def applied_to(layer: ir.Node, context: Context, dtype: np.dtype[Any] | None) -> Applied | None:
    """The activation that alone reads the output of `layer`; None if there is none that the engine has."""
    place = _Place(layer, context, dtype)
    found = context.user(layer.outputs[0], *_NODES)
    if not isinstance(found, str):
        if found.inputs[0] is not layer.outputs[0]:
            return None
        read = _NODES[found.op_type](found, place)
        return None if read is None else Applied(*read, (found,))
    return _gated(place) or _halved_first(place)


# Single nodes: the name and the numbers, or None where these are not known or not exact.

_Read = tuple[str, tuple[float, ...]]


def _plain(node: ir.Node, place: _Place) -> _Read:
    return node.op_type, ()


def _alpha(default: float) -> Callable[[ir.Node, _Place], _Read]:
    return lambda node, place: (node.op_type, (node.attributes.get_float("alpha", default),))


def _gelu(node: ir.Node, place: _Place) -> _Read | None:
    name = {"none": "Gelu", "tanh": "GeluTanh"}.get(node.attributes.get_string("approximate", "none"))
    return None if name is None else (name, ())


def _bounds(node: ir.Node, place: _Place) -> _Read | None:
    """Both bounds, if they are constants, in order, and numbers that an attribute can hold."""
    import onnx_ir as ir

    if place.dtype is None:
        return None
    # Without a bound, the dtype's own.
    most = float(ir.DataType.from_numpy(place.dtype).max)
    bounds = [-most, most]
    for i, name in enumerate(("min", "max")):
        if place.context.opset(node) < 11:
            bounds[i] = node.attributes.get_float(name, bounds[i])
        elif len(node.inputs) > i + 1 and node.inputs[i + 1] is not None:
            held = place.context.constant(node.inputs[i + 1])
            if held is None or held.size != 1:
                return None
            bounds[i] = float(held.reshape(-1)[0])
    return ("Clip", tuple(bounds)) if _exact(bounds) and bounds[0] <= bounds[1] else None


def _slopes(node: ir.Node, place: _Place) -> _Read | None:
    """One slope, or one for each channel, if they are constants."""
    context, shape = place.context, place.context.constant_shape(node.inputs[1])
    sizes = context.sizes(place.layer.inputs[1])
    if shape is None or len(sizes) < 3 or not isinstance(sizes[1], int):
        return None
    channels = sizes[1] * place.layer.attributes.get_int("group", 1)
    if not is_per_channel(shape, len(sizes) - 2, channels):
        return None
    held = context.numbers(node.inputs[1]).reshape(-1)
    slopes = tuple(float(number) for number in held)
    return ("PRelu", slopes) if _exact(slopes) else None


def _exact(numbers: Any) -> bool:
    with np.errstate(over="ignore"):
        return all(float(np.float32(number)) == number for number in numbers)


_NODES: Mapping[str, Callable[[ir.Node, _Place], _Read | None]] = MappingProxyType({
    "Relu": _plain,
    "LeakyRelu": _alpha(0.01),
    "PRelu": _slopes,
    "Clip": _bounds,
    "Tanh": _plain,
    "Sigmoid": _plain,
    "Gelu": _gelu,
    "Elu": _alpha(1.0),
    "HardSwish": _plain,
    "Softplus": _plain,
    "Mish": _plain,
})  # fmt: skip


# Several nodes: a gate, computed from x, that multiplies x.


def _two_readers(place: _Place) -> Iterator[list[ir.Node]]:
    """The two nodes that alone read the output of a layer, in both orders; nothing if there are others."""
    x = place.layer.outputs[0]
    readers = [] if x.is_graph_output() else list(dict.fromkeys(use.node for use in x.uses()))
    if len(readers) == 2 and all(reader.graph is place.layer.graph for reader in readers):
        yield readers
        yield readers[::-1]


def _gated(place: _Place) -> Applied | None:
    """x gate(x), and for GELU its half."""
    x = place.layer.outputs[0]
    for first, product in _two_readers(place):
        if product.op_type == "Mul" and not product.domain:
            gate = _gate(first, x, place)
            if gate is not None and other_input(product, x) is gate.nodes[-1].outputs[0]:
                if gate.name != "Gelu":
                    return gate._replace(nodes=(*gate.nodes, product))
                half = place.context.user(product.outputs[0], "Mul", "Div")
                if not isinstance(half, str) and _factor(half, product.outputs[0], place) == 0.5:
                    return gate._replace(nodes=(*gate.nodes, product, half))
    return None


def _halved_first(place: _Place) -> Applied | None:
    """(x / 2) (1 + Erf(x / sqrt 2))"""
    x = place.layer.outputs[0]
    for first, half in _two_readers(place):
        if _factor(half, x, place) != 0.5:
            continue
        gate, product = _gate(first, x, place), place.context.user(half.outputs[0], "Mul")
        if gate is None or gate.name != "Gelu" or isinstance(product, str):
            continue
        if other_input(product, half.outputs[0]) is gate.nodes[-1].outputs[0]:
            return gate._replace(nodes=(*gate.nodes, half, product))
    return None


def _gate(first: ir.Node, x: ir.Value, place: _Place) -> Applied | None:
    """The gate that begins with the node `first`, whose output only the product reads."""
    context = place.context
    if first.domain or refers(first) or len(first.outputs) != 1 or not _read_once(first.outputs[0]):
        return None
    if first.op_type == "Sigmoid":
        return Applied("Silu", (), (first,))
    if first.op_type == "HardSigmoid":
        said = first.attributes.get_float("alpha", 0.2), first.attributes.get_float("beta", 0.5)
        return Applied("HardSwish", (), (first,)) if _near(said[0], 1 / 6, place) and said[1] == 0.5 else None
    if first.op_type == "Softplus":
        second = context.user(first.outputs[0], "Tanh")
        return None if isinstance(second, str) else Applied("Mish", (), (first, second))
    factor = _factor(first, x, place)
    if factor is None or not _near(factor, sqrt(0.5), place):
        return None
    erf = context.user(first.outputs[0], "Erf")
    sum = erf if isinstance(erf, str) else context.user(erf.outputs[0], "Add")
    if isinstance(erf, str) or isinstance(sum, str):
        return None
    one = _number(other_input(sum, erf.outputs[0]), place)
    return Applied("Gelu", (), (first, erf, sum)) if one == 1 and _read_once(sum.outputs[0]) else None


def _read_once(value: ir.Value) -> bool:
    return not value.is_graph_output() and len({use.node for use in value.uses()}) == 1


def _near(number: float, exact: float, place: _Place) -> bool:
    """Equal, as far as the model's dtype holds the number; attributes are float32."""
    short = place.dtype is not None and place.dtype.itemsize == 2
    return abs(number - exact) <= exact * (2.0**-8 if short else 2.0**-22)


def _factor(node: ir.Node, x: ir.Value, place: _Place) -> float | None:
    """By which number a node multiplies `x`; None if it does not."""
    if node.domain or len(node.inputs) != 2 or refers(node):
        return None
    if node.op_type == "Mul":
        return _number(other_input(node, x), place)
    if node.op_type == "Div" and node.inputs[0] is x:
        divisor = _number(node.inputs[1], place)
        return 1 / divisor if divisor else None
    return None


def _number(value: ir.Value | None, place: _Place) -> float | None:
    """The value of a constant of one element without axes that would broadcast the other operand."""
    one = place.context.constant_shape(value) in ((), (1,))
    return float(place.context.numbers(value).reshape(-1)[0]) if one else None
