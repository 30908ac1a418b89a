"""The activation after a layer: NumPy's pass, and what the engines that are compared have for it.

PyTorch's functions are those of `tconv.torch.activations`; LiteRT's and ncnn's are beside their graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, isinf, isnan, pi, sqrt
from typing import Any

import numpy as np

from tconv.errors import TconvError
from tconv.planning import Activation
from tconv.planning.activations import ACTIVATIONS, parse_activation
from tconv.testing import Array

__all__ = ["SPELLINGS", "activate", "activation_of", "in_jax", "name_and_numbers", "onnx_nodes"]

#: All of them as the command line takes them: "relu, ..., leaky_relu:SLOPE, ..."
SPELLINGS = ", ".join(":".join([name, *map(str.upper, of.names)]) for name, of in ACTIVATIONS.items())


def activation_of(text: str) -> Activation:
    """An activation from its spelling on the command line: relu, leaky_relu:0.2, clamp:0:6, prelu:0.1:0.3.

    >>> activation_of("clamp:0:6")
    ('clamp', 0.0, 6.0)
    """
    name, *numbers = text.split(":")
    try:
        activation: Any = (name, *map(float, numbers)) if numbers else name
        _, values = parse_activation(activation)
        finite = {"clamp": 0, "softplus": 1}.get(name, len(values))  # a bound or a threshold may be infinite
        if any(map(isnan, values)) or not all(map(isfinite, values[:finite])):
            raise ValueError("outputs that are not finite cannot be compared")
    except (TconvError, ValueError):
        raise TconvError(
            f"--activation {text!r} is not a name with its numbers; {SPELLINGS} would fit"
        ) from None
    return activation  # type: ignore[no-any-return]


def name_and_numbers(activation: Activation) -> tuple[str, list[float]]:
    """The name and the numbers of an activation; the name is "" where there is none.

    >>> name_and_numbers(("leaky_relu", 0.2)), name_and_numbers("elu")
    (('leaky_relu', [0.2]), ('elu', [1.0]))
    """
    if activation is None:
        return "", []
    name = activation[0] if isinstance(activation, tuple) else activation
    return str(name), list(parse_activation(activation)[1])


def _erf(y: Array) -> Array:
    from scipy import special

    return special.erf(y)  # type: ignore[no-any-return]


def _softplus(y: Array, beta: float, threshold: float) -> Array:
    return np.where(y * beta > threshold, y, np.logaddexp(0, y * beta) / beta)


def _sigmoid(y: Array) -> Array:
    np.exp(np.negative(y, out=y), out=y)
    return np.reciprocal(np.add(y, 1, out=y), out=y)


_NUMPY: Mapping[str, Callable[..., Array]] = {
    "relu": lambda y: np.maximum(y, 0, out=y),
    "tanh": lambda y: np.tanh(y, out=y),
    "sigmoid": _sigmoid,
    "leaky_relu": lambda y, slope: np.multiply(y, slope, out=y, where=y < 0),
    "clamp": lambda y, lo, hi: np.clip(y, lo, hi, out=y),
    "gelu": lambda y: y * (1 + _erf(y * sqrt(0.5))) / 2,
    "gelu_tanh": lambda y: y * (1 + np.tanh(sqrt(2 / pi) * (y + 0.044715 * y**3))) / 2,
    "silu": lambda y: y / (1 + np.exp(-y)),
    "hardswish": lambda y: y * np.clip(y + 3, 0, 6) / 6,
    "mish": lambda y: y * np.tanh(np.logaddexp(0, y)),
    "elu": lambda y, alpha: np.where(y > 0, y, alpha * np.expm1(np.minimum(y, 0))),
    "softplus": _softplus,
}


def activate(y: Array, activation: Activation, channels: int = 1) -> Array:
    """A separate pass over `y`, whose axis `channels` has the channels; in place where NumPy can."""
    name, numbers = name_and_numbers(activation)
    if not name:
        return y
    if name == "prelu":
        shape = [1] * y.ndim
        shape[channels] = -1
        np.multiply(y, np.asarray(numbers, y.dtype).reshape(shape), out=y, where=y < 0)
        return y
    result: Array = _NUMPY[name](y, *numbers)
    return result.astype(y.dtype, copy=False)


#: Operators of ONNX without numbers, and the operator set that they need.
_ONNX = {
    "relu": ("Relu", 17),
    "tanh": ("Tanh", 17),
    "sigmoid": ("Sigmoid", 17),
    "hardswish": ("HardSwish", 17),
    "softplus": ("Softplus", 17),
    "mish": ("Mish", 18),
    "gelu": ("Gelu", 20),
    "gelu_tanh": ("Gelu", 20),
}


def onnx_nodes(activation: Activation, dtype: Any, axes: int) -> tuple[list[Any], list[Any], int]:
    """Nodes from "y" to the last one's output, their initializers, and the operator set that they need."""
    from onnx import helper, numpy_helper

    name, numbers = name_and_numbers(activation)
    if not name:
        return [], [], 17

    def held(values: Any, called: str) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype), called)

    if name == "softplus" and (numbers[0] != 1 or not isinf(numbers[1])):
        raise TconvError(f"ONNX's Softplus has no beta and no threshold, as {activation} has")
    if name in ("leaky_relu", "elu"):
        operator = {"leaky_relu": "LeakyRelu", "elu": "Elu"}[name]
        return [helper.make_node(operator, ["y"], ["z"], alpha=numbers[0])], [], 17
    if name == "clamp":
        limits = [held(value, limit) for limit, value in zip(("lo", "hi"), numbers, strict=True)]
        return [helper.make_node("Clip", ["y", "lo", "hi"], ["z"])], limits, 17
    if name == "prelu":
        slopes = held(np.reshape(numbers, (-1, *(1,) * axes)), "slopes")
        return [helper.make_node("PRelu", ["y", "slopes"], ["z"])], [slopes], 17
    if name == "silu":
        gate = helper.make_node("Sigmoid", ["y"], ["gate"])
        return [gate, helper.make_node("Mul", ["y", "gate"], ["z"])], [], 17
    operator, opset = _ONNX[name]
    approximate = {"approximate": "tanh"} if name == "gelu_tanh" else {}
    return [helper.make_node(operator, ["y"], ["z"], **approximate)], [], opset


def in_jax(y: Any, activation: Activation) -> Any:
    """The activation of a traced (n, c, ...)."""
    from jax import nn, numpy

    name, numbers = name_and_numbers(activation)
    if not name:
        return y
    functions: Mapping[str, Callable[..., Any]] = {
        "relu": nn.relu,
        "tanh": numpy.tanh,
        "sigmoid": nn.sigmoid,
        "leaky_relu": nn.leaky_relu,
        "clamp": numpy.clip,
        "gelu": lambda y: nn.gelu(y, approximate=False),
        "gelu_tanh": nn.gelu,
        "silu": nn.silu,
        "hardswish": nn.hard_swish,
        "mish": nn.mish,
        "elu": nn.elu,
        "softplus": lambda y, beta, threshold: numpy.where(
            y * beta > threshold, y, nn.softplus(y * beta) / beta
        ),
        "prelu": lambda y, *slopes: numpy.where(
            y < 0, y * numpy.asarray(slopes, y.dtype).reshape(-1, *(1,) * (y.ndim - 2)), y
        ),
    }
    return functions[name](y, *numbers)
