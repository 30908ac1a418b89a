"""The activations after a layer: their names, the numbers after a name, and what fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from numbers import Real
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from tconv import _core
from tconv.errors import TconvError
from tconv.geometry.normalize import shown

__all__ = ["ACTIVATIONS", "Activation", "Numbers", "numbers_fit", "parse_activation"]

#: A name, or a name and numbers: "relu", ("leaky_relu", 0.2).
Activation: TypeAlias = str | tuple[str | float, ...] | None


class Numbers(NamedTuple):
    """The numbers after an activation's name; its formula is in core/kernels/activations.hpp."""

    names: tuple[str, ...] = ()
    defaults: tuple[float, ...] | None = None  #: where the name stands alone; None: it may not
    repeats: bool = False  #: whether the last one may be repeated
    fault: Callable[..., str] = lambda *numbers: ""  #: what is wrong with them, if anything


ACTIVATIONS: Mapping[str, Numbers] = MappingProxyType({
    "relu": Numbers(),
    "tanh": Numbers(),
    "sigmoid": Numbers(),
    "gelu": Numbers(),
    "gelu_tanh": Numbers(),
    "silu": Numbers(),
    "hardswish": Numbers(),
    "mish": Numbers(),
    "elu": Numbers(("alpha",), (1.0,)),
    "softplus": Numbers(
        ("beta", "threshold"),
        (1.0, inf),
        fault=lambda beta, threshold: "" if beta > 0 else "a beta above 0 would fit",
    ),
    "leaky_relu": Numbers(("slope",)),
    "prelu": Numbers(("slope",), repeats=True),
    "clamp": Numbers(
        ("lo", "hi"),
        fault=lambda lo, hi: "" if lo <= hi else "the lower bound must not exceed the upper one",
    ),
})  # fmt: skip


def _spellings() -> str:
    """All of them, as an error lists them."""
    said = ["None"]
    for name, (names, defaults, repeats, _) in ACTIVATIONS.items():
        said += [f'"{name}"'] if defaults is not None or not names else []
        numbers = f"{', '.join(names)}{', ...' * repeats}"
        said += [f'("{name}", {numbers})'] if names else []
    return f"{', '.join(said[:-1])} or {said[-1]}"


def parse_activation(activation: Activation) -> tuple[_core.Activation, tuple[float, ...]]:
    """An activation as users spell it, as the engine knows it: its kind, and its numbers.

    Raises:
        TconvError: an unknown activation, or wrong numbers after its name.

    >>> parse_activation(("leaky_relu", 0.2)), parse_activation("elu")
    ((Activation.leaky_relu, (0.2,)), (Activation.elu, (1.0,)))
    """
    if activation is None:
        return _core.Activation.none, ()
    parts = activation if isinstance(activation, tuple | list) and len(activation) else (activation,)
    name, numbers = parts[0], tuple(parts[1:])
    kind = ACTIVATIONS.get(name) if isinstance(name, str) else None
    if kind is not None and not numbers and kind.defaults is not None:
        numbers = kind.defaults
    wanted = 0 if kind is None else len(kind.names)
    if kind is None or not (len(numbers) == wanted or (kind.repeats and len(numbers) > wanted)):
        raise TconvError(f"activation={shown(activation)} is unknown; {_spellings()} would fit")
    if not all(isinstance(number, Real) for number in numbers):
        raise TconvError(f"activation={shown(activation)} needs numbers after the name")
    try:
        values = tuple(float(number) for number in numbers)
    except OverflowError:
        raise TconvError(f"activation={shown(activation)}: numbers that a float can hold would fit") from None
    if fault := kind.fault(*values):
        raise TconvError(f"activation={shown(activation)}: {fault}")
    if name == "prelu" and len(values) == 1:  # one slope for all channels
        name = "leaky_relu"
    return _core.Activation[str(name)], values


def numbers_fit(epilogue: _core.Epilogue, channels: int) -> str:
    """What is wrong with an epilogue's numbers for a target of so many channels; "" if nothing is."""
    name, count = epilogue.activation.name, len(epilogue.numbers)
    if name == "prelu":
        if count == channels:
            return ""
        return f"{name} has {count} slopes; 1, or {channels}, one for each channel of the output, would fit"
    wanted = 0 if name == "none" else len(ACTIVATIONS[name].names)
    return "" if count == wanted else f"{name} has {count} numbers; {wanted} would fit"
