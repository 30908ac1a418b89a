"""Whether two models have the same outputs in ONNX Runtime with default settings.

An output may differ by its dtype's share of its own largest absolute value (`TOLERANCE`), or by ten times the
difference of the original with ONNX Runtime's graph optimisations on and off, whichever is more: a model that
amplifies rounding does so without any rewriting. For integers the share is zero.

A model that quantizes its maps turns a difference in the last bits into a whole step wherever a sum is close
to the middle between two integers. Its own differences are then also those with the outputs of its transposed
convolutions scaled by 1 + 2^-18, which is about as many steps as other rounding makes, or a few more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.agreement import allowed, difference, largest
from tconv.errors import TconvError
from tconv.models.onnx import constants
from tconv.models.onnx.constants import constant
from tconv.models.onnx.nodes import walk
from tconv.onnx.rewriting.feeds import Feeds
from tconv.onnx.rewriting.runner import Runner, Trouble

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["RANDOM", "TOLERANCE", "Compared", "answers_of", "compare", "seeded"]

Array = np.ndarray[Any, Any]

TOLERANCE: Mapping[str, float] = MappingProxyType({"float64": 1e-9, "float32": 1e-4, "float16": 1e-2})
"""The share of an output's largest absolute value by which it may differ. Other dtypes: 0."""

RANDOM = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"]
)  # fmt: skip
"""ONNX's operators that may draw random numbers."""


@dataclass(frozen=True)
class Compared:
    """One output under one set of inputs.

    Attributes:
        feeds, output: their names.
        largest: largest absolute value of the original's output.
        error: largest absolute difference; infinite if shapes differ or only one is finite.
        allowed: the most that `error` may be.
    """

    feeds: str
    output: str
    largest: float
    error: float
    allowed: float

    @property
    def fine(self) -> bool:
        """Whether the two outputs agree."""
        return self.error <= self.allowed


def seeded(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """A copy whose random operators have fixed seeds, so that two models draw the same; and their types."""
    import onnx_ir as ir

    made, kinds = model.clone(), set()
    for number, (node, _) in enumerate(walk(made)):
        if node.domain == "" and node.op_type in RANDOM and _draws(node):
            node.attributes.add(ir.AttrFloat32("seed", float(number + 1)))
            kinds.add(node.op_type)
    return made, tuple(sorted(kinds))


def _draws(node: ir.Node) -> bool:
    """Whether a node draws random numbers; Dropout does so only in training mode, its third input."""
    if node.op_type != "Dropout":
        return True
    training = node.inputs[2] if len(node.inputs) > 2 else None
    said = constant(training)
    return training is not None and (said is None or bool(said.any()))


Answers = list[dict[str, Array]]


def answers_of(model: ir.Model, runner: Runner, name: str, given: Sequence[Feeds], **how: bool) -> Answers:
    """The outputs of a model, reloaded so that random operators start at their seeds."""
    runner.load(name, model, **how)
    try:
        return [runner.run(name, feeds.arrays) for feeds in given]
    finally:
        runner.drop(name)


def reference(model: ir.Model, runner: Runner, given: Sequence[Feeds]) -> tuple[Answers, ...]:
    """The outputs of the original, and its outputs with other rounding.

    Raises:
        TconvError: it draws random numbers without seeds, so that its runs differ.
    """
    first, again = (answers_of(model, runner, "original", given) for _ in range(2))
    for feeds, one, two in zip(given, first, again, strict=True):
        for output in one:
            if difference(one[output], two[output]) > 0:
                raise TconvError(
                    f"output {output!r} of the model itself differs from run to run ({feeds.name}), so "
                    "it cannot be checked; inputs without randomness would fit, or --no-check"
                )
    try:
        plain = answers_of(model, runner, "plain", given, optimised=False)
    except Trouble:  # some kernels exist only after optimisation; then no such difference is known
        plain = first
    scaled = _scaled(model)
    return (first, plain) if scaled is None else (first, plain, answers_of(scaled, runner, "scaled", given))


_SCALE = 1 + 2.0**-18


def _scaled(model: ir.Model) -> ir.Model | None:
    """A copy whose transposed convolutions answer a little more; None if it quantizes no map."""
    import onnx_ir as ir

    made = model.clone()
    nodes = [node for node, _ in walk(made)]
    if not any(
        node.op_type == "QuantizeLinear" and constants.held(node.outputs[0]) is None for node in nodes
    ):
        return None
    for number, node in enumerate(nodes):
        weight = constants.held(node.inputs[1]) if node.op_type == "ConvTranspose" else None
        if weight is None or weight.dtype != np.float32 or node.domain or node.graph is None:
            continue
        scale = ir.node(
            "Constant", [], {"value": ir.tensor(np.float32(_SCALE))}, name=f"tconv.scale.{number}"
        )
        times = ir.node("Mul", [node.outputs[0], scale.outputs[0]], name=f"tconv.scaled.{number}")
        for new in (scale, times):
            new.outputs[0].name = new.name
        output = node.outputs[0]
        if output.is_graph_output():  # its name would change
            continue
        ir.convenience.replace_all_uses_with(output, times.outputs[0])
        times.replace_input_with(0, output)
        node.graph.insert_after(node, [scale, times])
    return made


def compare(held: tuple[Answers, ...], answers: Answers, given: Sequence[Feeds]) -> list[Compared]:
    """Every output for every set of inputs, compared with the original's `reference`."""
    found = []
    for feeds, before, after, *others in zip(given, held[0], answers, *held[1:], strict=True):
        for output, array in before.items():
            of = largest(array)
            noise = max((n for o in others if np.isfinite(n := difference(array, o[output]))), default=0.0)
            most = allowed(TOLERANCE.get(array.dtype.name, 0.0), of, noise)
            found.append(Compared(feeds.name, output, of, difference(array, after[output]), most))
    return found
