"""Layers that runtimes read differently, made unambiguous."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")
openvino = pytest.importorskip("openvino", reason="the second reading is OpenVINO's")

from onnx import helper  # noqa: E402

from tconv.models.openvino import core  # noqa: E402
from tconv.onnx.rewriting.walker import apply_rules  # noqa: E402
from tconv.onnx.rules import RULES  # noqa: E402
from tests.onnx.helpers import answers, model, whole  # noqa: E402


def by_openvino(made: ir.Model, x: np.ndarray) -> np.ndarray:
    read = core().read_model(ir.to_proto(made).SerializeToString())
    # Exact products, and no cutting of float32 to half precision.
    compiled = core().compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x])[0]


@pytest.mark.parametrize(("how", "groups"), [("SAME_UPPER", 1), ("NOTSET", 2)])
def test_openvino_reads_output_shape_otherwise_until_it_is_written_as_pads(how: str, groups: int) -> None:
    """Which end loses the odd cell: in ONNX Runtime auto_pad decides, OpenVINO 2026.4 has its own rule."""
    rng = np.random.default_rng(0)
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[8, 8], auto_pad=how, group=groups
    )
    made = model([node], {"x": [1, 2, 4, 4]}, ["y"], {"w": whole(rng, 2, 1, 3, 3)})
    x = whole(rng, 1, 2, 4, 4)
    (meant,) = answers(made, {"x": x})
    assert np.abs(by_openvino(made, x) - meant).max() > 1
    assert apply_rules(made, [RULES["explicit-pads"]])[0].reason is None
    np.testing.assert_array_equal(answers(made, {"x": x})[0], meant)
    np.testing.assert_array_equal(by_openvino(made, x), meant)
