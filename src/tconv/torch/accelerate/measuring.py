"""Outputs and times before and after: in turns, medians, in evaluation, without gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tconv.errors import TconvError

__all__ = ["TOLERANCE", "Example", "distance", "in_turns"]

#: By how much outputs may differ, as a share of the largest; for integers, the share that may differ.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_WHOLE = 1e-2

_ROUNDS, _SECONDS = 9, 0.01  #: rounds per side, and the least time of a round


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

    def inputs(self, layers: Sequence[nn.Module]) -> dict[nn.Module, Tensor]:
        """The first input of each layer."""
        seen: dict[nn.Module, Tensor] = {}

        def see(module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor):
                seen.setdefault(module, given[0].detach().clone())

        hooks = [layer.register_forward_pre_hook(see) for layer in layers]
        try:
            self.run()
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def distance(found: Sequence[Tensor], expected: Sequence[Tensor]) -> tuple[float, float]:
    """The difference of outputs and the allowed one, for the worst tensor.

    >>> distance([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.5])])
    (0.2, 0.0001)
    """
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return float("inf"), 0.0
    worst = (0.0, min(TOLERANCE.get(tensor.dtype, _WHOLE) for tensor in expected) if expected else 0.0)
    for a, b in zip(found, expected, strict=True):
        allowed = TOLERANCE.get(b.dtype, _WHOLE)
        if not b.is_floating_point():
            off = float((a != b).double().mean()) if b.numel() else 0.0
        else:
            apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a.double() - b.double()).abs())
            finite = b[b.isfinite()].double().abs()
            largest = float(finite.max()) if finite.numel() else 0.0
            off = (
                float(apart.nan_to_num(nan=float("inf"), posinf=float("inf")).max()) / (largest or 1.0)
                if b.numel()
                else 0.0
            )
        if off / allowed > worst[0] / (worst[1] or 1.0):
            worst = off, allowed
    return worst


def in_turns(sides: Sequence[tuple[Callable[[], None], Callable[[], Any]]]) -> list[list[float]]:
    """The seconds of each side's call, round by round; every other round from the last to the first.

    A side is a setup function and the timed call.
    """
    calls = []
    for prepare, call in sides:
        prepare()
        call()
        calls.append(max(1, round(_SECONDS / max(_once(call, 1), 1e-7))))
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(_ROUNDS):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            prepare, call = sides[side]
            prepare()
            call()  # packs weights and allocates memory
            times[side].append(_once(call, calls[side]))
    return times


def _once(call: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count
