"""The operator gives what ONNX Runtime's own and the definition give, on whole numbers exactly."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

from tconv import views
from tconv.geometry import Geometry
from tests.onnx.engine.helpers import KINDS, answer, one_layer, opened, whole, without_planner

#: Shapes of input and weights, and attributes.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 5, 6), (3, 4, 3, 3), {}),
    "strided": ((1, 8, 9, 7), (8, 4, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "uneven": ((1, 3, 4, 7), (3, 5, 2, 5), {"strides": [3, 2], "pads": [0, 1, 1, 2]}),
    "kernel_shape": ((1, 3, 4, 4), (3, 2, 2, 2), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "output_padding": ((1, 3, 4, 4), (3, 2, 3, 3), {"strides": [2, 3], "output_padding": [1, 2]}),
    "dilated": ((1, 3, 6, 5), (3, 2, 3, 2), {"dilations": [2, 3], "strides": [2, 1]}),
    "grouped": ((2, 6, 4, 5), (6, 2, 3, 3), {"group": 3, "strides": [2, 2]}),
    "depthwise": ((1, 7, 6, 6), (7, 1, 4, 4), {"group": 7, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "same_upper": ((1, 2, 5, 4), (2, 3, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "same_lower": ((1, 2, 5, 4), (2, 3, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "same, short kernel": ((1, 2, 5, 4), (2, 3, 1, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "valid": ((1, 2, 5, 4), (2, 3, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    "output_shape": ((1, 2, 5, 4), (2, 3, 3, 3), {"output_shape": [10, 7], "strides": [2, 2]}),
    "output_shape, upper": (
        (1, 2, 5, 4), (2, 3, 3, 3),
        {"output_shape": [8, 6], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ),
    "larger output_shape": (
        (1, 2, 5, 4), (2, 3, 3, 3),
        {"output_shape": [12, 10], "output_padding": [1, 1], "strides": [2, 2]},
    ),
    "1-D": ((1, 6, 40), (6, 3, 16), {"strides": [8], "pads": [4, 4]}),
    "1-D, many": ((1, 64, 100), (64, 32, 4), {"strides": [2], "pads": [1, 1]}),
    "3-D": ((1, 4, 3, 4, 5), (4, 3, 3, 2, 3), {"strides": [2, 2, 1], "pads": [0, 0, 1, 1, 0, 1]}),
    "one output channel": ((1, 24, 16, 16), (24, 1, 2, 2), {"strides": [2, 2]}),
    "wide": ((1, 64, 12, 12), (64, 48, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "large stride": ((1, 5, 6, 7), (5, 5, 16, 16), {"strides": [8, 8]}),
    "one pixel": ((3, 10, 1, 1), (10, 6, 4, 4), {"strides": [2, 2]}),
    "stride 1": ((1, 16, 9, 9), (16, 16, 1, 1), {}),
}  # fmt: skip


@pytest.fixture(params=["planned", "plain plan"])
def _planner(request: Any) -> Any:
    with without_planner() if request.param == "plain plan" else nullcontext():
        yield


@pytest.mark.usefixtures("_planner")
@pytest.mark.parametrize("name", LAYERS)
def test_as_onnx_runtime(name: str) -> None:
    shape, kernel, attributes = LAYERS[name]
    weight, x = whole(kernel), whole(shape, 1)
    bias = whole((kernel[1] * attributes.get("group", 1),), 2)
    for given in (None, bias):
        model = one_layer(weight, shape, bias=given, engine=False, **attributes)
        expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
        found = answer(one_layer(weight, shape, bias=given, **attributes), {"x": x})
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("opset", [1, *range(7, 11), *range(11, 24)])
def test_every_opset(opset: int) -> None:
    weight, x = whole((3, 2, 3, 3)), whole((1, 3, 4, 5), 1)
    options = {"strides": [2, 2], "pads": [1, 1, 0, 1]}
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    plain = one_layer(weight, x.shape, engine=False, opset=opset, **options).SerializeToString()
    expected = onnxruntime.InferenceSession(plain, quiet).run(None, {"x": x})[0]
    np.testing.assert_array_equal(
        answer(one_layer(weight, x.shape, opset=opset, **options), {"x": x}), expected
    )


@pytest.mark.usefixtures("_planner")
@pytest.mark.parametrize("name", ["strided", "grouped", "1-D", "3-D", "wide", "depthwise"])
@pytest.mark.parametrize("kind", ["float64", "float16", "bfloat16"])
def test_as_the_definition(name: str, kind: str) -> None:
    shape, kernel, attributes = LAYERS[name]
    weight, x = whole(kernel), whole(shape, 1)
    axes = len(shape) - 2
    ends = attributes.get("pads", [0] * 2 * axes)
    geometry = Geometry.make(
        batch=shape[0], in_channels=kernel[0], out_channels=kernel[1] * attributes.get("group", 1),
        input=shape[2:], kernel=kernel[2:], stride=tuple(attributes["strides"]),
        padding=tuple(zip(ends[:axes], ends[axes:], strict=True)), groups=attributes.get("group", 1),
    )  # fmt: skip
    expected = views.scatter(x.astype("float64"), weight.astype("float64"), geometry)
    session = opened(one_layer(weight, shape, kind=kind, **attributes))
    if kind == "bfloat16":  # which ONNX Runtime's Python has no arrays for
        given, bits = x.astype(ml_dtypes.bfloat16).view(np.uint16), np.zeros(expected.shape, np.uint16)
        bound = session.io_binding()
        value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        bound.bind_ortvalue_input("x", value(given, KINDS[kind]))
        bound.bind_ortvalue_output("y", value(bits, KINDS[kind]))
        session.run_with_iobinding(bound)
        found = bits.view(ml_dtypes.bfloat16)
        expected = expected.astype(ml_dtypes.bfloat16)
    else:
        (found,) = session.run(None, {"x": x.astype(kind)})
        assert found.dtype == kind
    np.testing.assert_array_equal(found.astype("float64"), expected.astype("float64"))


@pytest.mark.usefixtures("_planner")
def test_sizes_that_change() -> None:
    weight = whole((3, 4, 4, 4))
    options = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    ours = opened(one_layer(weight, ["n", 3, "h", "w"], **options))
    plain = one_layer(weight, ["n", 3, "h", "w"], engine=False, **options).SerializeToString()
    theirs = onnxruntime.InferenceSession(plain)
    for shape in ((1, 3, 4, 4), (2, 3, 40, 50), (1, 3, 4, 4), (1, 3, 1, 9), (0, 3, 4, 4)):
        x = whole(shape, 1)
        expected = theirs.run(None, {"x": x})[0] if shape[0] else np.zeros((0, 4, 8, 8), np.float32)
        np.testing.assert_array_equal(ours.run(None, {"x": x})[0], expected)


def test_plans_that_read_weights_in_other_orders() -> None:
    """At these sizes plans have tiles of six kinds, for which weights are packed apart in as many bytes."""
    weight, options = whole((64, 32, 4, 4)), {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    shape = ["n", 64, "h", "w"]
    ours = opened(one_layer(weight, shape, **options))
    theirs = onnxruntime.InferenceSession(
        one_layer(weight, shape, engine=False, **options).SerializeToString()
    )
    for size in (1, 2, 3, 6, 10, 24, 4, 2):
        x = whole((1, 64, size, size), size)
        np.testing.assert_array_equal(ours.run(None, {"x": x})[0], theirs.run(None, {"x": x})[0])


@pytest.mark.usefixtures("_planner")
def test_weights_that_change() -> None:
    model = one_layer(whole((3, 4, 3, 3)), (1, 3, 5, 5), bias=whole((4,)), fixed=False, strides=[2, 2])
    plain = one_layer(
        whole((3, 4, 3, 3)), (1, 3, 5, 5), bias=whole((4,)), fixed=False, engine=False, strides=[2, 2]
    )
    ours, theirs = opened(model), onnxruntime.InferenceSession(plain.SerializeToString())
    for seed in range(3):
        feeds = {
            "x": whole((1, 3, 5, 5), seed),
            "w": whole((3, 4, 3, 3), seed + 9),
            "b": whole((4,), seed + 5),
        }
        np.testing.assert_array_equal(ours.run(None, feeds)[0], theirs.run(None, feeds)[0])


SLOPES = np.array([-1, 0.5, 2, 0]).reshape(1, 4, 1, 1)


@pytest.mark.usefixtures("_planner")
@pytest.mark.parametrize(
    ("activation", "numbers", "function"),
    [
        ("Relu", [], lambda y: np.maximum(y, 0)),
        ("LeakyRelu", [0.25], lambda y: np.where(y < 0, y * 0.25, y)),
        ("Clip", [-1.0, 6.0], lambda y: np.clip(y, -1, 6)),
        ("Tanh", [], np.tanh),
        ("Sigmoid", [], lambda y: 1 / (1 + np.exp(-y))),
        ("PRelu", [0.25], lambda y: np.where(y < 0, y * 0.25, y)),
        ("PRelu", [-1, 0.5, 2, 0], lambda y: np.where(y < 0, y * SLOPES, y)),
        ("Gelu", [], np.vectorize(lambda y: y * math.erfc(-y / 2**0.5) / 2)),
        ("GeluTanh", [], lambda y: y * (1 + np.tanh((2 / np.pi) ** 0.5 * (y + 0.044715 * y**3))) / 2),
        ("Silu", [], lambda y: y / (1 + np.exp(-y))),
        ("Elu", [0.5], lambda y: np.where(y > 0, y, 0.5 * np.expm1(np.minimum(y, 0)))),
        ("HardSwish", [], lambda y: y * np.clip(y + 3, 0, 6) / 6),
        ("Softplus", [], lambda y: np.logaddexp(y, 0)),
        ("Mish", [], lambda y: y * np.tanh(np.logaddexp(y, 0))),
    ],
)
def test_activations(activation: str, numbers: list[float], function: Any) -> None:
    weight, x = whole((8, 4, 4, 4)), whole((1, 8, 9, 7), 1)
    more = {"activation_params": numbers} if numbers else {}
    plain = answer(one_layer(weight, x.shape, strides=[2, 2]), {"x": x})
    found = answer(one_layer(weight, x.shape, strides=[2, 2], activation=activation, **more), {"x": x})
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, function(plain), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bits_do_not_depend_on_threads(threads: int) -> None:
    rng = np.random.default_rng(0)
    weight, x = (rng.standard_normal(s).astype("float32") for s in ((32, 32, 4, 4), (1, 32, 40, 40)))
    model = one_layer(weight, x.shape, strides=[2, 2], pads=[1, 1, 1, 1])
    np.testing.assert_array_equal(answer(model, {"x": x}, threads), answer(model, {"x": x}, 1))
