"""BatchNormalization, scales and constants folded into layers, compared with ONNX Runtime's outputs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper

from tconv.onnx.rewriting.walker import apply_rules
from tconv.onnx.rules import RULES
from tests.onnx.helpers import answers, op_types, whole
from tests.onnx.rules.helpers import OPSETS, Problem, built, operators, problem, reasons, rewritten

#: Every kind of layer: operator, axes, groups (4 is one a channel of input).
LAYERS = [
    (op, axes, groups) for op in ("ConvTranspose", "Conv") for axes in (1, 2, 3) for groups in (1, 2, 4)
]
every_layer = pytest.mark.parametrize(("op", "axes", "groups"), LAYERS)


def drawn(
    op: str, axes: int, groups: int, seed: int = 0
) -> tuple[np.random.Generator, list[tuple[Problem, dict]]]:
    """One problem for each way to write it: opsets, Constant nodes, dynamic sizes."""
    rng = np.random.default_rng([seed, len(op), axes, groups])
    ways = [
        (opset, as_nodes, dynamic) for opset in OPSETS for as_nodes, dynamic in ((False, True), (True, False))
    ]
    made = [
        (problem(rng, axes, groups, op=op, dynamic=dynamic), {"opset": opset, "as_nodes": as_nodes})
        for opset, as_nodes, dynamic in ways
    ]
    return rng, made


def norm_numbers(rng: np.random.Generator, channels: int) -> dict[str, np.ndarray]:
    """Gamma, beta, mean and variance whose folding is exact: standard deviations of 1, 2 or 1/2."""
    return {
        "gamma": whole(rng, channels), "beta": whole(rng, channels), "mean": whole(rng, channels),
        "variance": rng.choice(np.float32([0.25, 1, 4]), channels),
    }  # fmt: skip


def norm(y: str = "y", **options: object) -> object:
    numbers = {"epsilon": 0.0, **options}
    return helper.make_node("BatchNormalization", [y, "gamma", "beta", "mean", "variance"], ["z"], **numbers)


@every_layer
def test_batchnorm_is_folded(op: str, axes: int, groups: int) -> None:
    rng, ways = drawn(op, axes, groups)
    for given, way in ways:
        made = built(given, [norm()], norm_numbers(rng, given.outputs), outputs=["z"], **way)
        assert operators(rewritten(made, "fold-batchnorm", *given.feeds)) == [op]


def test_batchnorm_of_real_numbers() -> None:
    """Within the rounding of weights; epsilon as it is by default."""
    rng = np.random.default_rng(0)
    for groups in (1, 2, 4):
        given = problem(rng, 2, groups)
        numbers = {name: np.float32(rng.uniform(0.5, 2, given.outputs)) for name in norm_numbers(rng, 1)}
        for options in ({}, {"epsilon": 0.1}):
            node = norm(**options)
            if not options:
                del node.attribute[:]
            made = built(given, [node], numbers, outputs=["z"])
            assert operators(rewritten(made, "fold-batchnorm", *given.feeds, close=1e-5)) == ["ConvTranspose"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training_mode": 1}, "the BatchNormalization takes its mean and variance from the batch"),
        ({"outputs": ["z", "y"]}, "its output is an output of the model"),
        ({"gamma": "x"}, "the layer computes the parameters of the BatchNormalization"),
        ({"computed": True}, "the BatchNormalization's numbers are computed"),
        ({"variance": -1}, "variance + epsilon is -1 in channel 0; above 0 would fit"),
    ],
)
def test_why_batchnorm_is_not_folded(change: dict, reason: str) -> None:
    rng = np.random.default_rng(0)
    given = problem(rng, 1, channels=(2, 2))
    numbers = norm_numbers(rng, 2)
    options = {name: value for name, value in change.items() if name == "training_mode"}
    node, before = norm(**options), []
    if "training_mode" in change:
        node.output.extend(["running_mean", "running_var"])
    if "gamma" in change:
        node.input[1], node.input[0] = "y", "x"
    if "computed" in change:
        before = [helper.make_node("Abs", ["mean"], ["m"])]
        node.input[3] = "m"
    if "variance" in change:
        numbers["variance"][:] = change["variance"]
    made = built(given, [node], numbers, before=before, outputs=change.get("outputs", ["z"]))
    assert reasons(made, "fold-batchnorm") == [reason]


#: A node after y with the constant c: operator, whether c is first, c's shape from (channels, axes).
AFTER = [
    (op, first, lead)
    for op in ("Mul", "Div", "Add", "Sub")
    for first in (False, True)
    for lead in ("channels", "batch", "one", "scalar")
    if not (op == "Div" and first)
]


def constant(rng: np.random.Generator, op: str, lead: str, channels: int, axes: int) -> np.ndarray:
    shape = {
        "channels": (channels, *(1,) * axes),
        "batch": (1, channels, *(1,) * axes),
        "one": (1,),
        "scalar": (),
    }[lead]
    return rng.choice(np.float32([0.5, 1, 2, -4] if op == "Div" else [-3, 0, 1, 2]), shape)


@every_layer
def test_constants_after_the_layer_are_folded(op: str, axes: int, groups: int) -> None:
    rng, ways = drawn(op, axes, groups, 1)
    for number, (after, first, lead) in enumerate(AFTER):
        given, way = ways[number % len(ways)]
        inputs = ["c", "y"] if first else ["y", "c"]
        held = {"c": constant(rng, after, lead, given.outputs, axes)}
        made = built(given, [helper.make_node(after, inputs, ["z"])], held, outputs=["z"], **way)
        rule = "fold-scale" if after in ("Mul", "Div") else "fold-bias"
        assert operators(rewritten(made, rule, *given.feeds)) == [op], (after, inputs, lead)


@every_layer
def test_constants_before_the_layer_are_folded(op: str, axes: int, groups: int) -> None:
    rng, ways = drawn(op, axes, groups, 2)
    for number, (before, first, lead) in enumerate(AFTER):
        if before in ("Add", "Sub"):
            continue
        given, way = ways[number % len(ways)]
        given.node.input[0] = "s"
        inputs = ["c", "x"] if first else ["x", "c"]
        held = {"c": constant(rng, before, lead, 4, axes)}
        made = built(given, before=[helper.make_node(before, inputs, ["s"])], constants=held, **way)
        assert operators(rewritten(made, "fold-input-scale", *given.feeds)) == [op], (before, inputs, lead)


def test_neg_is_folded_on_either_side() -> None:
    rng = np.random.default_rng(0)
    given = problem(rng, 2, 2, bias=True)
    made = built(given, [helper.make_node("Neg", ["y"], ["z"])], outputs=["z"])
    assert operators(rewritten(made, "fold-scale", *given.feeds)) == ["ConvTranspose"]
    given.node.input[0] = "s"
    made = built(given, before=[helper.make_node("Neg", ["x"], ["s"])])
    assert operators(rewritten(made, "fold-input-scale", *given.feeds)) == ["ConvTranspose"]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([("Mul", ["y", "rows"])], "the factor has shape (2, 1), not one number per channel"),
        ([("Mul", ["y", "wide"])], "the factor has shape (1, 1, 2, 1), not one number per channel"),
        ([("Mul", ["y", "y"])], "the factor is computed"),
        ([("Div", ["one", "y"])], "it divides a constant by the channels"),
        ([("Div", ["y", "zero"])], "it divides by zero"),
        ([("Mul", ["y", "inf"])], "the factor is not finite"),
        ([("Mul", ["y", "huge"])], "new values of up to 2e+38 are beyond float16; a wider dtype would fit"),
        ([("Relu", ["y"])], "followed by Relu, not by Mul or Div or Neg"),
    ],
)
def test_why_a_scale_is_not_folded(nodes: list[tuple[str, list[str]]], reason: str) -> None:
    held = {
        "rows": np.ones((2, 1)), "wide": np.ones((1, 1, 2, 1)), "one": np.ones(1), "zero": np.zeros(1),
        "inf": np.full(1, np.inf), "huge": np.full(1, 1e38),
    }  # fmt: skip
    given = problem(np.random.default_rng(0), 2, channels=(2, 2), bias=False)
    given.constants["w"][:] = 2
    if "float16" in reason:
        given.constants["w"] = given.constants["w"].astype(np.float16)
    after = [helper.make_node(op, inputs, ["z"]) for op, inputs in nodes]
    made = built(given, after, {n: a.astype(np.float32) for n, a in held.items()}, outputs=["z"])
    assert reasons(made, "fold-scale") == [reason]


@pytest.mark.parametrize(
    ("shape", "node", "reason"),
    [
        (["n", 4, 5], ("Relu", ["x"]), "it follows Relu, not a scale"),
        (["n", 4, 5], ("Add", ["x", "c"]), "it follows Add, not a scale"),
        (
            ["n", "c", 5],
            ("Mul", ["x", "c"]),
            "whether 4 channels are scaled, or fewer broadcast, is not known",
        ),
        (
            ["n", 1, 5],
            ("Mul", ["x", "c"]),
            "whether 4 channels are scaled, or fewer broadcast, is not known",
        ),
        ([4, 5], ("Mul", ["x", "l"]), "whether 4 channels are scaled, or fewer broadcast, is not known"),
        (["n", 4, 5], ("Mul", ["c", "c"]), "the scaled value is a constant"),
        (["n", 4, 5], ("Mul", ["x", "x"]), "the factor is computed"),
    ],
)
def test_why_an_input_scale_is_not_folded(shape: list, node: tuple[str, list[str]], reason: str) -> None:
    given = problem(np.random.default_rng(0), 1)._replace(shape=shape)
    given.node.input[0] = "s"
    held = {"c": np.ones((4, 1), np.float32), "l": np.ones((1, 1, 1), np.float32)}
    made = built(given, before=[helper.make_node(*node, ["s"])], constants=held)
    assert reasons(made, "fold-input-scale") == [reason]


def test_an_input_scale_that_others_read_stays() -> None:
    given = problem(np.random.default_rng(0), 1)
    given.node.input[0] = "s"
    scale = helper.make_node("Mul", ["x", "two"], ["s"])
    held = {"two": np.float32(2)}
    made = built(given, [helper.make_node("Relu", ["s"], ["r"])], held, before=[scale], outputs=["y", "r"])
    assert reasons(made, "fold-input-scale") == ["2 nodes read its output"]
    made = built(given, before=[scale], constants=held, outputs=["y", "s"])
    assert reasons(made, "fold-input-scale") == ["its output is an output of the model"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("w", "its weights are computed"),
        ("b", "its bias is computed"),
        ("whole", "its weights are int64"),
        ("group", "its weights have shape (4, 4, 2) and 3 groups"),
        ("bias", "its bias has shape (3,) for 8 channels"),
    ],
)
@pytest.mark.parametrize("rule", ["fold-batchnorm", "fold-scale", "fold-bias", "fold-input-scale"])
def test_a_layer_whose_numbers_are_unknown_is_left(rule: str, change: str, reason: str) -> None:
    given = problem(np.random.default_rng(0), 1, 2, bias=True, weight=np.ones((4, 4, 2), np.float32))
    before = []
    if change == "group":
        next(a for a in given.node.attribute if a.name == "group").i = 3
    elif change == "whole":
        given.constants["w"] = np.ones((4, 4, 2), int)
    elif change == "bias":
        given.constants["b"] = np.ones(3, np.float32)
    else:
        before = [helper.make_node("Abs", [change], ["computed"])]
        given.node.input[1 if change == "w" else 2] = "computed"
    assert reasons(built(given, before=before), rule) == [reason]


def test_weights_that_two_layers_share_serve_both() -> None:
    """One layer is folded and gets separate weights; the other, of the same weights, computes as before."""
    rng = np.random.default_rng(0)
    given = problem(rng, 2, 2, bias=True)
    twin = helper.make_node("ConvTranspose", given.node.input, ["t"], name="twin")
    twin.attribute.extend(given.node.attribute)
    after = [norm(), twin]
    made = built(given, after, norm_numbers(rng, given.outputs), outputs=["z", "t"])
    assert operators(rewritten(made, "fold-batchnorm", *given.feeds)) == ["ConvTranspose", "ConvTranspose"]
    assert {"w", "b"} < set(made.graph.initializers)


def test_all_of_them_in_a_branch() -> None:
    """Scale, layer, BatchNormalization, scale, shift: one layer is left in either branch."""
    rng = np.random.default_rng(3)
    given = problem(rng, 2, 2, bias=True)
    given.node.input[0] = "s"
    held = {**norm_numbers(rng, given.outputs), "c": whole(rng, 8, 1, 1), "a": np.float32(2)}
    chain = [
        helper.make_node("Mul", ["x", "a"], ["s"]), given.node, norm(),
        helper.make_node("Mul", ["z", "c"], ["u"]), helper.make_node("Sub", ["u", "c"], ["v"]),
    ]  # fmt: skip

    def branch(mark: str) -> object:
        inner = []
        own = {name for node in chain for name in node.output}
        for node in chain:
            copy = type(node)()
            copy.CopyFrom(node)
            for names in (copy.input, copy.output):
                names[:] = [mark + name if name in own else name for name in names]
            inner.append(copy)
        return helper.make_graph(inner, mark, [], [helper.make_tensor_value_info(f"{mark}v", 1, None)])

    choose = helper.make_node("If", ["which"], ["y"], then_branch=branch("p"), else_branch=branch("q"))
    made = built(given._replace(node=choose), constants={**held, "which": np.array(True)})
    (before,) = answers(made, given.feeds[0])
    apply_rules(made, list(RULES.values())[:4])
    assert op_types(made) == ["If"]
    for name in ("then_branch", "else_branch"):
        assert [node.op_type for node in made.graph[0].attributes[name].as_graph()] == ["ConvTranspose"]
    np.testing.assert_array_equal(answers(made, given.feeds[0])[0], before)
