"""Whether two models answer alike, in ONNX Runtime as users run it.

An output may differ by its dtype's share of its own largest absolute value (`TOLERANCE`), or by ten times
what the original itself differs between ONNX Runtime's graph optimisations on and off, whichever is more: a
model that magnifies rounding does so before any rewriting. Whole numbers have a share of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.errors import TconvError
from tconv.models.onnx.nodes import constant, walk
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.runner import Runner, Trouble

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RANDOM", "TOLERANCE", "Compared", "answers_of", "compare", "seeded"]

Array = np.ndarray[Any, Any]

TOLERANCE: Mapping[str, float] = MappingProxyType({"float64": 1e-9, "float32": 1e-4, "float16": 1e-2})
"""The share of an output's largest absolute value by which it may differ. Other kinds of numbers: 0."""

_NOISE = 10
"""How many times the original's own differences are allowed."""

RANDOM = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"]
)  # fmt: skip
"""ONNX's operators that may draw random numbers."""


@dataclass(frozen=True)
class Compared:
    """One output under one set of inputs.

    Attributes:
        feeds, output: which.
        largest: largest absolute value of the original's output.
        error: largest absolute difference; infinite where shapes differ or only one is finite.
        allowed: the most that `error` may be.
    """

    feeds: str
    output: str
    largest: float
    error: float
    allowed: float

    @property
    def fine(self) -> bool:
        """Whether the two answers are alike."""
        return self.error <= self.allowed


def seeded(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """A copy whose random operators have fixed seeds, so that two models draw alike; and their kinds."""
    import onnx_ir as ir

    made, kinds = model.clone(), set()
    for number, (node, _) in enumerate(walk(made)):
        if node.domain == "" and node.op_type in RANDOM and _draws(node):
            node.attributes.add(ir.AttrFloat32("seed", float(number + 1)))
            kinds.add(node.op_type)
    return made, tuple(sorted(kinds))


def _draws(node: ir.Node) -> bool:
    """Dropout draws only in training mode, which its third input says."""
    if node.op_type != "Dropout":
        return True
    training = node.inputs[2] if len(node.inputs) > 2 else None
    said = constant(training)
    return training is not None and (said is None or bool(said.any()))


Answers = list[dict[str, Array]]


def answers_of(model: ir.Model, runner: Runner, name: str, given: Sequence[Feeds], **how: bool) -> Answers:
    """The answers of a model, loaded anew so that random operators begin at their seeds."""
    runner.load(name, model, **how)
    try:
        return [runner.run(name, feeds.arrays) for feeds in given]
    finally:
        runner.drop(name)


def reference(model: ir.Model, runner: Runner, given: Sequence[Feeds]) -> tuple[Answers, Answers]:
    """What the original answers, and how far rounding alone moves it, output by output.

    Raises:
        TconvError: it draws random numbers of its own, so that no two of its runs are alike.
    """
    first, again = (answers_of(model, runner, "original", given) for _ in range(2))
    for feeds, one, two in zip(given, first, again, strict=True):
        for output in one:
            if difference(one[output], two[output]) > 0:
                raise TconvError(
                    f"output {output!r} of the model itself differs from run to run ({feeds.name}), so "
                    "nothing can be checked; inputs without randomness would fit, or --no-check"
                )
    try:
        plain = answers_of(model, runner, "plain", given, optimised=False)
    except Trouble:  # some kernels exist only after optimisation; then there is no noise to compare with
        plain = first
    return first, plain


def compare(held: tuple[Answers, Answers], answers: Answers, given: Sequence[Feeds]) -> list[Compared]:
    """Every output under every set of inputs, against the original's `reference`."""
    found = []
    for feeds, before, plain, after in zip(given, *held, answers, strict=True):
        for output, array in before.items():
            largest = _largest(array)
            noise = difference(array, plain[output])
            share = TOLERANCE.get(array.dtype.name, 0.0)
            allowed = max(share * largest, _NOISE * noise if np.isfinite(noise) else 0.0)
            found.append(Compared(feeds.name, output, largest, difference(array, after[output]), allowed))
    return found


def difference(one: Array, two: Array) -> float:
    """The largest absolute difference; infinite where shapes, dtypes or what is finite are not the same."""
    if one.shape != two.shape or one.dtype != two.dtype:
        return np.inf
    if one.dtype.kind not in "fiub":
        return 0.0 if bool((one == two).all()) else np.inf
    a, b = _wide(one), _wide(two)
    odd = ~np.isfinite(a)
    if not np.array_equal(odd, ~np.isfinite(b)) or not np.array_equal(a[odd], b[odd], equal_nan=True):
        return np.inf
    return float(np.abs(a[~odd] - b[~odd]).max(initial=0.0))


def _largest(array: Array) -> float:
    if array.dtype.kind not in "fiub":
        return 0.0
    wide = _wide(array)
    return float(np.abs(wide[np.isfinite(wide)]).max(initial=0.0))


def _wide(array: Array) -> Array:
    return array.astype(np.float64)
