"""Layers leave PyTorch as ONNX ConvTranspose nodes, and ONNX Runtime gives the same answers."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.torch import ConvTranspose2d
from tests import ROOT
from tests.torch.helpers import LAYERS, MIXED, OURS, SIZES, Everything, options, tensors

onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was exported; install tconv[onnx]")
ir = pytest.importorskip("onnx_ir", reason="reads what was exported; install tconv[onnx]")
pytest.importorskip("onnxscript", reason="PyTorch exports by it; install onnxscript")

pytestmark = [
    # PyTorch's exporters warn of their own use of what is deprecated.
    pytest.mark.filterwarnings("ignore::FutureWarning:copyreg"),
    pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
]


#: Output padding from the stride on, all or most of it taken from the far padding.
FAR = [
    Geometry.parse(text) for text in ("n2 c2>3 i4 k3 s2 p3 o3 d4", "n1 c4>2 i3x4 k2x3 s3x2 p2x1 o4x1 d5x1 g2")
]


#: Activation -> what it becomes at the most.
NODES = {
    None: "Identity",
    "relu": "Relu",
    ("leaky_relu", 0.25): "LeakyRelu",
    ("clamp", -20.0, 30.0): "Clip",
}
ACTIVATIONS = list(NODES)


class All(nn.Module):
    """Every problem at once: an export takes about a second, however many layers it holds."""

    def __init__(self, problems: list[Geometry]) -> None:
        super().__init__()
        self.problems = problems
        for i, g in enumerate(problems):
            _, weight, bias, _ = tensors(g, seed=i)
            self.register_buffer(f"weight{i}", weight)
            self.register_buffer(f"bias{i}", bias if i % 2 else None)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        return [
            OURS[g.axes](
                x,
                getattr(self, f"weight{i}"),
                getattr(self, f"bias{i}"),
                **{**options(g), "padding": g.padding},
                activation=ACTIVATIONS[i % len(ACTIVATIONS)],
            )
            for i, (g, x) in enumerate(zip(self.problems, inputs, strict=True))
        ]


def exported(model: nn.Module, inputs: tuple[Tensor, ...], path: Path, **given: Any) -> Any:
    """The file that PyTorch's exporter writes, read again."""
    torch.onnx.export(model.eval(), inputs, path, **{"verbose": False, "external_data": False, **given})
    return ir.load(path)


def run(path: Path, *inputs: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
@pytest.mark.filterwarnings("ignore:Constant folding - Only steps=1:UserWarning")
def test_every_problem_is_one_node(dynamo: bool, tmp_path: Path) -> None:
    problems = [*FAR, *(g for _, g in load_cases() if g.batch)]
    inputs = tuple(tensors(g, seed=i)[0] for i, g in enumerate(problems))
    model = All(problems)
    written = exported(model, inputs, tmp_path / "all.onnx", dynamo=dynamo)
    count = Counter(node.op_type for node in written.graph)
    assert count["ConvTranspose"] == len(problems) > 140
    if dynamo:
        # ONNX cannot add cells in front, nor ONNX Runtime as many behind as the stride.
        axes = [zip(g.output_padding, g.padding, g.stride, strict=True) for g in problems]
        added = [any(lo < 0 or o - hi >= s for o, (lo, hi), s in each) for each in axes]
        assert 0 < sum(added) < 20
        assert sum(added) <= count["Pad"] < 2 * sum(added)
        assert (
            {"ConvTranspose", "Pad", "Add"} < set(count) <= {"ConvTranspose", "Pad", "Add", *NODES.values()}
        )
    for g, made, expected in zip(problems, run(tmp_path / "all.onnx", *inputs), model(*inputs), strict=True):
        assert np.array_equal(made, expected.numpy()), str(g)


def test_a_model_with_dynamic_axes_by_way_of_a_pt2_file(tmp_path: Path) -> None:
    model, x = Everything().eval(), torch.randn(SIZES[0])
    size = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    torch.export.save(torch.export.export(model, (x,), dynamic_shapes=(size,)), tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2")
    torch.onnx.export(again, (), tmp_path / "model.onnx", verbose=False, external_data=False)
    count = Counter(node.op_type for node in ir.load(tmp_path / "model.onnx").graph)
    assert count["ConvTranspose"] == LAYERS
    for other in SIZES:
        x = torch.randn(other)
        (made,) = run(tmp_path / "model.onnx", x)
        torch.testing.assert_close(torch.from_numpy(made), model(x).detach())


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
def test_other_dtypes_and_autocast(dynamo: bool, tmp_path: Path) -> None:
    x = tensors(MIXED)[0]
    layer = ConvTranspose2d(4, 6, (3, 4), stride=(2, 3), groups=2)
    half = copy.deepcopy(layer).half()
    exported(half, (x.half(),), tmp_path / "half.onnx", dynamo=dynamo)
    (made,) = run(tmp_path / "half.onnx", x.half())
    assert made.dtype == np.float16
    torch.testing.assert_close(torch.from_numpy(made), half(x.half()).detach())
    with torch.autocast("cpu", dtype=torch.float16):
        written = exported(layer, (x,), tmp_path / "cast.onnx", dynamo=dynamo)
        expected = layer(x).detach()
    assert {"Cast", "ConvTranspose"} <= {node.op_type for node in written.graph}
    (made,) = run(tmp_path / "cast.onnx", x)
    torch.testing.assert_close(torch.from_numpy(made), expected, rtol=2e-3, atol=2e-3)


def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example that needs this file's filters of warnings, after those before it."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "guides" / "compilers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```py(?:thon)?\n((?s:.*?))^```$", text, re.MULTILINE)
    assert "torch.onnx.export" in blocks[-1]
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "compilers.md", "exec"), names)
    (made,) = run(tmp_path / "net.onnx", names["x"])
    torch.testing.assert_close(torch.from_numpy(made), names["net"](names["x"]).detach())


@pytest.mark.parametrize(
    ("dtype", "said"), [(torch.float64, "NOT_IMPLEMENTED"), (torch.bfloat16, "INVALID_GRAPH")], ids=str
)
def test_what_onnx_runtime_lacks(dtype: torch.dtype, said: str, tmp_path: Path) -> None:
    """PyTorch's own layers are refused as well; the guide says so."""
    for layer in (nn.ConvTranspose2d(4, 3, 2, dtype=dtype), ConvTranspose2d(4, 3, 2, dtype=dtype)):
        exported(layer, (torch.ones(1, 4, 3, 3, dtype=dtype),), tmp_path / "model.onnx")
        with pytest.raises(Exception, match=said):
            onnxruntime.InferenceSession(tmp_path / "model.onnx")
