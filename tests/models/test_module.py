"""A live module, its exported program and its ONNX file: one reading of its layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the modules are PyTorch's")
from torch import nn  # noqa: E402

import tconv.torch as ours  # noqa: E402
from tconv.diagnosis import diagnose  # noqa: E402
from tconv.models import read  # noqa: E402
from tconv.models.module import places, watch  # noqa: E402
from tconv.onnx import inspect  # noqa: E402
from tconv.torch.accelerate.rows import find  # noqa: E402


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Sequential(nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.ReLU()),
        ours.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.ConvTranspose2d(4, 2, (1, 3), dilation=2),
    ).eval()


X = torch.zeros(1, 3, 16, 20)
NAMES = ["0", "1.0", "2", "3"]


def test_a_module_and_its_exported_program_hold_the_same_layers(tmp_path: Path) -> None:
    module = net()
    watched, products = watch(module, X)
    torch.export.save(torch.export.export(module, (X,)), tmp_path / "net.pt2")
    program = read(tmp_path / "net.pt2", layers={}, problem=None, sizes={})
    assert [layer.name for layer in watched.layers] == NAMES == [layer.name for layer in program.layers]
    for seen, held in zip(watched.layers, program.layers, strict=True):
        assert (seen.geometry, seen.conv, seen.sized) == (held.geometry, held.conv, held.sized)
        np.testing.assert_array_equal(seen.weight, held.weight)
    many = sum(layer.known.macs_exact for layer in watched.layers if not layer.conv)
    assert sum(n or 0 for name, n in products if name == "conv_transpose") == many
    assert [
        finding.as_dict() for finding in diagnose(tmp_path / "net.pt2").findings if finding.code < "T3"
    ] == [finding.as_dict() for finding in inspect(module, example=X).diagnosis.findings]


@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_a_module_and_its_onnx_file_hold_the_same_layers(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="PyTorch exports with onnxscript")
    module = net()
    torch.onnx.export(module, (X,), tmp_path / "net.onnx", dynamo=True, optimize=False, verbose=False)
    watched = [one for one in watch(module, X)[0].layers if not one.conv]
    held = [
        one for one in read(tmp_path / "net.onnx", layers={}, problem=None, sizes={}).layers if not one.conv
    ]
    assert [str(one.geometry) for one in held] == [str(one.geometry) for one in watched]
    for one, other in zip(held, watched, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)


def test_accelerate_names_the_layers_that_inspect_sees() -> None:
    module = net()
    rows, _ = find(module)
    seen = inspect(module, example=X).layers
    assert [row.name for row in rows] == [one.name for one in seen] == NAMES[1:]
    assert {name for names in places(module).values() for name in names} >= {*NAMES, ""}
