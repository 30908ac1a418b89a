"""Inputs that `tconv rewrite` makes up, and those that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tests.onnx.helpers import model  # noqa: E402
from tests.onnx.rewriting.test_commands import run, save  # noqa: E402


def test_inputs_that_no_memory_holds_are_not_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    most = 2**31 - 1
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"])]
    made = model(nodes, {"x": [1, 4, most, most]}, ["y"], {"w": np.ones((4, 3, 3, 3), np.float32)}, opset=17)
    assert run(save(made, tmp_path / "in.onnx"), tmp_path / "out.onnx", "--for", "speed") == 2
    said = f"input x is 1x4x{most}x{most}, of which none is made up; up to 268,435,456 numbers would fit"
    printed = capsys.readouterr().err.strip().splitlines()
    assert said in printed[-1]
    assert "Traceback" not in "".join(printed)
