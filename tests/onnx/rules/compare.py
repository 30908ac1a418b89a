"""One rule on one model, beside the model as it was."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tconv.onnx.rewriting.walker import apply_rules
from tconv.onnx.rules import RULES
from tests.onnx.models import Arrays, answers


def rewritten(made: ir.Model, rule: str, *feeds: Arrays, close: float = 0.0, fires: int = 1) -> ir.Model:
    """`made` with the rule applied, after its answers to all feeds have been compared with those before.

    With close=0 the answers must be equal bit for bit, else within that of the largest.
    """
    before = [answers(made, feed) for feed in feeds]
    inputs, outputs = ([value.name for value in values] for values in (made.graph.inputs, made.graph.outputs))
    steps = apply_rules(made, [RULES[rule]])
    assert [step.reason for step in steps].count(None) == fires, steps
    assert [value.name for value in made.graph.inputs] == inputs
    assert [value.name for value in made.graph.outputs] == outputs
    for feed, expected in zip(feeds, before, strict=True):
        for found, wanted in zip(answers(made, feed), expected, strict=True):
            assert found.shape == wanted.shape
            assert found.dtype == wanted.dtype
            largest = np.abs(wanted.astype(np.float64)).max(initial=0)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=close * float(largest))
    return made


def reasons(made: ir.Model, rule: str) -> list[str | None]:
    """Why the rule does not fire, at each node that it looks at; then the model has stayed as it was."""
    before = _wiring(made)
    steps = apply_rules(made, [RULES[rule]])
    if all(step.reason is not None for step in steps):
        assert _wiring(made) == before
    return [step.reason for step in steps]


def _wiring(made: ir.Model) -> list[tuple[object, ...]]:
    """Every node with what it reads, makes and says, and every initializer's name."""
    bodies = [made.graph, *(function.graph for function in made.functions.values())]
    nodes = [node for body in bodies for node in ir.traversal.RecursiveGraphIterator(body)]
    held = [name for graph in made.graphs() for name in graph.initializers]
    return [
        *((node.op_type, str(node.inputs), str(node.outputs), sorted(node.attributes)) for node in nodes),
        *held,
    ]
