"""A model with the example of a call: its outputs, the inputs of its layers, and how much time is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tconv.errors import TconvError
from tconv.geometry.normalize import shown

__all__ = ["SECONDS", "Budget", "Example", "hooked"]

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


class Example:
    """A model with the arguments of a call."""

    def __init__(self, model: nn.Module, example: Any) -> None:
        """`example` is a tensor, a tuple of arguments or a mapping of keywords."""
        self.model = model
        self._args = tuple(example) if isinstance(example, tuple | list) else (example,)
        self._kwargs: dict[str, Any] = {}
        if isinstance(example, Mapping):
            self._args, self._kwargs = (), dict(example)

    def run(self) -> Any:
        """The model's output, with the same random numbers each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.model(*self._args, **self._kwargs)

    def answers(self) -> list[Tensor]:
        """Every tensor of the output."""
        try:
            found = pytree.tree_leaves(self.run())
        except Exception as error:
            told = (str(error).strip().splitlines() or [""])[0][:120]
            raise TconvError(
                f"the model does not run on the example: {type(error).__name__}: {told}; "
                "a tensor, a tuple of arguments or a dict of keywords that it takes would fit"
            ) from error
        return [leaf.detach().clone() for leaf in found if isinstance(leaf, Tensor)]

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

    def answers_and_inputs(self, layers: Sequence[nn.Module]) -> tuple[list[Tensor], dict[nn.Module, Tensor]]:
        """`answers`, and the first input of each layer, from one run."""
        seen: dict[nn.Module, Tensor] = {}

        def see(module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor):
                seen.setdefault(module, given[0].detach().clone())

        with self.hooked(layers, lambda layer: layer.register_forward_pre_hook(see)):
            return self.answers(), seen

    @contextmanager
    def hooked(self, layers: Sequence[nn.Module], register: Callable[[nn.Module], Any]) -> Iterator[None]:
        """`hooked`, and without compilers, which ignore new hooks and keep those that they have seen."""
        compiled = any("_orig_mod" in module._modules for module in self.model.modules())
        eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
        with eager, hooked(layers, register):
            yield


@contextmanager
def hooked(layers: Sequence[nn.Module], register: Callable[[nn.Module], Any]) -> Iterator[None]:
    """Layers with a hook, which is removed at the end."""
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(register(layer).remove)
        yield
