"""cv2.dnn beside ONNX Runtime: what `--for opencv` says that it lacks is so, and is corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="OpenCV is compared with")
onnx = pytest.importorskip("onnx", reason="models are written with onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="OpenCV is compared with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import tconv.onnx  # noqa: E402

OPTIONS = {
    "plain": (2, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "groups": (2, {"strides": [2, 2], "group": 2}),
    "output padding": (2, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    "dilation": (2, {"strides": [2, 2], "dilations": [2, 2]}),
    "asymmetric pads": (2, {"strides": [2, 2], "pads": [0, 1, 1, 0]}),
    "auto_pad": (2, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "output_shape": (2, {"strides": [2, 2], "output_shape": [10, 12]}),
    "3-D": (3, {"strides": [2, 2, 2]}),
}
TAKEN = {"plain", "groups", "output padding"}


def model(axes: int, options: dict[str, object], path: Path) -> tuple[Path, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = options.get("group", 1)
    weight = rng.integers(-3, 4, (4, 4 // int(str(groups)), *(3,) * axes)).astype(np.float32)
    x = rng.integers(-3, 4, (1, 4, *range(5, 5 + axes))).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", kernel_shape=[3] * axes, **options)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (axes + 2))],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path, x


def by_opencv(path: Path, x: np.ndarray) -> np.ndarray | None:
    """OpenCV's answer, or None where it refuses."""
    try:
        net = cv2.dnn.readNetFromONNX(str(path))
        net.setInput(x)
        return np.asarray(net.forward())
    except cv2.error:
        return None


@pytest.mark.parametrize("name", OPTIONS)
def test_what_opencv_takes(name: str, tmp_path: Path) -> None:
    path, x = model(*OPTIONS[name], tmp_path / "in.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x})
    given = by_opencv(path, x)
    same = given is not None and given.shape == wanted.shape and np.array_equal(given, wanted)
    assert same == (name in TAKEN)
    if OPTIONS[name][0] == 2:
        out = tmp_path / "out.onnx"
        report = tconv.onnx.rewrite(path, out, goal="opencv")
        assert bool(report.done) == (name not in TAKEN)
        np.testing.assert_allclose(by_opencv(out, x), wanted, atol=1e-4)
