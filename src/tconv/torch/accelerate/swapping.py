"""Layers of which only the class changes: the same objects, parameters, hooks and names.

A module's class is replaced in place, as in torch.nn.utils.parametrize. So every optimizer, hook, state dict
and shared use of the layer remains valid, and restoring the class restores the model.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from tconv.torch.call_cache import DTYPES
from tconv.torch.modules import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

__all__ = ["KEY", "LAYERS", "Swap", "has_own_forward", "is_layer", "replaced", "why_not"]

#: PyTorch's classes -> tconv's.
LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.ConvTranspose1d: ConvTranspose1d,
    nn.ConvTranspose2d: ConvTranspose2d,
    nn.ConvTranspose3d: ConvTranspose3d,
}

#: The attribute of a module that holds its rewriting.
KEY = "_accelerated"


def is_layer(module: nn.Module) -> bool:
    """Whether `module` is a transposed convolution, PyTorch's or tconv's, or a lazy one."""
    return isinstance(module, tuple(LAYERS))


def _kind(cls: type[Any]) -> type[nn.Module]:
    return next(theirs for theirs in LAYERS if issubclass(cls, theirs))


def replaced(module: nn.Module) -> str | None:
    """Why this module's forward is a replaced one, or None; the class's own from a pickle is not."""
    found = vars(module).get("forward")
    if vars(module).get(KEY):
        return "accelerated already"
    if found is None or getattr(found, "__func__", None) is type(module).forward:
        return None
    return "its forward has been replaced"


def has_own_forward(cls: type[Any]) -> bool:
    """Whether a layer's class computes something else than PyTorch's: more, after or before it."""
    theirs = _kind(cls)
    return cls.forward not in (theirs.forward, LAYERS[theirs].forward)


def _calls_super(forward: Any) -> bool:
    code = getattr(inspect.unwrap(forward), "__code__", None)
    return code is not None and {"super", "forward"} <= set(code.co_names)


def why_not(module: nn.Module) -> str | None:
    """Why the class of this layer cannot be replaced, or None."""
    if has_own_forward(type(module)) and not _calls_super(type(module).forward):
        name = type(module).__name__
        return f"{name} has its own forward; with super().forward(...) in it the layer would be computed here"
    if replaced(module):
        return replaced(module)
    # Uninitialised parameters have a device and a dtype, too.
    at, dtype = next(((t.device.type, t.dtype) for t in module.parameters()), ("cpu", torch.float32))
    if at not in ("cpu", "meta"):
        return f"its weights are on {at}; the engine computes on CPUs"
    if dtype not in DTYPES:
        return f"the engine lacks {dtype}"
    return None


def _copied(cls: type[Any], base: type[Any]) -> type[Any]:
    """A class made by parametrize, copied to another base with its properties."""
    kept = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
    return type(cls.__name__, (base,), kept)


def _of_parametrize(cls: type[Any]) -> bool:
    return cls.__module__ == parametrize.__name__


@lru_cache(maxsize=1024)
def _derived(cls: Any) -> type[Any]:
    """A version of the user's subclass that computes with tconv."""
    lazy = issubclass(cls, LazyModuleMixin)
    kind: Any = _kind(cls)
    ours = _packing(kind) if has_own_forward(cls) else LAYERS[kind]
    made: Any = type(cls.__name__, (cls,) if lazy else (cls, ours), {})
    if lazy:
        made.cls_to_become = ours_of(cls.cls_to_become)
    # pickle and copy find classes by name, and this name is that of the user's class.
    made.__reduce_ex__ = lambda self, protocol: (_remade, (cls,), self.__dict__)
    made.__module__, made.__qualname__, made.__doc__ = cls.__module__, cls.__qualname__, cls.__doc__
    made.accelerated_from = cls
    found: type[Any] = made
    return found


@lru_cache(maxsize=8)
def _packing(theirs: Any) -> type[Any]:
    """tconv's layer, whose packed weights a forward of a subclass uses when it calls super().forward."""
    ours: Any = LAYERS[theirs]

    def forward(self: Any, input: Any, output_size: Any = None) -> Any:
        packed = None if torch.compiler.is_compiling() else vars(self).get(KEY)
        made = None if packed is None or output_size is not None else packed.run(input)
        return ours.forward(self, input, output_size) if made is None else made

    found: type[Any] = type(ours.__name__, (ours,), {"forward": forward, "__module__": ours.__module__})
    return found


def _remade(cls: Any) -> Any:
    made: Any = _derived(cls)
    return made.__new__(made)


def ours_of(cls: Any) -> type[Any]:
    """The class that computes with tconv and is otherwise `cls`.

    >>> ours_of(nn.ConvTranspose2d) is ConvTranspose2d
    True
    """
    if cls in LAYERS:
        return LAYERS[cls]
    return _copied(cls, ours_of(cls.__bases__[0])) if _of_parametrize(cls) else _derived(cls)


def theirs_of(cls: Any) -> type[Any]:
    """The class from which `ours_of` made this one.

    >>> theirs_of(ConvTranspose2d) is nn.ConvTranspose2d
    True
    """
    if _of_parametrize(cls):
        return _copied(cls, theirs_of(cls.__bases__[0]))
    found: type[Any] = next((theirs for theirs, ours in LAYERS.items() if cls is ours), None) or (
        cls.accelerated_from
    )
    return found


class Swap:
    """One layer's change of class."""

    def __init__(self, layer: nn.Module) -> None:
        """Nothing changes yet."""
        self.layer = layer
        self._classes = type(layer), ours_of(type(layer))
        self._is_done = False

    def do(self) -> None:
        """The class becomes ours."""
        before, after = self._classes
        if not self._is_done:
            current = type(self.layer)
            self.layer.__class__ = after if current is before else ours_of(current)
        self._is_done = True

    def undo(self) -> None:
        """Restore the class; also of a layer initialised or parametrised since."""
        before, after = self._classes
        if self._is_done:
            current = type(self.layer)
            self.layer.__class__ = before if current is after else theirs_of(current)
        self._is_done = False
