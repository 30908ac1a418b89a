"""The guide to upsamplings: what it prints is what it shows, its costs, and its pictures."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv.geometry import Geometry
from tconv.models.openvino import core
from tests import ROOT

GUIDES = ROOT / "docs" / "guides"
TEXT = (GUIDES / "upsampling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    pytest.importorskip("torch", reason="the examples need PyTorch; install tconv[torch]")
    return runpy.run_path(str(ROOT / "docs" / "upsampling_pictures.py"))


def test_what_the_examples_print_is_shown() -> None:
    pytest.importorskip("torch", reason="the examples need PyTorch; install tconv[torch]")
    out = io.StringIO()
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(out):
        for block in re.findall(r"^```python\n((?s:.*?))^```$", TEXT, re.MULTILINE):
            exec(compile(block, "upsampling.md", "exec"), names)
    lines = out.getvalue().splitlines()
    assert len(lines) == 8 + 11
    assert [line for line in lines if f"\n{line}\n" not in TEXT] == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("transposed, kernel 2", "k2 s2"),
        ("transposed, kernel 3", "k3 s2 p1 o1"),
        ("transposed, kernel 4", "k4 s2 p1"),
        ("the same, merged into one transposed layer", "k4 s2 p1"),
    ],
)
def test_the_costs_of_transposed_layers(row: str, problem: str) -> None:
    """Away from the borders: the growth from one map to the next larger one is all inside."""
    products = [Geometry.parse(f"n1 c1>1 i{n} {problem}").macs_exact for n in (8, 9)]
    per_axis = (products[1] - products[0]) / 2
    shown = re.search(rf"^\| {row} \| ([0-9.]+) \| (\d+)", TEXT, re.MULTILINE)
    assert shown is not None
    assert float(shown[1]) == per_axis**2
    assert int(shown[2]) == int(problem[1]) ** 2


def test_the_grids_are_what_is_drawn(pictures: dict[str, Any]) -> None:
    assert (GUIDES / "grids.svg").read_text(encoding="utf-8") == pictures["grids"]()


def test_the_picture_is_what_is_painted(pictures: dict[str, Any]) -> None:
    """Except for the font, and the last bits of a least-squares solution."""
    from PIL import Image, ImageChops, ImageStat

    painted = pictures["upsamplings"]()
    with Image.open(GUIDES / "upsamplings.png") as shown:
        assert shown.size == painted.size
        off = ImageChops.difference(shown.convert("RGBA"), painted)
    assert max(ImageStat.Stat(off).mean) < 3, "run `python docs/generate.py`"


def test_what_the_runtimes_do_with_unpooling(tmp_path: Path) -> None:
    """ONNX Runtime has MaxUnpool, OpenVINO refuses it, and PyTorch's exporter writes a scatter."""
    torch = pytest.importorskip("torch", reason="exports a module; install tconv[torch]")
    onnx = pytest.importorskip("onnx", reason="makes a model; install tconv[onnx]")
    pytest.importorskip("onnxscript", reason="exports a module; install tconv[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="runs the model; install tconv[onnx]")
    pytest.importorskip("openvino", reason="reads the model; install tconv[bench]")

    float_, int_ = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    make = onnx.helper.make_tensor_value_info
    inputs = [make("x", float_, [1, 1, 2, 2]), make("at", int_, [1, 1, 2, 2])]
    node = onnx.helper.make_node("MaxUnpool", ["x", "at"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    graph = onnx.helper.make_graph([node], "g", inputs, [make("y", float_, [1, 1, 4, 4])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "unpool.onnx")
    feeds = {"x": np.array([[[[1, 2], [3, 4]]]], np.float32), "at": np.array([[[[0, 3], [9, 10]]]])}
    (made,) = runtime.InferenceSession(tmp_path / "unpool.onnx").run(None, feeds)
    assert made[0, 0].tolist() == [[1, 0, 0, 2], [0, 0, 0, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    with pytest.raises(RuntimeError, match="MaxUnpool"):
        core().read_model(tmp_path / "unpool.onnx")

    class Unpooled(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            pooled, at = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
            return torch.nn.functional.max_unpool2d(pooled, at, 2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(Unpooled(), (torch.ones(1, 1, 4, 4),), dynamo=True, verbose=False)
    names = [each.op_type for each in program.model_proto.graph.node]
    assert "ScatterND" in names
    assert "MaxUnpool" not in names
