"""A layer's output that is not computed: what the program makes of it has been computed instead.

On an example, `watching` sees which steps follow a layer: a BatchNorm, an activation, a slice. From then on
a call computes the layer and these steps at once, and returns a `Pending` in place of the layer's output. It
has its shape, strides and dtype. Each expected step, called with what was expected, takes it one step
further, and the last one receives the tensor that is there already. Anything else that reads it makes it
compute itself, from the same input and the same packed weights: it is then the layer's output. So the program
may take any way, in any call; the expected one is fast.

The input is kept as a copy that PyTorch makes only if somebody writes to it (copy on write), the weights are
packed. Nothing that happens between the call and a use changes what a use gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from tconv.torch.accelerate.activations import Call
from tconv.torch.accelerate.packed import Job, computed, of_norm, versions
from tconv.torch.accelerate.steps import FREE, Step, is_in_place, is_unchanged, read

__all__ = ["Following", "Origin", "Pending", "settled"]


class Origin:
    """One call of a layer."""

    def __init__(self, following: Following, expected: Tensor, source: Tensor, raw: Job) -> None:
        """`expected` is what the last step gives; `source` and `raw` are the layer's input and job."""
        self.following, self.expected, self.source, self.raw = following, expected, source, raw
        self.versions = versions(following.tensors())


class Pending(Tensor):
    """The output of a layer, or of it and some steps, in place of a tensor that nothing has read."""

    _origin: Origin
    _taken: tuple[Call, ...]  #: the steps so far
    _value: Tensor | None
    _cut: tuple[Call, Tensor] | None  #: the slice of it that was given away, and the call
    _parent: Pending | None  #: what this is a slice of

    @staticmethod
    def of(origin: Origin, shape: Any, strides: Any, dtype: torch.dtype, taken: Any = ()) -> Pending:
        """One of this shape, strides and dtype."""
        result: Pending = Tensor._make_wrapper_subclass(Pending, shape, strides=strides, dtype=dtype)
        result._origin, result._taken = origin, taken
        result._value = result._cut = result._parent = None
        return result

    def value(self) -> Tensor:
        """The tensor that this stands for."""
        if self._value is None and self._parent is not None:  # whose memory it shares
            self._value = self._taken[-1](self._parent.value())
        elif self._value is None:
            with torch.no_grad():
                result = computed(self._origin.raw, self._origin.source)
                for call in self._taken:
                    result = call(result)
                if self._cut is not None:  # a slice shares the memory of what it was cut from
                    call, given = self._cut
                    part = call(result)
                    part.copy_(given)
                    given.set_(part)
            self._value = result
            self._origin.following.missed += 1
        assert self._value is not None
        return self._value

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Metadata, the next step, or `func` on the values."""
        kwargs = kwargs or {}
        first = args[0] if args else None
        if type(first) is Pending and first._value is None:
            if func in FREE:
                with torch._C.DisableTorchFunctionSubclass():
                    return func(*args, **kwargs)
            if is_unchanged(first, func, args, kwargs):
                return first
            made = first._next(func, args, kwargs)
            if made is not None:
                return made
        return func(*_values(args), **_values(kwargs))

    def _next(self, func: Any, args: Sequence[Any], kwargs: Any) -> Tensor | None:
        """The output of the next step, if the call is that step and nothing that it reads has changed."""
        origin, steps = self._origin, self._origin.following.steps
        at = len(self._taken)
        expected = steps[at]
        key = expected.key
        found = read(
            self,
            func,
            args,
            kwargs,
            lambda mean: key if expected.kind == "norm" and key.running_mean is mean else None,
        )
        if found != expected or self._cut is not None:
            return None
        if self._parent is not None and self._parent._value is not None:  # and may have been written to
            return None
        if origin.versions != versions(origin.following.tensors()):
            return None
        call, in_place = Call(func, tuple(args[1:]), kwargs), is_in_place(func, args, kwargs)
        if in_place and self._parent is not None:
            return None
        taken = (*self._taken, call)
        if len(taken) < len(steps):
            if expected.kind == "crop":
                part = torch.empty_strided(self.shape, self.stride(), device="meta")[args[1]]
                result = Pending.of(origin, part.shape, part.stride(), self.dtype, taken)
                result._parent = self
                return result
            if not in_place:
                return Pending.of(origin, self.shape, self.stride(), self.dtype, taken)
            self._taken = taken
            return self
        origin.following.taken += 1
        if in_place:
            self._value = origin.expected
        elif expected.kind == "crop":
            self._cut = call, origin.expected
        return origin.expected

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """An operator that code outside Python calls, on the values."""
        return func(*_values(args), **_values(kwargs or {}))


def _values(tree: Any) -> Any:
    return pytree.tree_map_only(Pending, Pending.value, tree)


def settled(output: Any) -> Any:
    """An output with the values of what is pending in it."""
    if any(type(leaf) is Pending for leaf in pytree.tree_leaves(output)):
        return _values(output)
    return output


class Following:
    """The steps after a layer, or after a chain that begins with it, which later calls should take."""

    def __init__(self, whole: Any, steps: Sequence[Step]) -> None:
        """`whole` is the chain that computes them, too."""
        self.whole, self.steps = whole, tuple(steps)
        self.active = True
        self.taken, self.missed = 0, 0  #: how many calls went this way, and another

    def tensors(self) -> list[Tensor]:
        """What the steps read."""
        return [] if self.whole.norm is None else of_norm(self.whole.norm)

    def begin(self, first: Any, x: Tensor, last: bool) -> Tensor | None:
        """The output of the chain `first` for `x`, pending; None if it has to be computed now."""
        if not self.active or self.missed > self.taken + _PATIENCE:
            return None
        norm = self.whole.norm
        if norm is not None and (norm.training or norm.running_mean is None):
            return None
        found, raw = self.whole.job(x, last), first.job(x, last)
        if found is None or raw is None:
            return None
        expected = computed(found, x)
        source = x.detach()
        try:
            source = torch._lazy_clone(source)
        except RuntimeError:  # memory of NumPy
            source = source.clone()
        shape = raw.call.shape
        made = torch.empty(shape, dtype=x.dtype, device="meta")
        if last:
            made = made.movedim(-1, 1)
        return Pending.of(Origin(self, expected, source, raw), made.shape, made.stride(), x.dtype)


#: How many more calls may go another way before this is given up.
_PATIENCE = 3
