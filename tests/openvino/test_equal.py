"""The engine's nodes give OpenVINO's own answers, exactly on small integers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

openvino = pytest.importorskip("openvino", reason="runs inside OpenVINO; install tconv[openvino]")
from openvino import opset13 as ops  # noqa: E402

import tconv.openvino  # noqa: E402
from tconv.models.openvino import core  # noqa: E402
from tconv.planning import LAYOUTS  # noqa: E402

CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
RNG = np.random.default_rng(3)


def whole(*shape: int) -> np.ndarray:
    return RNG.integers(-3, 4, shape).astype(np.float32)


def layer(x: Any, w: Any, **given: Any) -> Any:
    groups = len(w.shape) - x.output(0).get_partial_shape().rank.get_length()
    make = ops.group_convolution_backprop_data if groups else ops.convolution_backprop_data
    axes = len(w.shape) - 2 - groups
    told = {"strides": [2] * axes, "pads_begin": [0] * axes, "pads_end": [0] * axes, "dilations": [1] * axes}
    return make(x, w, **told | given)


def model(
    shape: list[int], *weights: np.ndarray, then: Callable[[Any], Any] = lambda y: y, **given: Any
) -> Any:
    x = ops.parameter(shape, np.float32, name="x")
    y = x
    for w in weights:
        y = layer(y, w, **given)
    return openvino.Model([then(y)], [x], "model")


def kinds(made: Any) -> list[str]:
    return [node.get_type_name() for node in made.get_ordered_ops()]


def run(made: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    answer = core().compile_model(made, "CPU", CONFIG)(list(arrays))
    return [np.array(answer[i]) for i in range(len(made.outputs))]


def same(made: Any, *arrays: np.ndarray) -> Any:
    """The converted model, whose answers are those of the model."""
    expected = run(made, *arrays)
    assert all(one.any() for one in expected)
    for layout in LAYOUTS[::-1]:
        converted = tconv.openvino.convert(made, layout)
        assert "TconvConvTranspose" in kinds(converted)
        assert "TconvConvTranspose" not in kinds(made)
        for one, two in zip(expected, run(converted, *arrays), strict=True):
            np.testing.assert_array_equal(one, two)
    return converted


@pytest.mark.parametrize(
    ("weight", "given"),
    [
        ((4, 3, 4), {"pads_begin": [1], "pads_end": [2]}),
        ((4, 3, 4, 3), {"strides": [2, 3], "pads_begin": [1, 0], "pads_end": [0, 1]}),
        ((4, 3, 3, 3, 2), {"strides": [1, 2, 2], "output_padding": [0, 1, 1]}),
        ((2, 2, 3, 3, 3), {"output_padding": [1, 0], "dilations": [2, 1]}),
        ((4, 1, 1, 4, 4), {"pads_begin": [1, 1], "pads_end": [1, 1]}),
        ((2, 2, 3, 2, 2, 2), {}),
        ((4, 3, 3, 3), {"auto_pad": "same_upper", "output_padding": [1, 0]}),
        ((4, 3, 3, 3), {"auto_pad": "same_lower"}),
        ((4, 3, 3, 3), {"auto_pad": "valid", "pads_begin": [1, 1]}),
    ],
)
@pytest.mark.parametrize("sized", [True, False])
def test_every_option(weight: tuple[int, ...], given: dict[str, Any], sized: bool) -> None:
    axes = len(given.get("strides", given.get("pads_begin", given.get("output_padding", []))))
    axes = axes or (3 if len(weight) == 6 else len(weight) - 2)
    feed = whole(2, 4, *(5, 6, 4)[:axes])
    shape = list(feed.shape) if sized else [-1, 4, *[-1] * axes]
    x = ops.parameter(shape, np.float32, name="x")
    y = layer(x, whole(*weight), **given)
    converted = same(openvino.Model([y], [x], "m"), feed)
    assert converted.output(0).get_partial_shape().rank.get_length() == axes + 2


def test_sizes_that_change() -> None:
    made = model([1, 2, openvino.Dimension(3, 9), -1], whole(2, 3, 4, 4), pads_begin=[1, 1], pads_end=[1, 1])
    converted = tconv.openvino.convert(made)
    assert converted.output(0).get_partial_shape() == made.output(0).get_partial_shape()
    ours, theirs = (core().compile_model(m, "CPU", CONFIG) for m in (converted, made))
    for size in (3, 9, 4):
        x = whole(1, 2, size, size + 1)
        np.testing.assert_array_equal(ours(x)[0], theirs(x)[0])


def channels(*numbers: float) -> Any:
    return ops.constant(np.array(numbers, np.float32).reshape(1, -1, 1, 1))


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (lambda y: ops.relu(ops.add(y, channels(1, -2, 3))), 0),
        (lambda y: ops.add(channels(2), y), 0),
        (lambda y: ops.clamp(y, -2.0, 6.0), 0),
        (lambda y: ops.prelu(y, ops.constant(np.array([0.5], np.float32))), 0),
        (lambda y: ops.prelu(y, ops.constant(np.array([0.5, 2, -1], np.float32))), 0),
        (lambda y: ops.add(y, ops.constant(np.ones((1, 1, 6, 6), np.float32))), 1),
        (lambda y: ops.add(y, ops.constant(np.ones((1, 1, 1, 1, 1), np.float32))), 1),
        (lambda y: ops.add(y, y), 1),
        (lambda y: ops.add(ops.relu(y), ops.tanh(ops.multiply(y, channels(0)))), 4),
    ],
)  # fmt: skip
def test_what_follows(then: Callable[[Any], Any], left: int) -> None:
    made = model([1, 2, 3, 3], whole(2, 3, 2, 2), then=then)
    found = kinds(same(made, whole(1, 2, 3, 3)))
    found = [k for k in found if k not in ("Parameter", "Constant", "Result", "TconvConvTranspose")]
    assert len(found) == left


@pytest.mark.parametrize(
    "then",
    [
        ops.tanh, ops.sigmoid, ops.mish, ops.hswish, ops.swish, lambda y: ops.elu(y, 0.5),
        lambda y: ops.gelu(y, "erf"), lambda y: ops.gelu(y, "tanh"),
    ],
)  # fmt: skip
def test_smooth_activations(then: Callable[[Any], Any]) -> None:
    made = model([1, 2, 3, 3], whole(2, 3, 2, 2) / 4, then=then)
    converted = tconv.openvino.convert(made, "channels_first")
    assert kinds(converted).count("Result") + 2 == len(kinds(converted))
    x = whole(1, 2, 3, 3)
    np.testing.assert_allclose(run(made, x)[0], run(converted, x)[0], rtol=2e-4, atol=2e-5)


def test_layers_of_one_input_are_not_merged() -> None:
    """OpenVINO merges nodes whose input and attributes are equal."""
    x = ops.parameter([1, 2, 3, 3], np.float32, name="x")
    w = whole(2, 3, 2, 2)
    same(openvino.Model([layer(x, w), layer(x, w + 1)], [x], "m"), whole(1, 2, 3, 3))


def test_weights_that_the_model_computes() -> None:
    x, w = (ops.parameter([2, c, 3, 3], np.float32, name=n) for n, c in (("x", 2), ("w", 3)))
    y = layer(x, ops.add(w, ops.constant(np.float32(1))))
    made = openvino.Model([ops.relu(ops.add(y, channels(1, -2, 3)))], [x, w], "m")
    converted = same(made, whole(2, 2, 3, 3), whole(2, 3, 3, 3))
    assert "Relu" not in kinds(converted)  # the bias and the activation are the node's


def test_compressed_weights() -> None:
    x = ops.parameter([1, 2, 3, 3], np.float32, name="x")
    w = ops.convert(ops.constant(whole(2, 3, 2, 2).astype(np.float16)), np.float32)
    made = openvino.Model([layer(x, w)], [x], "m")
    assert "Convert" not in kinds(same(made, whole(1, 2, 3, 3)))


def test_names_stay() -> None:
    made = model([1, 2, 3, 3], whole(2, 3, 2, 2), then=ops.relu)
    made.output(0).set_names({"answer", "other"})
    converted = tconv.openvino.convert(made)
    assert converted.output(0).get_names() == {"answer", "other"}
    assert [value.get_any_name() for value in converted.inputs] == ["x"]


def test_requests_in_threads() -> None:
    made = model([1, 2, -1, -1], whole(2, 3, 4, 4), whole(3, 2, 4, 4))
    feeds = [whole(1, 2, 3 + i % 4, 5) for i in range(16)]
    ours, theirs = (core().compile_model(m, "CPU", CONFIG) for m in (tconv.openvino.convert(made), made))
    expected = [np.array(theirs(x)[0]) for x in feeds]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda x: np.array(ours.create_infer_request().infer([x])[0]), feeds * 4))
    for one, two in zip(answers, expected * 4, strict=True):
        np.testing.assert_array_equal(one, two)
    requests = [ours.create_infer_request() for _ in range(4)]
    for request, x in zip(requests, feeds, strict=False):
        request.start_async([x])
    for request, y in zip(requests, expected, strict=False):
        request.wait()
        np.testing.assert_array_equal(request.get_output_tensor().data, y)


def test_the_default_precision() -> None:
    """It may be bfloat16 around the layer; whole numbers up to 256 are exact in it."""
    made = model([1, 2, 3, 3], whole(2, 3, 2, 2))
    x = whole(1, 2, 3, 3)
    ours, theirs = (core().compile_model(m, "CPU") for m in (tconv.openvino.convert(made), made))
    np.testing.assert_array_equal(ours(x)[0], theirs(x)[0])


def test_a_model_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="converts its model")
    net = torch.nn.Sequential(torch.nn.ConvTranspose2d(2, 3, 4, 2, 1), torch.nn.LeakyReLU(0.5))
    with torch.no_grad():
        for part in net[0].parameters():
            part.copy_(torch.from_numpy(whole(*part.shape)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # OpenVINO traces by torch.jit
        made = openvino.convert_model(net.eval(), example_input=torch.zeros(1, 2, 3, 3))
    converted = same(made, whole(1, 2, 5, 4))
    assert len(kinds(converted)) == 3


def test_an_ir_file(tmp_path: Path) -> None:
    made = model([1, 2, 3, 3], whole(2, 3, 2, 2))
    openvino.save_model(made, tmp_path / "m.xml")
    x = whole(1, 2, 3, 3)
    np.testing.assert_array_equal(run(tconv.openvino.convert(tmp_path / "m.xml"), x)[0], run(made, x)[0])


def test_an_onnx_file(tmp_path: Path) -> None:
    """SAME_UPPER in ONNX is cropped padding in OpenVINO."""
    onnx = pytest.importorskip("onnx", reason="writes the file; install tconv[onnx]")
    from onnx import helper, numpy_helper

    ends = [helper.make_tensor_value_info(name, 1, [1, c, None, None]) for name, c in (("x", 2), ("y", 3))]
    given = {"strides": [2, 2], "auto_pad": "SAME_UPPER"}
    nodes = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["t"], **given)]
    nodes.append(helper.make_node("LeakyRelu", ["t"], ["y"], alpha=0.5))
    weights = [numpy_helper.from_array(a, n) for a, n in ((whole(2, 3, 3, 3), "w"), (whole(3), "b"))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    read = core().read_model(tmp_path / "m.onnx")
    converted = same(read, whole(1, 2, 5, 4))
    assert {value.get_any_name() for value in converted.outputs} == {"y"}
