"""Random layers as ONNX nodes, and one rule applied to a model, compared with ONNX Runtime's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from tconv.onnx.rewriting.walker import apply_rules
from tconv.onnx.rules import RULES
from tests.onnx.helpers import Arrays, answers, model, op_types, whole
from tests.onnx.sameness import same_layers_once

OPSETS = (11, 13, 18, 26)  # from the first that is tested to the newest that ONNX Runtime 1.31 takes


class Problem(NamedTuple):
    """One layer from x to y, and inputs for it."""

    node: onnx.NodeProto
    constants: dict[str, np.ndarray]
    shape: list[int | str]  #: of x, with names where it is dynamic
    feeds: list[dict[str, np.ndarray]]
    outputs: int

    @property
    def axes(self) -> int:
        return len(self.shape) - 2


def problem(
    rng: np.random.Generator,
    axes: int,
    groups: int = 1,
    *,
    op: str = "ConvTranspose",
    channels: tuple[int, int] = (4, 8),
    dynamic: bool = False,
    bias: bool | None = None,
    weight: np.ndarray | None = None,
    **fixed: Sequence[int] | str,
) -> Problem:
    """A layer that ONNX Runtime accepts, with random options except those given; small integers."""
    inputs, outputs = channels
    kernel = [int(k) for k in (rng.integers(1, 5, axes) if weight is None else weight.shape[2:])]
    drawn: dict[str, Any] = {"strides": rng.integers(1, 4, axes), "dilations": rng.integers(1, 3, axes)}
    drawn |= {name: value for name, value in fixed.items() if name in drawn}
    most = [d * (k - 1) for k, d in zip(kernel, drawn["dilations"], strict=True)]
    drawn["pads"] = [int(rng.integers(0, m + 1)) for m in most * 2]
    if op == "ConvTranspose":
        drawn["output_padding"] = [int(rng.integers(0, s)) for s in drawn["strides"]]
    if "auto_pad" in fixed or "output_shape" in fixed:
        del drawn["pads"]
    drawn |= fixed
    options = {name: v if isinstance(v, str) else [int(n) for n in v] for name, v in drawn.items()}
    if rng.random() < 0.5:
        options["kernel_shape"] = kernel
    if weight is None:
        first, second = channels if op == "ConvTranspose" else channels[::-1]
        weight = whole(rng, first, second // groups, *kernel)
    constants = {"w": weight}
    if rng.random() < 0.5 if bias is None else bias:
        constants["b"] = whole(rng, outputs)
    node = helper.make_node(op, ["x", *constants], ["y"], name="up", group=groups, **options)
    sizes = [[int(n) for n in rng.integers(8, 11, axes)] for _ in range(2 if dynamic else 1)]
    feeds = [{"x": whole(rng, 1 + n, inputs, *size)} for n, size in enumerate(sizes)]
    shape = ["n", inputs, *"abc"[:axes]] if dynamic else list(feeds[0]["x"].shape)
    return Problem(node, constants, shape, feeds, outputs)


def built(
    given: Problem,
    after: Sequence[onnx.NodeProto] = (),
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    before: Sequence[onnx.NodeProto] = (),
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    as_nodes: bool = False,
) -> ir.Model:
    """The layer between other nodes; constants as initializers, or as nodes, one behind an Identity."""
    held = {**given.constants, **(constants or {})}
    nodes = [*before, given.node, *after]
    if as_nodes:
        made = [
            helper.make_node("Constant", [], [n], value=numpy_helper.from_array(a)) for n, a in held.items()
        ]
        made[0].output[0] = "hidden"
        made.insert(1, helper.make_node("Identity", ["hidden"], [next(iter(held))]))
        nodes, held = made + nodes, {}
    return model(nodes, {"x": given.shape}, outputs, held, opset=opset)


def rewritten(made: ir.Model, rule: str, *feeds: Arrays, close: float = 0.0, fires: int = 1) -> ir.Model:
    """`made` with the rule applied, after its outputs for all feeds have been compared with those before.

    With close=0 the outputs must be equal bit for bit, else within that part of the largest.
    """
    same_layers_once(made)
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


def operators(made: ir.Model) -> list[str]:
    """Of the nodes of a model, except its constants."""
    return [op for op in op_types(made) if op not in ("Constant", "Identity")]


def reasons(made: ir.Model, rule: str) -> list[str | None]:
    """Why the rule does not apply, at each node that it examines; the model must be unchanged."""
    same_layers_once(made)
    was = ir.to_proto(made).SerializeToString(deterministic=True)
    found = [step.reason for step in apply_rules(made, [RULES[rule]])]
    if None not in found:
        assert ir.to_proto(made).SerializeToString(deterministic=True) == was
    return found
