"""Activations after a layer: PyTorch's own functions, and their gradients from the output alone.

Where the engine fuses an activation only its output exists, so gradients are computed from the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tconv.planning import Activation
from tconv.planning.problem import parse_activation

__all__ = ["activate", "checked", "fusible", "gradient"]


class Function(NamedTuple):
    """An activation; both take its numbers last."""

    apply: Callable[..., Tensor]  #: from the layer's output
    gradient: Callable[..., Tensor]  #: from the output's gradient and the activation's output


_aten = torch.ops.aten
_FUNCTIONS = {
    "relu": Function(functional.relu, lambda grad, y: _aten.threshold_backward(grad, y, 0)),
    "tanh": Function(torch.tanh, lambda grad, y: _aten.tanh_backward(grad, y)),
    "sigmoid": Function(torch.sigmoid, lambda grad, y: _aten.sigmoid_backward(grad, y)),
    "leaky_relu": Function(
        functional.leaky_relu, lambda grad, y, slope: _aten.leaky_relu_backward(grad, y, slope, True)
    ),
    # Not torch.clamp, whose gradient at the bounds is 1: there the output does not determine the gradient.
    "clamp": Function(functional.hardtanh, lambda grad, y, lo, hi: _aten.hardtanh_backward(grad, y, lo, hi)),
}


def checked(activation: Any) -> Activation:
    """`activation` as a key: a tuple for a list.

    Raises:
        TconvError: an unknown name, or numbers that do not fit it.
    """
    parse_activation(activation)
    return tuple(activation) if isinstance(activation, list) else activation


def _parts(activation: Any) -> tuple[Function, tuple[float, ...]]:
    name, *numbers = (activation,) if isinstance(activation, str) else activation
    return _FUNCTIONS[name], tuple(numbers)


def fusible(activation: Activation) -> bool:
    """Whether the output determines the gradient: with a negative slope two inputs have the same output."""
    return not (isinstance(activation, tuple) and activation[0] == "leaky_relu" and float(activation[1]) < 0)


def activate(activation: Activation, z: Tensor) -> Tensor:
    """The activation as a separate operator of PyTorch; None means no activation.

    >>> activate(("clamp", 0, 2), torch.tensor([-1.0, 1.0, 3.0]))
    tensor([0., 1., 2.])
    """
    if activation is None:
        return z
    function, numbers = _parts(activation)
    return function.apply(z, *numbers)


def gradient(activation: Activation, grad: Tensor, y: Tensor) -> Tensor:
    """The gradient with respect to the activation's input, from its output `y`.

    >>> gradient("tanh", torch.ones(2), torch.tensor([0.0, 0.5]))
    tensor([1.0000, 0.7500])
    """
    function, numbers = _parts(activation)
    return function.gradient(grad, y, *numbers)
