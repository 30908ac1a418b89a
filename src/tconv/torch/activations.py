"""Activations after a layer: PyTorch's own functions, and the gradients of some from the output alone.

Where the engine fuses an activation only its output exists. If a gradient is needed that cannot be computed
from the output, PyTorch's function follows the layer as a separate operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tconv.planning import Activation
from tconv.planning.activations import parse_activation

__all__ = ["activate", "checked", "from_output", "gradient", "slopes_of"]


class Function(NamedTuple):
    """An activation; both take its numbers last."""

    apply: Callable[..., Tensor]  #: from the layer's output
    #: From the output's gradient and the activation's output; None: these do not determine it exactly.
    gradient: Callable[..., Tensor] | None = None


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
    "gelu": Function(functional.gelu),
    "gelu_tanh": Function(partial(functional.gelu, approximate="tanh")),
    "silu": Function(functional.silu),
    "elu": Function(functional.elu),
    "prelu": Function(lambda z, *slopes: functional.prelu(z, z.new_tensor(slopes))),
    "hardswish": Function(functional.hardswish),
    # PyTorch overflows without a threshold. Past 40 the logarithm rounds to its argument in every dtype.
    "softplus": Function(
        lambda z, beta=1.0, threshold=inf: functional.softplus(z, beta, min(threshold, 40.0))
    ),
    "mish": Function(functional.mish),
}


def slopes_of(activation: Any) -> Tensor | None:
    """The tensor of slopes in ("prelu", slopes), if it has one."""
    if isinstance(activation, tuple | list) and len(activation) == 2 and activation[0] == "prelu":
        return activation[1] if isinstance(activation[1], Tensor) else None
    return None


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


def from_output(activation: Activation) -> bool:
    """Whether the output determines the gradient: with a negative slope two inputs have the same output."""
    function, numbers = _parts(activation)
    return function.gradient is not None and not (function is _FUNCTIONS["leaky_relu"] and numbers[0] < 0)


def activate(activation: Any, z: Tensor, axes: int) -> Tensor:
    """The activation as a separate operator of PyTorch; None means no activation.

    `z` is (n, c, ...) or (c, ...) with so many spatial `axes`.

    >>> activate(("clamp", 0, 2), torch.tensor([[[-1.0, 1.0, 3.0]]]), 1)
    tensor([[[0., 1., 2.]]])
    """
    if activation is None:
        return z
    if z.dim() == axes + 1:  # PyTorch's prelu takes the second axis for the channels
        return activate(activation, z.unsqueeze(0), axes).squeeze(0)
    slopes = slopes_of(activation)
    if slopes is not None:
        return functional.prelu(z, slopes)
    function, numbers = _parts(activation)
    return function.apply(z, *numbers)


def gradient(activation: Activation, grad: Tensor, y: Tensor) -> Tensor:
    """The gradient with respect to the activation's input, from its output `y`.

    >>> gradient("tanh", torch.ones(2), torch.tensor([0.0, 0.5]))
    tensor([1.0000, 0.7500])
    """
    function, numbers = _parts(activation)
    if function.gradient is None:
        raise AssertionError(f"{activation} is recorded by PyTorch's own operator")
    return function.gradient(grad, y, *numbers)
