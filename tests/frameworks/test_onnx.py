"""ONNX Runtime, OpenVINO, ONNX's reference implementation: what is written runs, and each is read."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnxruntime
import openvino
import pytest
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from tconv.conventions import read
from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 15
CORE = openvino.Core()
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


def model_of(nodes: list, x: np.ndarray, w: np.ndarray) -> ModelProto:
    inputs = [helper.make_tensor_value_info(name, 1, array.shape) for name, array in (("x", x), ("w", w))]
    graph = helper.make_graph(nodes, "up", inputs, [helper.make_tensor_value_info("y", 1, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def on_onnxruntime(nodes: list, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model_of(nodes, x, w).SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x, "w": w})[0]


def on_openvino(nodes: list, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    model = CORE.read_model(model_of(nodes, x, w).SerializeToString())
    compiled = CORE.compile_model(model, "CPU", SETTINGS)
    return compiled([x, w])[0].copy()


def on_reference(nodes: list, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return ReferenceEvaluator(model_of(nodes, x, w)).run(None, {"x": x, "w": w})[0]


RUNTIMES: dict[str, Callable[..., np.ndarray]] = {
    "onnxruntime": on_onnxruntime,
    "openvino": on_openvino,
    "reference": on_reference,
}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_written(runtime: str) -> None:
    def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        names: dict = {}
        exec(code, names)
        return RUNTIMES[runtime](names["nodes"], x, w)

    assert written("onnx", geometries(500, SEED), run, channels_last=False) == 500


def node_of(rng: random.Random) -> tuple[str, dict]:
    """One ConvTranspose in ONNX's own words, and what stands beside it."""
    a, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 1, 1, 2])
    stride = axes_of(rng, a, lambda: rng.randint(1, 4))
    dilation = axes_of(rng, a, lambda: rng.choice([1, 1, 2]))
    kernel = axes_of(rng, a, lambda: rng.randint(1, 5))
    sizes = axes_of(rng, a, lambda: rng.randint(2, 5))
    extra = tuple(rng.choice([0, rng.randrange(s)]) for s in stride)
    full = [(i - 1) * s + d * (k - 1) + 1 for i, s, d, k in zip(sizes, stride, dilation, kernel, strict=True)]
    said = f"kernel_shape={list(kernel)}, strides={list(stride)}, group={groups}"
    said += f", dilations={list(dilation)}" if max(dilation) > 1 or rng.random() < 0.3 else ""
    said += f", output_padding={list(extra)}" if any(extra) or rng.random() < 0.3 else ""
    how = rng.choice(["NOTSET", "SAME_UPPER", "SAME_UPPER", "SAME_LOWER", "VALID", None])
    said += f", auto_pad='{how}'" if how else ""
    if rng.random() < 0.4:
        # Up to stride - 1 cells more than the kernel reaches: all runtimes take that.
        shape = [rng.randint(max(1, f - 4), f + s - 1) for f, s in zip(full, stride, strict=True)]
        said += f", output_shape={shape}"
    elif how in ("NOTSET", None) and rng.random() < 0.7:
        said += f", pads={[min(rng.randint(0, 2), (f - 1) // 2) for _ in range(2) for f in full]}"
    channels = (groups * rng.randint(1, 2), groups * rng.randint(1, 3))
    return f"ConvTranspose({said})", {"input": sizes, "channels": channels}


def attributes(text: str) -> dict:
    return eval(text.replace("ConvTranspose", "dict"))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_read(runtime: str) -> None:
    rng = random.Random(SEED)
    moved = 0
    for count in range(500):
        text, beside = node_of(rng)

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes(text))
            return RUNTIMES[runtime]([node], x, w)

        other = "openvino" if runtime == "onnxruntime" else "onnxruntime"
        seen = was_read("onnx", text, call, channels_last=False, seed=count, reading=runtime, **beside)
        moved += seen != read("onnx", text, reading=other, **beside).geometry
    assert moved > 20  # nodes that the two runtimes compute differently


def test_read_reference() -> None:
    """ONNX's own reference implementation extends the output where the kernel is shorter than the stride."""
    rng = random.Random(SEED)
    done = moved = 0
    while done < 500:
        a = rng.choice([1, 2, 3])
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        kernel = axes_of(rng, a, lambda: rng.randint(1, 4))
        sizes = axes_of(rng, a, lambda: rng.randint(2, 4))
        how = rng.choice(["SAME_UPPER", "SAME_LOWER"])
        text = f"ConvTranspose(kernel_shape={list(kernel)}, strides={list(stride)}, auto_pad='{how}')"

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return on_reference(
                [helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes(text))], x, w
            )

        beside = {"input": sizes, "channels": (2, 2)}
        seen = was_read("onnx", text, call, channels_last=False, seed=done, reading="reference", **beside)
        moved += seen != read("onnx", text, **beside).geometry
        done += 1
    assert moved > 100


def test_the_disagreements_of_the_guide() -> None:
    """docs/guides/conventions.md prints these numbers."""
    x, w = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5), np.ones((1, 1, 3), np.float32)
    sized = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], strides=[2], auto_pad="SAME_UPPER", output_shape=[10]
    )
    assert on_onnxruntime([sized], x, w).ravel().tolist() == [1, 1, 3, 2, 5, 3, 7, 4, 9, 5]
    assert on_openvino([sized], x, w).ravel().tolist() == [1, 3, 2, 5, 3, 7, 4, 9, 5, 5]
    short = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3], auto_pad="SAME_UPPER")
    sizes = [RUNTIMES[runtime]([short], x, w[..., :2]).shape[2] for runtime in RUNTIMES]
    assert sizes == [14, 14, 15]
    assert on_onnxruntime([short], x, w[..., :2]).ravel().tolist()[:4] == [1, 1, 0, 2]
    assert on_reference([short], x, w[..., :2]).ravel().tolist()[:4] == [0, 1, 1, 0]
    twice, grouped = np.repeat(x, 2, axis=1), np.repeat(w, 2, axis=0)
    both = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], strides=[2], group=2, auto_pad="SAME_LOWER", output_shape=[10]
    )
    assert on_onnxruntime([both], twice, grouped)[0, 0].tolist() == [1, 3, 2, 5, 3, 7, 4, 9, 5, 5]
    assert on_openvino([both], twice, grouped)[0, 0].tolist() == [1, 1, 3, 2, 5, 3, 7, 4, 9, 5]
