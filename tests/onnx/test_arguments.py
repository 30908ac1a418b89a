"""Every argument of the functions on ONNX models, and of a diagnosis's methods, with odd values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tconv
import tconv.onnx
from tests.odd import refusals


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Callable[..., Any], Any]]:
    """Function -> arguments that it takes."""
    monkeypatch.chdir(tmp_path)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, "h", 4]) for name in "xy")
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 2])
    w = numpy_helper.from_array(np.ones((2, 1, 2, 2), np.float32), "w")
    proto = helper.make_model(
        helper.make_graph([up], "g", [x], [y], [w]),
        ir_version=10,
        opset_imports=[helper.make_opsetid("", 21)],
    )
    path = tmp_path / "up.onnx"
    path.write_bytes(proto.SerializeToString())
    model = ir.serde.deserialize_model(proto)
    found = tconv.diagnose("n1 c1>1 i8 k4 s2 p1", np.array([[[1.0, 2.0, 3.0, 3.0]]]))
    return {
        "inspect": (tconv.onnx.inspect, {"what": path, "sizes": {"h": 4}, "input": None, "example": None}),
        "inspect input": (tconv.onnx.inspect, {"what": path, "input": {"x": (1, 2, 4, 4)}}),
        "rewrite": (
            tconv.onnx.rewrite,
            {
                "source": path, "to": None, "goal": "no-groups", "check": False, "inputs": (), "shapes": None,
                "pixels": "", "threads": 1, "seconds": 1.0, "tell": len,
            },
        ),
        "register": (tconv.onnx.register, {"session_options": onnxruntime.SessionOptions()}),
        "session": (tconv.onnx.session, {"path": path, "options": None, "providers": None}),
        "read": (tconv.onnx.read, {"path": path}),
        "write": (tconv.onnx.write, {"model": model, "path": tmp_path / "out.onnx"}),
        "transposed": (lambda model: list(tconv.onnx.transposed(model)), {"model": model}),
        "constant": (tconv.onnx.constant, {"value": None}),
        "Diagnosis.fix": (found.fix, {"how": "bilinear", "seed": 0, "names": ()}),
        "Diagnosis.write": (
            tconv.diagnose(path).write,
            {"path": tmp_path / "fixed.onnx", "fixed_weights": {"up": np.ones((2, 1, 2, 2), np.float32)}},
        ),
    }  # fmt: skip


#: What functions return or raise, and one without arguments.
WITHOUT = {"Inspection", "Refused", "Report", "library"}
NAMES = (
    "inspect", "inspect input", "rewrite", "register", "session", "read", "write", "transposed", "constant",
    "Diagnosis.fix", "Diagnosis.write",
)  # fmt: skip


def test_no_function_is_left_out() -> None:
    assert set(tconv.onnx.__all__) - WITHOUT <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_argument_is_answered_or_refused(name: str, cases: dict[str, Any]) -> None:
    call, given = cases[name]
    refused, faults = refusals(call, given)
    assert faults == []
    assert refused > 10 * len(given)
