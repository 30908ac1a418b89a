"""Attributes and shapes of a file that means no good: refused in one line, never a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.onnx.engine.helpers import one_layer, opened, whole

HUGE = 1 << 62


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"strides": [0, 2]}, "strides has 0; 1 to 1048576 would fit"),
        ({"strides": [-2, 2]}, "strides has -2"),
        ({"strides": [HUGE, 2]}, "strides has 4611686018427387904"),
        ({"strides": [2]}, "strides has 1 numbers; 2 would fit"),
        ({"strides": 2}, "strides is an attribute of another kind"),
        ({"strides": "2"}, "strides is an attribute of another kind"),
        ({"strides": [2.0, 2.0]}, "strides is an attribute of another kind"),
        ({"dilations": [HUGE, 1]}, "dilations has"),
        ({"pads": [0, 0, 0, -1]}, "pads has -1"),
        ({"pads": [1, 1]}, "pads has 2 numbers; 4 would fit"),
        ({"pads": [5, 5, 5, 5]}, "nothing is left"),
        ({"output_padding": [HUGE, 0]}, "output_padding has"),
        ({"output_shape": [0, 4]}, "output_shape has 0"),
        ({"output_shape": [1, 2, 3]}, "output_shape has 3 numbers; 2 would fit"),
        ({"kernel_shape": [3, 4]}, "kernel_shape 3x4 and weights of shape 4x2x3x3"),
        ({"group": 0}, "group must be 1 or more"),
        ({"group": HUGE}, "group must be 1 or more"),
        ({"group": 3}, "in 3 groups"),
        ({"group": "2"}, "group is an attribute of another kind"),
        ({"auto_pad": "ALMOST"}, "auto_pad is unknown"),
        ({"auto_pad": 3}, "auto_pad is an attribute of another kind"),
        ({"activation": "Softmax"}, "activation is unknown"),
        ({"activation": "Relu", "activation_params": [1.0]}, "activation_params has 1 numbers; 0 would fit"),
        ({"activation": "PRelu"}, "activation_params has 0 numbers; 1 or more would fit"),
        ({"activation": "PRelu", "activation_params": [1.0] * 9}, "9 numbers; 1, or one for each channel"),
        ({"activation": "LeakyRelu"}, "activation_params has 0 numbers; 1 would fit"),
        ({"activation": "Clip", "activation_params": [2.0, 1.0]}, "lower bound must not exceed"),
        ({"activation": "Clip", "activation_params": [float("nan"), 1.0]}, "lower bound must not exceed"),
        ({"strides": [1 << 20, 1 << 20], "dilations": [1 << 20] * 2}, "too large an output"),
        ({"strides": [1] * 9999}, "strides is too long"),
    ],
)
def test_attributes(attributes: dict[str, Any], said: str) -> None:
    model = one_layer(whole((4, 2, 3, 3)), ["n", 4, "h", "w"], **attributes)
    with pytest.raises(Exception, match=r"ONNXRuntimeError") as caught:
        opened(model).run(None, {"x": whole((1, 4, 2, 2))})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("x", "weight", "bias", "said"),
    [
        ((1, 5, 4, 4), (4, 2, 3, 3), None, "an input of 5 channels"),
        ((1, 4, 4), (4, 2, 3, 3), None, "an input of shape 1x4x4"),
        ((1, 4, 0, 4), (4, 2, 3, 3), None, "sizes of 1 or more would fit"),
        ((1, 4, 4, 4), (4, 2, 0, 3), None, "kernel_shape"),
        ((1, 4), (4, 2), None, "weights of shape 4x2"),
        ((1, 4, 1, 1, 1, 1), (4, 2, 1, 1, 1, 1), None, "weights of shape 4x2x1x1x1x1"),
        ((1, 4, 4, 4), (4, 2, 3, 3), (3,), "a bias of shape 3; 2 would fit"),
        ((1, 4, 4, 4), (4, 2, 3, 3), (2, 1), "a bias of shape 2x1; 2 would fit"),
    ],
)
@pytest.mark.parametrize("fixed", [True, False])
def test_shapes(x: Any, weight: Any, bias: Any, said: str, fixed: bool) -> None:
    held = None if bias is None else whole(bias)
    model = one_layer(whole(weight), None, bias=held, fixed=fixed)
    for value in model.graph.input[1:]:
        value.type.tensor_type.ClearField("shape")
    feeds = {"x": whole(x)}
    if not fixed:
        feeds |= {"w": whole(weight)} | ({} if held is None else {"b": held})
    with pytest.raises(Exception, match=r"ONNXRuntimeError") as caught:
        opened(model).run(None, feeds)
    assert said in str(caught.value)


def test_mixed_dtypes_and_missing_inputs() -> None:
    model = one_layer(whole((4, 2, 3, 3)), [1, 4, 4, 4])
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", 11, (4, 2, 3, 3), np.zeros(72)))
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        opened(model)
    del model.graph.node[0].input[1:]
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        opened(model)
