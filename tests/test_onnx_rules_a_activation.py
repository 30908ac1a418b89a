"""The hard swish in its four steps and in two, beside ONNX Runtime's answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper

from onnx_layers import reasons
from onnx_models import answers, model, op_types
from tconv.onnx.rewriting.walker import apply_rules
from tconv.onnx.rules import RULES

NUMBERS = {"three": 3, "zero": 0, "six": 6, "two": 2, "sixes": 6}


def swish(*steps: tuple[str, list[str]], opset: int = 18, outputs: tuple[str, ...] = ("y",)) -> object:
    """Add, then these steps; each reads the one before it as "-" and is called by its number, the last y."""
    names = ["a", *(str(number) for number in range(1, len(steps))), "y"]
    nodes = [helper.make_node("Add", ["x", "three"], ["a"], name="add")]
    for (op, inputs), before, name in zip(steps, names[:-1], names[1:], strict=True):
        nodes.append(helper.make_node(op, [before if given == "-" else given for given in inputs], [name]))
    held = {name: np.float32(value) for name, value in NUMBERS.items()}
    held["sixes"] = np.full((1, 1), 6, np.float32)
    return model(nodes, {"x": ["n", 5]}, list(outputs), held, opset=opset)


CLIP = ("Clip", ["-", "zero", "six"])
PRODUCT, QUOTIENT = ("Mul", ["x", "-"]), ("Div", ["-", "six"])


@pytest.mark.parametrize("opset", [11, 18, 26])
@pytest.mark.parametrize("order", [(PRODUCT, QUOTIENT), (QUOTIENT, PRODUCT), (("Mul", ["-", "x"]), QUOTIENT)])
def test_a_hard_swish_becomes_two_nodes(order: tuple, opset: int) -> None:
    made = swish(CLIP, *order, opset=opset)
    x = np.linspace(-8, 8, 200, dtype=np.float32).reshape(-1, 5)
    (before,) = answers(made, {"x": x})
    assert apply_rules(made, [RULES["hard-swish"]])[0].reason is None
    assert op_types(made) == ["HardSigmoid", "Mul"]
    np.testing.assert_allclose(answers(made, {"x": x})[0], before, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(before, x * np.clip(x + 3, 0, 6) / 6, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([("Relu", ["-"])], "followed by Relu, not by Clip"),
        ([("Clip", ["-", "zero", "three"]), PRODUCT, QUOTIENT], "what follows does not clip to 0 and 6"),
        ([("Clip", ["-", "zero"]), PRODUCT, QUOTIENT], "what follows does not clip to 0 and 6"),
        ([CLIP, PRODUCT, ("Div", ["-", "two"])], "the product is not divided by 6"),
        ([CLIP, PRODUCT, ("Div", ["-", "sixes"])], "the product is not divided by 6"),
        ([CLIP, ("Mul", ["two", "-"]), QUOTIENT], "the clipped value is not multiplied by what was clipped"),
        ([CLIP, PRODUCT, ("Relu", ["-"])], "followed by Relu, not by Div"),
    ],
)
def test_why_a_hard_swish_stays(steps: list, reason: str) -> None:
    assert reasons(swish(*steps), "hard-swish") == [reason]


def test_a_step_that_others_see_stays() -> None:
    made = swish(CLIP, PRODUCT, QUOTIENT, outputs=("y", "1"))
    assert reasons(made, "hard-swish") == ["its answer is an output of the model"]
