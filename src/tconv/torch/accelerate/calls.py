"""Calls of PyTorch's functions in a forward that compute what `accelerate` looks for, but as no module.

They are read from the forward's compiled code, so that they are seen where no trace is: a report then says
what was seen and why it stays.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn
from torch.nn import functional

__all__ = ["UPSAMPLING", "called"]

UPSAMPLING = ("interpolate", "upsample", "upsample_nearest")
_FUNCTIONS = {
    name: getattr(functional, name)
    for name in (*UPSAMPLING, "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
}
#: Modes that are no copies of cells; a forward that names one of them and not "nearest" is not reported.
_SMOOTH = {"linear", "bilinear", "trilinear", "bicubic", "area"}


def called(module: nn.Module) -> list[str]:
    """The names of the functions that the forward of `module`, or what it calls, calls by their names.

    >>> class Twice(nn.Module):
    ...     def forward(self, x):
    ...         return functional.interpolate(x, scale_factor=2)
    >>> called(Twice())
    ['interpolate']
    """
    forward = inspect.unwrap(type(module).forward)
    # A subclass that keeps PyTorch's forward calls nothing by itself.
    if not isinstance(forward, FunctionType):
        return []
    if forward.__module__.startswith("torch.") or forward.__module__ == "tconv.torch.modules":
        return []
    found: set[str] = set()
    _read(type(module), forward, found, set())
    return [name for name in _FUNCTIONS if name in found]


def _read(owner: type[Any], function: FunctionType, found: set[str], seen: set[Any]) -> None:
    if function in seen:
        return
    seen.add(function)
    codes = list(_codes(function.__code__))
    texts = {text for code in codes for text in _texts(code.co_consts)}
    smooth = bool(texts & _SMOOTH) and not any("nearest" in text for text in texts)
    for value in (value for code in codes for value in _loaded(owner, function, code)):
        helper = getattr(value, "__func__", value)
        name = getattr(helper, "__name__", "")
        if helper is _FUNCTIONS.get(name):
            if not (smooth and name in UPSAMPLING):
                found.add(name)
        elif isinstance(helper, FunctionType) and not helper.__module__.startswith(("torch.", "tconv.")):
            _read(owner, helper, found, seen)


def _loaded(owner: type[Any], function: FunctionType, code: CodeType) -> Iterator[Any]:
    """What the code loads by names: globals, attributes of modules, and methods of the module itself."""
    itself, at = function.__code__.co_varnames[:1], None
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            at = function.__globals__.get(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            known = at is owner or isinstance(at, ModuleType)
            at = inspect.getattr_static(at, step.argval, None) if known else None
        elif step.opname.startswith("LOAD_FAST"):
            last = step.argval[-1:] if isinstance(step.argval, tuple) else (step.argval,)
            at = owner if last == itself else None
        else:
            at = None
        yield at


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _texts(constants: tuple[Any, ...]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from _texts(constant)
