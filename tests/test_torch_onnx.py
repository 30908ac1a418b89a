"""Layers leave PyTorch as ONNX ConvTranspose nodes, and ONNX Runtime gives the same answers."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.torch import ConvTranspose1d, ConvTranspose2d
from torch_cases import MIXED, OURS, options, tensors

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


class Decoder(nn.Module):
    """Layers as models hold them: a size asked for, a tensor without batch axis, other layers between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.rest = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), ConvTranspose2d(6, 2, 4, 2, 1, bias=False))
        self.line = ConvTranspose1d(2, 1, (5,), stride=(3,), dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        made = self.rest(self.first(x, output_size=[2 * x.shape[2], 2 * x.shape[3] - 1]))
        return self.line(made.mean((0, 2)))


def test_a_model_with_dynamic_axes_by_way_of_a_pt2_file(tmp_path: Path) -> None:
    model, x = Decoder().eval(), torch.randn(2, 4, 5, 6)
    size = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    torch.export.save(torch.export.export(model, (x,), dynamic_shapes=(size,)), tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2")
    torch.onnx.export(again, (), tmp_path / "model.onnx", verbose=False, external_data=False)
    count = Counter(node.op_type for node in ir.load(tmp_path / "model.onnx").graph)
    assert count["ConvTranspose"] == 3
    for other in (x, torch.randn(3, 4, 7, 4)):
        (made,) = run(tmp_path / "model.onnx", other)
        torch.testing.assert_close(torch.from_numpy(made), model(other).detach())


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
