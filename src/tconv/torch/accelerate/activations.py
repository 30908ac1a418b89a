"""Which modules and calls are activations that the engine applies in the epilogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tconv.planning import Activation

__all__ = ["Call", "Fixed", "slopes", "spelled"]


class Call(NamedTuple):
    """A call of a function or method in a forward, whose first argument is the tensor."""

    target: Callable[..., Any] | str  #: a method's name
    args: tuple[Any, ...]  #: after the tensor
    kwargs: dict[str, Any]

    def __call__(self, x: Tensor) -> Any:
        """The result that the forward would compute."""
        if isinstance(self.target, str):
            return getattr(x, self.target)(*self.args, **self.kwargs)
        return self.target(x, *self.args, **self.kwargs)

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.target if isinstance(self.target, str) else self.target.__name__


class Fixed(NamedTuple):
    """An activation that was read already."""

    value: Activation


#: Exact types; read at each use, since a slope may be changed.
_MODULES: dict[type[nn.Module], Callable[[Any], Activation]] = {
    nn.ReLU: lambda module: "relu",
    nn.Tanh: lambda module: "tanh",
    nn.Sigmoid: lambda module: "sigmoid",
    nn.LeakyReLU: lambda module: ("leaky_relu", module.negative_slope),
    nn.ReLU6: lambda module: ("clamp", 0.0, 6.0),
    nn.Hardtanh: lambda module: ("clamp", module.min_val, module.max_val),
    nn.GELU: lambda module: _gelu(module.approximate),
    nn.SiLU: lambda module: "silu",
    nn.ELU: lambda module: ("elu", module.alpha),
    nn.PReLU: lambda module: _prelu(module.weight),
    nn.Hardswish: lambda module: "hardswish",
    nn.Softplus: lambda module: _softplus(module.beta, module.threshold),
    nn.Mish: lambda module: "mish",
}


def _gelu(approximate: str = "none") -> Activation:
    return {"none": "gelu", "tanh": "gelu_tanh"}.get(approximate)


def _elu(alpha: float = 1.0, inplace: bool = False) -> Activation:
    return "elu", alpha


def _prelu(weight: Any) -> Activation:
    if not isinstance(weight, Tensor) or weight.device.type != "cpu" or not weight.numel():
        return None
    return "prelu", *weight.detach().reshape(-1).tolist()


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Activation:
    return ("softplus", beta, threshold) if beta > 0 else None


def _leaky(negative_slope: float = 0.01, inplace: bool = False) -> Activation:
    return "leaky_relu", negative_slope


def _hardtanh(min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Activation:
    return "clamp", min_val, max_val


def _relu6(inplace: bool = False) -> Activation:
    return "clamp", 0.0, 6.0


def _always(name: str) -> Callable[..., Activation]:
    def read(inplace: bool = False) -> Activation:
        return name

    return read


_CALLS: dict[Any, Callable[..., Activation]] = {
    functional.leaky_relu: _leaky,
    functional.leaky_relu_: _leaky,
    functional.hardtanh: _hardtanh,
    functional.hardtanh_: _hardtanh,
    functional.relu6: _relu6,
    functional.gelu: _gelu,
    functional.elu: _elu,
    functional.elu_: _elu,
    functional.softplus: _softplus,
}
_CALLS |= dict.fromkeys(("prelu", functional.prelu, torch.prelu, Tensor.prelu), _prelu)
for _name in ("relu", "tanh", "sigmoid", "silu", "hardswish", "mish"):
    _places = (torch, functional, Tensor)
    _found = {getattr(place, each, None) for place in _places for each in (_name, f"{_name}_")}
    _CALLS |= {call: _always(_name) for call in (_name, f"{_name}_", *_found) if call is not None}


def _learns(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def slopes(part: Any) -> Tensor | None:
    """The parameter of a PReLU; None for other parts."""
    return part.weight if type(part) is nn.PReLU else None


def spelled(part: Any) -> Activation:
    """The activation that `part` is, in the engine's spelling; None if it is none of them.

    >>> spelled(nn.LeakyReLU(0.2)), spelled(nn.SELU()), spelled(Call(torch.relu, (), {}))
    (('leaky_relu', 0.2), None, 'relu')
    """
    if isinstance(part, Fixed):
        return part.value
    if isinstance(part, Call):
        read = _CALLS.get(part.target)
        if read is _prelu and torch.is_grad_enabled() and any(_learns(each) for each in part.args):
            return None  # the slopes have gradients, too
        try:
            return None if read is None else read(*part.args, **part.kwargs)
        except TypeError:  # invalid arguments: the function itself refuses them
            return None
    module = _MODULES.get(type(part))
    return None if module is None else module(part)
