"""The walker and the rule to copy: where it applies, and why not, compared with ONNX Runtime's outputs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

import onnx_ir as ir  # noqa: E402
from onnx import helper  # noqa: E402

from tconv.errors import TconvError  # noqa: E402
from tconv.onnx.rewriting import CAPABILITIES, SPEED, TARGETS, rewrite  # noqa: E402
from tconv.onnx.rewriting.goals import STAGES, target  # noqa: E402
from tconv.onnx.rewriting.walker import Step, apply_rules  # noqa: E402
from tconv.onnx.rules import RULES, Context  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402

FOLD = [RULES["fold-bias"]]


def layer(name: str = "up", out: str = "y", **options: object) -> onnx.NodeProto:
    return helper.make_node("ConvTranspose", ["x", "w"], [out], name=name, **options)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("lead", [(1,), ()])
def test_fold_bias(axes: int, groups: int, lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(axes)
    weight, bias = whole(rng, 4, 3, *(3,) * axes), whole(rng, *lead, 3 * groups, *(1,) * axes)
    made = model(
        [
            layer(strides=[2] * axes, group=groups, output_padding=[1] * axes),
            helper.make_node("Add", ["b", "y"], ["z"], name="add"),
        ],
        {"x": [1, 4, *(5,) * axes]},
        ["z"],
        {"w": weight, "b": bias},
    )
    feeds = {"x": whole(rng, 1, 4, *(5,) * axes)}
    (before,) = answers(made, feeds)
    assert apply_rules(made, FOLD)[0] == Step("fold-bias", "up", "graph", None)
    (after,) = answers(made, feeds)
    assert op_types(made) == ["ConvTranspose"]
    assert "b" not in made.graph.initializers
    assert [value.name for value in made.graph.outputs] == ["z"]
    np.testing.assert_array_equal(after, before)


def test_a_bias_that_is_there_is_added_to() -> None:
    rng = np.random.default_rng(0)
    held = {"w": whole(rng, 2, 3, 2), "b": whole(rng, 3), "c": np.float32(5)}
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], strides=[3]),
        helper.make_node("Add", ["y", "c"], ["z"]),
    ]
    made = model(nodes, {"x": [1, 2, 4]}, ["z"], held)
    feeds = {"x": whole(rng, 1, 2, 4)}
    (before,) = answers(made, feeds)
    assert apply_rules(made, FOLD)[0].reason is None
    np.testing.assert_array_equal(answers(made, feeds)[0], before)


@pytest.mark.parametrize(
    ("nodes", "outputs", "reason"),
    [
        ([("Add", ["y", "b"], "z")], ["z", "y"], "its output is an output of the model"),
        ([("Relu", ["y"], "z")], ["z"], "followed by Relu, not by Add or Sub"),
        ([("Add", ["y", "b"], "u"), ("Add", ["y", "u"], "z")], ["z"], "2 nodes read its output"),
        ([("Add", ["y", "y"], "z")], ["z"], "the addend is computed"),
        ([("Add", ["y", "wide"], "z")], ["z"], "the addend has shape (4,), not one number per channel"),
    ],
)
def test_why_fold_bias_does_not_fire(
    nodes: list[tuple[str, list[str], str]], outputs: list[str], reason: str
) -> None:
    made = model(
        [layer(), *(helper.make_node(op, inputs, [out]) for op, inputs, out in nodes)],
        {"x": [1, 1, 3]},
        outputs,
        {
            "w": np.ones((1, 2, 2), np.float32),
            "b": np.ones((2, 1), np.float32),
            "wide": np.ones(4, np.float32),
        },
    )
    before = op_types(made)
    assert apply_rules(made, FOLD) == [Step("fold-bias", "up", "graph", reason)]
    assert op_types(made) == before


def test_computed_weights_are_left() -> None:
    nodes = [layer(), helper.make_node("Add", ["y", "b"], ["z"])]
    made = model(nodes, {"x": [1, 1, 3], "w": [1, 2, 2]}, ["z"], {"b": np.ones((2, 1), np.float32)})
    assert [step.reason for step in apply_rules(made, FOLD)] == ["its weights are computed"]


def test_an_initializer_that_is_an_input_too_is_no_constant() -> None:
    made = model([layer()], {"x": [1, 1, 3], "w": [1, 2, 2]}, ["y"], {"w": np.ones((1, 2, 2), np.float32)})
    assert Context(made).constant(made.graph[0].inputs[1]) is None


def in_a_branch(name: str) -> onnx.GraphProto:
    inner = [layer(name, f"{name}_y"), helper.make_node("Add", [f"{name}_y", "b"], [f"{name}_z"])]
    return helper.make_graph(inner, name, [], [helper.make_tensor_value_info(f"{name}_z", 1, None)])


def test_a_branch_is_rewritten() -> None:
    rng = np.random.default_rng(1)
    choose = helper.make_node(
        "If", ["which"], ["z"], name="if", then_branch=in_a_branch("a"), else_branch=in_a_branch("c")
    )
    held = {"w": whole(rng, 1, 2, 2), "b": whole(rng, 2, 1), "which": np.array(True)}
    made = model([choose], {"x": [1, 1, 3]}, ["z"], held)
    feeds = {"x": whole(rng, 1, 1, 3)}
    (before,) = answers(made, feeds)
    steps = [step for step in apply_rules(made, FOLD) if step.reason is None]
    assert sorted(step.where for step in steps) == ["graph/if/else_branch", "graph/if/then_branch"]
    np.testing.assert_array_equal(answers(made, feeds)[0], before)


def test_an_answer_read_in_a_branch_is_kept() -> None:
    inner = [helper.make_node("Add", ["y", "b"], ["u"])]
    graphs = [
        helper.make_graph(inner, name, [], [helper.make_tensor_value_info("u", 1, None)]) for name in "ab"
    ]
    graphs[1].node[0].op_type = "Mul"
    choose = helper.make_node("If", ["which"], ["z"], then_branch=graphs[0], else_branch=graphs[1])
    held = {"w": np.ones((1, 2, 2), np.float32), "b": np.ones((2, 1), np.float32), "which": np.array(True)}
    made = model([layer(), choose], {"x": [1, 1, 3]}, ["z"], held)
    assert [step.reason for step in apply_rules(made, FOLD)] == ["2 nodes read its output"]
    del choose.attribute[1].g.node[:]
    choose.attribute[1].g.output[0].name = "b"
    made = model([layer(), choose], {"x": [1, 1, 3]}, ["z"], held)
    assert [step.reason for step in apply_rules(made, FOLD)] == ["its output is read inside a branch or loop"]


def test_a_function_is_rewritten_with_constants_of_its_own() -> None:
    rng = np.random.default_rng(2)
    weight, bias = whole(rng, 1, 2, 2), whole(rng, 2, 1)

    def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array))

    body = [
        constant("w", weight),
        constant("b", bias),
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up"),
        helper.make_node("Add", ["y", "b"], ["z"]),
    ]
    function = helper.make_function("own", "Up", ["x"], ["z"], body, [helper.make_opsetid("", 18)])
    call = helper.make_node("Up", ["x"], ["z"], domain="own")
    made = model([call], {"x": [1, 1, 3]}, ["z"], functions=[function])
    feeds = {"x": whole(rng, 1, 1, 3)}
    (before,) = answers(made, feeds)
    assert apply_rules(made, FOLD)[0] == Step("fold-bias", "up", "function own::Up", None)
    (held,) = made.functions.values()
    assert [node.op_type for node in held].count("Add") == 0
    np.testing.assert_array_equal(answers(made, feeds)[0], before)


def test_a_parameter_of_a_function_is_not_guessed() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")
    attribute = node.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = "group", "g", onnx.AttributeProto.INT
    function = helper.make_function(
        "own", "Up", ["x", "w"], ["y"], [node], [helper.make_opsetid("", 18)], ["g"]
    )
    call = helper.make_node("Up", ["x", "w"], ["y"], domain="own", g=1)
    made = model([call], {"x": [1, 1, 3]}, ["y"], {"w": np.ones((1, 2, 2), np.float32)}, functions=[function])
    steps = apply_rules(made, FOLD)
    assert [step.reason for step in steps] == ["an attribute is a parameter of its function"]


def test_what_a_rule_may_ask() -> None:
    nodes = [layer(strides=[2, 2], kernel_shape=[2, 2]), helper.make_node("Relu", ["y"], ["z"], name="last")]
    made = model(nodes, {"x": ["n", 1, "h", 4]}, ["z"], {"w": np.ones((1, 3, 2, 2), np.float32)}, opset=17)
    context = Context(made)
    up = made.graph[0]
    assert context.opset(up) == 17
    assert context.shape(up.inputs[0]) == ("n", 1, "h", 4)
    found = context.shape(up.outputs[0])
    assert found is not None
    assert (found[0], found[1], found[3]) == ("n", 3, 8)
    assert up.outputs[0].shape is None  # inferred beside the model, not in it
    assert (context.name("up"), context.name("up"), context.name("new")) == ("up_1", "up_2", "new")
    assert context.user(up.outputs[0], "Relu", "Clip") is made.graph[1]
    assert context.user(up.outputs[0], "Add", "Sum") == "followed by Relu, not by Add or Sum"


def test_only_wanted_places() -> None:
    nodes = [
        layer("one", "y1"), helper.make_node("Add", ["y1", "b"], ["z1"]),
        layer("two", "y2"), helper.make_node("Add", ["y2", "b"], ["z2"]),
    ]  # fmt: skip
    held = {"w": np.ones((1, 2, 2), np.float32), "b": np.ones((2, 1), np.float32)}
    made = model(nodes, {"x": [1, 1, 3]}, ["z1", "z2"], held)
    steps = apply_rules(made, FOLD, lambda rule, where, node: node.name == "two")
    assert [step.node for step in steps if step.reason is None] == ["two"]
    assert op_types(made).count("Add") == 1


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")
    weight = np.ones((1, 1, 2), np.float32)
    ir.save(model([up], {"x": [1, 1, 4]}, ["y"], {"w": weight}), tmp_path / "in.onnx")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(TconvError, match="pipe: it is not a regular file"):
        rewrite(tmp_path / "in.onnx", pipe, goal="no-groups", check=False)
    assert pipe.is_fifo()


def test_speed_stands_alone() -> None:
    with pytest.raises(TconvError, match="--for speed cannot be combined"):
        target("no-groups,speed")


def test_the_tables_name_every_rule_and_no_other() -> None:
    named = {name for stages in STAGES.values() for line in stages for name in line}
    assert named >= {name for line in SPEED.values() for name in line}
    named |= {name for entry in CAPABILITIES.values() for name in entry.cures}
    assert named == set(RULES)
    assert all(name in CAPABILITIES for entry in TARGETS.values() for name in entry.lacks)
