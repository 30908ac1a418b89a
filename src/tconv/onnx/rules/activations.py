"""Activations after a node: in one node, or in the nodes of which exporters compose them (`gates.py`).

ONNX lacks SiLU as an operator; GELU, HardSwish and Mish are operators only since opset 20, 14 and 18.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tconv.onnx.rules.context import Context
from tconv.onnx.rules.gates import composed
from tconv.onnx.rules.layer import is_per_channel

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
    gate = composed(layer.outputs[0], context, dtype is not None and dtype.itemsize == 2)
    return None if gate is None else Applied(gate[0], (), gate[1])


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
