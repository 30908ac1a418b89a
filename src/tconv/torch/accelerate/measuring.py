"""A model with the example of a call: its outputs, the inputs of its layers, and how much time is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tconv.errors import TconvError
from tconv.geometry.normalize import shown
from tconv.torch.accelerate.watching import Watch

__all__ = ["SECONDS", "Budget", "Example", "calls_of", "hooked"]

SECONDS = 30.0


class Budget:
    """Seconds of which some have passed."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """They begin now.

        Raises:
            TconvError: `seconds` is not a number of at least 0.
        """
        number = not isinstance(seconds, bool) and isinstance(seconds, int | float)
        if not number or not math.isfinite(seconds) or seconds < 0:
            raise TconvError(f"seconds={shown(seconds)}; a number of at least 0 would fit")
        self.seconds, self.clock = float(seconds), clock
        self._began = clock()

    @property
    def left(self) -> float:
        """Seconds that are left; less than 0 where more have passed."""
        return self.seconds - (self.clock() - self._began)


def calls_of(
    args: tuple[Any, ...], kwargs: dict[str, Any], example: Any, examples: Iterable[Any]
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments and keywords of each call that `accelerate` has been given; None for nothing.

    >>> calls_of((1, 2), {"a": 3}, None, ())
    [((1, 2), {'a': 3})]
    >>> calls_of(((1, 2),), {}, None, [{"a": 3}, ((4,), {"a": 5})])
    [((1, 2), {}), ((), {'a': 3}), ((4,), {'a': 5})]

    Raises:
        TconvError: `examples` is a tensor or a dict.
    """
    if isinstance(examples, Tensor | Mapping) or not isinstance(examples, Iterable):
        raise TconvError(
            f"examples is a {type(examples).__name__}; a list of tensors, tuples or dicts would fit"
        )
    found = (
        [(args, kwargs)] if kwargs or len(args) > 1 else [_call(each) for each in args if each is not None]
    )
    return [*found, *([] if example is None else [_call(example)]), *map(_call, examples)]


def _call(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    if not isinstance(example, tuple | list):
        return (example,), {}
    if len(example) == 2 and isinstance(example[0], tuple) and type(example[1]) is dict:
        return example[0], dict(example[1])
    return tuple(example), {}


class Example:
    """A model with the arguments of one call or of several."""

    def __init__(self, model: nn.Module, calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
        """`calls`: the arguments and the keywords of each."""
        self.model, self._calls = model, list(calls)

    def run(self) -> list[Any]:
        """The model's output for each call, with the same random numbers each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [self.model(*args, **kwargs) for args, kwargs in self._calls]

    def answers(self) -> list[Tensor]:
        """Every tensor of the outputs."""
        return self._answers(self.run)

    def _answers(self, run: Callable[[], Any]) -> list[Tensor]:
        try:
            found = list(tensors_of(run(), set()))
        except Exception as error:
            told = (str(error).strip().splitlines() or [""])[0][:120]
            raise TconvError(
                f"the model does not run on the example: {type(error).__name__}: {told}; "
                "the arguments and keywords of a call of the model would fit"
            ) from error
        return [tensor.detach().clone() for tensor in found]

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model in evaluation and without gradients; afterwards each module's mode is restored."""
        training = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, was in training.items():
                module.training = was

    def answers_and_inputs(
        self, layers: Sequence[Any]
    ) -> tuple[list[Tensor], dict[Any, list[Tensor]], Watch]:
        """`answers`, the inputs of each layer with different shapes, and what followed it, from one run."""
        seen: dict[Any, list[Tensor]] = {}

        def note(layer: Any, x: Tensor) -> None:
            known = seen.setdefault(layer, [])
            if all(x.shape != other.shape for other in known) and len(known) < len(self._calls):
                known.append(x.detach().clone())

        def see(module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor):
                note(module, given[0])

        watch = Watch(self.model, layers, note)

        def run() -> Any:
            with watch.modules(), watch:
                output = self.run()
            watch.settle()
            return output

        with self.hooked(layers, lambda layer: layer.register_forward_pre_hook(see)):
            return self._answers(run), seen, watch

    @contextmanager
    def hooked(self, layers: Sequence[Any], register: Callable[[nn.Module], Any]) -> Iterator[None]:
        """`hooked`, and without compilers, which ignore new hooks and keep those that they have seen."""
        compiled = any("_orig_mod" in module._modules for module in self.model.modules())
        eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
        with eager, hooked(layers, register):
            yield


def tensors_of(value: Any, within: set[int]) -> Iterator[Tensor]:
    """The tensors in an output, also in mappings and dataclasses that PyTorch does not know."""
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif id(leaf) not in within and (isinstance(leaf, Mapping) or is_dataclass(leaf)):
            each = leaf.values() if isinstance(leaf, Mapping) else vars(leaf).values()
            yield from tensors_of(list(each), {*within, id(leaf)})


@contextmanager
def hooked(layers: Sequence[Any], register: Callable[[nn.Module], Any]) -> Iterator[None]:
    """Layers with a hook, which is removed at the end; calls of functions have none."""
    with ExitStack() as stack:
        for layer in layers:
            if isinstance(layer, nn.Module):
                stack.callback(register(layer).remove)
        yield
