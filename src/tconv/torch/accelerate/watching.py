"""What a run of a model makes of its layers' outputs: which functions read them, and what keeps them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tconv.models.module import places
from tconv.torch.accelerate.activations import Call
from tconv.torch.accelerate.functions import FUNCTIONS, CalledLayer
from tconv.torch.accelerate.steps import FREE, Step, is_in_place, is_unchanged, read
from tconv.torch.accelerate.swapping import has_own_forward, is_layer

__all__ = ["Line", "Watch"]


#: Steps, each with what computes it, and why there are no more.
Line: TypeAlias = tuple[list[tuple[Step, Any]], str]


class _Seen:
    """An output of a layer, or what steps made of it."""

    def __init__(self, tensor: Tensor, around: tuple[nn.Module, ...]) -> None:
        self.tensor, self.around = weakref.ref(tensor), around
        self.uses = 0
        self.step: Step | None = None  #: that reads it
        self.call: Any = None  #: what computes the step; None if the layer does
        self.next: _Seen | None = None  #: the output of the step
        self.read_by: list[str] = []  #: the names of what reads it


class Watch(TorchFunctionMode):
    """A context in which a model runs once; afterwards `follows` tells what was seen."""

    def __init__(
        self, model: nn.Module, layers: Sequence[Any], note: Callable[[CalledLayer, Tensor], None]
    ) -> None:
        """Nothing has run yet. `note` gets the inputs of those layers that are calls of functions."""
        super().__init__()
        self._model = model
        self._layers = {each for each in layers if isinstance(each, nn.Module)}
        self._functions = [each for each in layers if isinstance(each, CalledLayer)]
        self._note = note
        self._calls: dict[Any, list[_Seen]] = {}
        self._lines: dict[Any, list[Line]] = {}
        self._known: dict[int, _Seen] = {}
        self._around: list[nn.Module] = []
        self._norms = {
            id(mean): module
            for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            and (mean := module.running_mean) is not None
        }

    @contextmanager
    def modules(self) -> Iterator[None]:
        """Note which modules run, and the outputs of the layers."""
        with ExitStack() as stack:
            for module in places(self._model):
                stack.callback(module.register_forward_pre_hook(self._enter).remove)
                stack.callback(module.register_forward_hook(self._leave, always_call=True).remove)
            yield
        self._around.clear()

    def _enter(self, module: nn.Module, given: Any) -> None:
        self._around.append(module)

    def _leave(self, module: nn.Module, given: Any, output: Any) -> None:
        if module in self._around:  # the last of them, unless one failed
            while self._around.pop() is not module:
                pass
        if module in self._layers and isinstance(output, Tensor) and not self._is_inside(module):
            self._add(module, output)

    def _add(self, layer: Any, output: Tensor) -> None:
        seen = _Seen(output, tuple(self._around))
        self._calls.setdefault(layer, []).append(seen)
        self._known[id(output)] = seen

    @staticmethod
    def _is_inside(layer: nn.Module) -> bool:
        """Whether the layer itself does something with the output of its convolution."""
        return is_layer(layer) and has_own_forward(type(layer))

    def _find(self, value: Any) -> _Seen | None:
        seen = self._known.get(id(value))
        return seen if seen is not None and seen.tensor() is value else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run `func`, and note if it reads one of the tensors."""
        kwargs = kwargs or {}
        if func in FREE:
            return func(*args, **kwargs)
        several = [each for arg in args if isinstance(arg, tuple | list) for each in arg]
        called = next((each for each in self._functions if _is_call_of(each, func, args)), None)
        if called is not None:
            self._note(called, args[0])
            made = func(*args, **kwargs)
            self._add(called, made)
            return made
        layer = self._around[-1] if self._around else None
        if layer in self._layers and func in FUNCTIONS and self._is_inside(layer):
            made = func(*args, **kwargs)
            self._add(layer, made)
            return made
        found = [seen for value in (*args, *kwargs.values(), *several) if (seen := self._find(value))]
        if not found:
            return func(*args, **kwargs)
        first = self._find(args[0]) if args else None
        if first is not None and len(found) == 1 and is_unchanged(args[0], func, args, kwargs):
            return func(*args, **kwargs)
        step = None
        if first is not None and len(found) == 1:
            step = read(args[0], func, args, kwargs, lambda mean: self._norms.get(id(mean)))
        made = func(*args, **kwargs)
        for seen in found:
            seen.uses += 1
            seen.read_by.append(self._name(seen, func))
        if step is not None and first is not None and isinstance(made, Tensor):
            if is_in_place(func, args, kwargs) or step.kind == "crop":
                # The same memory as another object: its uses count separately, and it keeps no other alive.
                made = made.detach()
            first.step, first.next = step, _Seen(made, tuple(self._around))
            if layer not in self._layers or layer not in first.around:
                first.call = Call(func, tuple(args[1:]), dict(kwargs))
            self._known[id(made)] = first.next
        return made

    def _name(self, seen: _Seen, func: Any) -> str:
        """The innermost module that has been entered since, or the function."""
        entered = [module for module in self._around if module not in seen.around]
        if entered:
            return type(entered[-1]).__name__
        name = str(getattr(func, "__name__", func)).strip("_")
        return _OPERATORS.get(name, f"{name}()")

    def settle(self) -> None:
        """Note what a run has shown, while its output exists: whatever is alive now is returned or kept."""
        for layer, calls in self._calls.items():
            self._lines.setdefault(layer, []).extend(map(_line, calls))
        self._calls.clear()
        self._known.clear()

    def follows(self, layer: Any) -> Line | None:
        """The steps that follow every call of a layer, and why no more; None if it was not called."""
        lines = self._lines.get(layer)
        if lines is None:
            return None
        steps, why = lines[0]
        for others, their_why in lines[1:]:
            same = 0
            while same < min(len(steps), len(others)) and steps[same][0] == others[same][0]:
                same += 1
            if same < max(len(steps), len(others)):
                steps, why = steps[:same], f"its {len(lines)} calls are followed by different steps"
            elif their_why not in why:
                why = f"{why}; {their_why}"
        return steps, why


def _is_call_of(layer: CalledLayer, func: Any, args: Sequence[Any]) -> bool:
    same = func is layer.function and len(args) > 1 and args[1] is layer.weight
    return same and isinstance(args[0], Tensor)


#: What is written as an operator.
_OPERATORS = {
    "add": "+", "radd": "+", "iadd": "+=", "sub": "-", "rsub": "-", "mul": "*", "rmul": "*", "truediv": "/",
    "getitem": "indexing", "setitem": "writing to a part of it", "get": "an attribute",
}  # fmt: skip

#: Parts of the names of normalisations that depend on their input, which is therefore no fixed map.
_NO_MAPS = ("InstanceNorm", "GroupNorm", "LayerNorm", "GDN", "RMSNorm")


def _follows(name: str) -> str:
    if any(part in name for part in _NO_MAPS):
        return f"{name} follows, which depends on its input; a BatchNorm in its place would be folded"
    return f"{name} follows"


def _line(seen: _Seen) -> Line:
    steps: list[tuple[Step, Any]] = []
    while True:
        if seen.uses > 1 and len(set(seen.read_by)) == 1 and seen.read_by[0].isidentifier():
            return steps, _follows(seen.read_by[0])  # one module, which reads it several times
        if seen.uses > 1:
            several = ", ".join(dict.fromkeys(seen.read_by))
            return steps, (
                f"its output has {seen.uses} uses ({several}); if only a BatchNorm, an activation or a slice "
                "reads it, they are fused"
            )
        if seen.step is None or seen.next is None:
            return steps, _follows(seen.read_by[0]) if seen.uses else ""
        if seen.tensor() is not None:
            return steps, "its output is kept or returned, too"
        steps.append((seen.step, seen.call))
        seen = seen.next
