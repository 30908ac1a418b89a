"""Hard swish in two nodes, and shifts before a convolution: exactly where whole numbers allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tconv.onnx.rewriting.walker import apply_rules  # noqa: E402
from tconv.onnx.rules import RULES  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402

NUMBERS = {
    "three": np.array(3, np.float32),
    "zero": np.array(0, np.float32),
    "six": np.array([6], np.float32),
    "seven": np.array(7, np.float32),
}
Node = tuple[str, Sequence[str], str]
ADD: Node = ("Add", ["x", "three"], "a")
CLIP: Node = ("Clip", ["a", "zero", "six"], "c")
END: Sequence[Node] = [("Mul", ["x", "c"], "m"), ("Div", ["m", "six"], "y")]


@pytest.mark.parametrize(
    "nodes",
    [
        [ADD, CLIP, *END],
        [("Add", ["three", "x"], "a"), CLIP, ("Div", ["c", "six"], "m"), ("Mul", ["m", "x"], "y")],
    ],
)
@pytest.mark.parametrize("opset", [10, 17])
def test_hard_swish(nodes: list[Node], opset: int) -> None:
    made = model(
        [
            helper.make_node(op, inputs[: 1 if op == "Clip" and opset < 11 else None], [out],
                             **({"min": 0.0, "max": 6.0} if op == "Clip" and opset < 11 else {}))
            for op, inputs, out in nodes
        ],
        {"x": ["n"]}, ["y"], NUMBERS, opset=opset,
    )  # fmt: skip
    x = np.concatenate([np.linspace(-8, 8, 333, dtype=np.float32), np.float32([-3, 3, 0])])
    (before,) = answers(made, {"x": x})
    steps = apply_rules(made, [RULES["hard-swish"]])
    assert steps[0].reason is None
    assert op_types(made) == ["HardSigmoid", "Mul"]
    np.testing.assert_allclose(answers(made, {"x": x})[0], before, rtol=0, atol=1e-6)
    np.testing.assert_allclose(before, x * np.clip(x + 3, 0, 6) / 6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_a_hard_swish_that_would_lose_digits_is_left(dtype: type[np.generic]) -> None:
    nodes = [helper.make_node(op, inputs, [out]) for op, inputs, out in (ADD, CLIP, *END)]
    numbers = {name: array.astype(dtype) for name, array in NUMBERS.items()}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    made = model(nodes, {"x": ["n"]}, ["y"], numbers, dtype=kind)
    (step,) = apply_rules(made, [RULES["hard-swish"]])
    assert step.reason == f"it is in {dtype.__name__}, and the numbers of HardSigmoid are float32"


#: The engine's operator has the attributes of every opset, and needs no other operators.
ANY_OPSET = ("to-engine",)


@pytest.mark.parametrize(
    "rule", [name for name in RULES if "ConvTranspose" in RULES[name].op_types and name not in ANY_OPSET]
)
@pytest.mark.parametrize("opset", [1, 4, 6])
def test_no_rule_fires_before_opset_7(rule: str, opset: int) -> None:
    # There Add does not broadcast, Mul takes no integers, Reshape and Split have their numbers elsewhere.
    weight = whole(np.random.default_rng(0), 4, 2, 3, 3)
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 1])
    made = model([up], {"x": [1, 4, 5, 5]}, ["y"], {"w": weight}, opset=opset)
    (step,) = apply_rules(made, [RULES[rule]])
    assert step.reason == f"opset {opset} is older than 7"
    assert op_types(made) == ["ConvTranspose"]


@pytest.mark.parametrize(
    ("nodes", "outputs", "reason"),
    [
        ([("Add", ["x", "seven"], "y")], ["y"], "it does not add 3"),
        ([ADD, ("Relu", ["a"], "y")], ["y"], "followed by Relu, not by Clip"),
        ([ADD, CLIP], ["c"], "its output is an output of the model"),
        ([ADD, ("Clip", ["a", "zero", "seven"], "c"), ("Mul", ["x", "c"], "m"), ("Div", ["m", "six"], "y")],
         ["y"], "the next node does not clip to 0 and 6"),
        ([ADD, CLIP, ("Mul", ["c", "six"], "m"), ("Div", ["m", "six"], "y")],
         ["y"], "the clipped value is not multiplied by the input"),
        ([ADD, CLIP, ("Mul", ["x", "c"], "m"), ("Div", ["m", "seven"], "y")],
         ["y"], "the product is not divided by 6"),
        ([ADD, CLIP, ("Mul", ["x", "c"], "m"), ("Relu", ["m"], "y")], ["y"], "followed by Relu, not by Div"),
    ],
)  # fmt: skip
def test_why_hard_swish_does_not_fire(nodes: list[Node], outputs: list[str], reason: str) -> None:
    made = model([helper.make_node(op, i, [o]) for op, i, o in nodes], {"x": ["n"]}, outputs, NUMBERS)
    assert [step.reason for step in apply_rules(made, [RULES["hard-swish"]])] == [reason]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("size", [1, 4])
def test_fold_input_shift(axes: int, groups: int, biased: bool, size: int) -> None:
    rng = np.random.default_rng(axes)
    held = {
        "b": whole(rng, size, *(1,) * axes),
        "w": whole(rng, 6, 4 // groups, *(3,) * axes),
        "c": whole(rng, 6),
    }
    made = model(
        [
            helper.make_node("Add", ["b", "x"], ["a"]),
            helper.make_node(
                "Conv", ["a", "w", "c"][: 3 if biased else 2], ["y"], name="conv", group=groups,
                strides=[2] * axes, auto_pad="VALID",
            ),
        ],
        {"x": ["n", 4, *(7,) * axes]}, ["y"], held,
    )  # fmt: skip
    feeds = {"x": whole(rng, 2, 4, *(7,) * axes)}
    (before,) = answers(made, feeds)
    assert apply_rules(made, [RULES["fold-input-shift"]])[0].reason is None
    assert op_types(made) == ["Conv"]
    np.testing.assert_array_equal(answers(made, feeds)[0], before)


@pytest.mark.parametrize(
    ("add", "options", "channels", "reason"),
    [
        (["x", "b"], {"pads": [1, 1]}, 2, "it is padded"),
        (["x", "b"], {"auto_pad": "SAME_UPPER"}, 2, "it is padded"),
        (["x", "x"], {}, 2, "the addend is not one constant per channel"),
        (["x", "wide"], {}, 2, "the addend is not one constant per channel"),
        (["x", "b"], {}, 1, "whether 2 channels are shifted, or fewer broadcast, is not known"),
    ],
)
def test_why_a_shift_is_not_folded(add: list[str], options: dict, channels: int, reason: str) -> None:
    held = {
        "w": np.ones((3, 2, 3), np.float32),
        "b": np.ones((2, 1), np.float32),
        "wide": np.ones(5, np.float32),
    }
    nodes = [helper.make_node("Add", add, ["a"]), helper.make_node("Conv", ["a", "w"], ["y"], **options)]
    made = model(nodes, {"x": [1, channels, 5]}, ["y"], held)
    assert [step.reason for step in apply_rules(made, [RULES["fold-input-shift"]])] == [reason]


def test_a_shift_that_others_read_stays() -> None:
    held = {"w": np.ones((3, 2, 3), np.float32), "b": np.ones((2, 1), np.float32)}
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Conv", ["a", "w"], ["y"])]
    made = model(nodes, {"x": [1, 2, 5]}, ["y", "a"], held)
    assert [step.reason for step in apply_rules(made, [RULES["fold-input-shift"]])] == [
        "its output is an output of the model"
    ]


def test_a_function_before_opset_9_holds_no_whole_numbers() -> None:
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", strides=[2, 1])
    body = helper.make_function("own", "Up", ["x", "w"], ["y"], [up], [helper.make_opsetid("", 8)])
    call = helper.make_node("Up", ["x", "w"], ["y"], domain="own")
    made = model([call], {"x": [1, 4, 5, 5], "w": [4, 2, 3, 3]}, ["y"], opset=8, functions=[body])
    (step,) = apply_rules(made, [RULES["symmetric-pads"]])
    assert step.reason == "opset 8 is older than 9"
