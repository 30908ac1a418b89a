"""What a network did to a picture: its operators in the order in which they ran.

A tape sees the operators that PyTorch executes, so a network may be written in any way: modules or functions,
branches, residual additions.  Behind it lies the picture; whatever was computed from it is "live".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tconv.errors import TconvError, clean

__all__ = ["Call", "Tape", "place", "tensors"]

T = TypeVar("T")
#: A clamp below at 0 is a ReLU: name -> the lower bound if none is given.
_RECTIFIERS = {"relu": 0, "hardtanh": -1, "clamp": None, "clamp_min": None}


@dataclass(eq=False, slots=True)
class Call:
    """One operator as it ran: `inputs` are its live operands, `where` the module that called it.

    `positive` is where its output was above 0: the output itself may be changed in place afterwards.
    """

    operator: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Tensor]
    outputs: list[Tensor]
    where: str
    positive: Tensor | None = None

    @property
    def name(self) -> str:
        """The operator's name without namespace, overload and the underscore of in-place operators."""
        name: str = self.operator.overloadpacket.__name__
        return name.rstrip("_")

    @property
    def rectifies(self) -> bool:
        """Whether it is a ReLU, with an upper limit (ReLU6) or without."""
        if self.name not in _RECTIFIERS:
            return False
        low = self.kwargs.get("min", (*self.args, _RECTIFIERS[self.name])[1])
        return not isinstance(low, Tensor) and low == 0


@dataclass
class Tape:
    """The calls of one run of `model`, and the `output` at which it ended; see `record`."""

    picture: Tensor
    calls: list[Call] = field(default_factory=list)
    output: Any = None

    @classmethod
    def record(cls, model: nn.Module, picture: Tensor, layer: str) -> Tape:
        """Run `model` on a batch, in evaluation mode and without gradients, until `layer` has its output.

        The picture is copied, since a network may change it in place.

        Raises:
            TconvError: the model refuses the picture, does not run the layer, or has a tensor whose origin
                is not visible.
        """
        tape, modules = cls(picture.clone()), dict(model.named_modules())
        names = {id(module): name for name, module in modules.items()}
        inside: list[str] = []

        def enter(module: nn.Module, _: Any) -> None:
            inside.append(names.get(id(module), ""))

        def leave(module: nn.Module, _: Any, output: Any) -> None:
            inside.pop()
            if module is modules[layer]:
                tape.output = output
                raise _Reached

        training = [module for module in modules.values() if module.training]
        hooks = [
            hook
            for module in modules.values()
            for hook in (module.register_forward_pre_hook(enter), module.register_forward_hook(leave))
        ]
        try:
            for module in training:
                module.training = False
            with torch.no_grad(), _Watch(tape, model, inside):
                model(tape.picture)
        except _Reached:
            return tape
        except TconvError:
            raise
        except Exception as fault:  # a network may raise anything
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            raise TconvError(
                f"the model cannot take a picture of shape {tuple(picture.shape)}: {clean(reason, 200)}"
            ) from fault
        finally:
            for module in training:
                module.training = True
            for hook in hooks:
                hook.remove()
        raise TconvError(f"the model does not run its layer {clean(layer)!r}")

    def back(
        self,
        start: T,
        rule: Callable[[Call, Sequence[T | None]], Sequence[T | None]],
        join: Callable[[T, T], T],
    ) -> T | None:
        """What reaches the picture from `start` at the output, or None if nothing does.

        `rule` takes what is at a call's outputs to its inputs; `join` joins what several calls bring.
        """
        reached = {id(self.output): start}
        for call in reversed(self.calls):
            behind = [reached.pop(id(output), None) for output in call.outputs]
            if all(value is None for value in behind):
                continue
            for tensor, value in zip(call.inputs, rule(call, behind), strict=True):
                if value is not None:
                    held = reached.get(id(tensor))
                    reached[id(tensor)] = value if held is None else join(held, value)
        return reached.get(id(self.picture))


class _Reached(Exception):
    """The layer has its output; what follows it is not needed."""


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes each call on a live tensor to a tape."""

    def __init__(self, tape: Tape, model: nn.Module, inside: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tape, self._inside = tape, inside
        self._live = {id(tape.picture)}
        self._kept: list[Any] = []  # so that no id is used twice
        held = (value for module in model.modules() for value in vars(module).values())
        self._known = {id(t) for t in (*model.parameters(), *model.buffers(), *held) if isinstance(t, Tensor)}
        self._written: dict[int, set[int]] = {}  # memory changed in place -> the tensors that show the change

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operands = list(tensors((args, kwargs)))
        where = self._inside[-1] if self._inside else ""
        for tensor in operands:
            self._check(tensor, func, where)
        inputs = [tensor for tensor in operands if id(tensor) in self._live]
        result = func(*args, **kwargs)
        outputs = list(tensors(result))
        self._kept.append((args, result))
        self._known.update(map(id, outputs))
        if inputs and outputs:
            self._live.update(map(id, outputs))
            call = Call(func, args, kwargs, inputs, outputs, where)
            if call.rectifies:
                call.positive = outputs[0] > 0
            self._tape.calls.append(call)
            if func._schema.is_mutable:
                self._written[_memory(outputs[0])] = {id(outputs[0])}
            else:  # views that are made after the change
                for tensor in outputs:
                    self._written.get(_memory(tensor), set()).add(id(tensor))
        return result

    def _check(self, tensor: Tensor, func: Any, where: str) -> None:
        if id(tensor) not in self._live and id(tensor) not in self._known:
            raise TconvError(
                f"{place(where)}{func} has an operand that PyTorch did not compute; the way back is not "
                "visible there (a constant fits as a buffer of its module)"
            )
        if id(tensor) not in self._written.get(_memory(tensor), {id(tensor)}):
            raise TconvError(
                f"{place(where)}{func} reads a tensor that was changed in place through a view of it; "
                "an operator that makes a new tensor would fit"
            )


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and dictionaries."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def place(where: str) -> str:
    """The beginning of a message about a call inside the module of this name."""
    return f"layer {clean(where)!r}: " if where else ""
