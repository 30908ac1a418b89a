"""What a diagnosis finds in PyTorch's files: state dicts and exported programs, read and written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv import algebra
from tconv.diagnosis import diagnose

torch = pytest.importorskip("torch", reason="state dicts and exported programs are PyTorch's")
nn, F = torch.nn, torch.nn.functional


class Net(nn.Module):
    """Everything that a reader of exported programs should see."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 8, 4, 2, 1, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.after = nn.Conv2d(8, 4, 3, padding="same")
        self.down = nn.Conv2d(4, 4, 3, stride=2)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm(self.up(x)))[:, :, :-1]
        h = torch.cat([h, y], 1)[:, :8]
        return self.down(self.after(F.interpolate(h, scale_factor=2.0, mode="nearest")))


def test_exported_programs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(net, (torch.randn(1, 4, 5, 5), torch.randn(1, 1, 9, 10))), path)
    report = diagnose(path)
    assert [(e.layer.name, str(e.layer.geometry)) for e in report.layers] == [
        ("up", "n1 c4>8 i5x5 k4 s2 p1 g2")
    ]
    found = {finding.code: finding for finding in report.findings}
    assert set(found) == {"T104", "T201", "T202", "T203", "T301", "T401", "T403"}
    assert found["T401"].layer == "after"
    assert found["T401"].evidence["merged"] == "n1 c8>4 i9x10 k4 s2 p1"
    assert found["T104"].layer == found["T203"].layer == "down"
    report.write(tmp_path / "flat.pt2", report.fix())
    flat = torch.export.load(tmp_path / "flat.pt2").state_dict["up.weight"].detach().numpy()
    np.testing.assert_array_equal(flat, algebra.equal_phase_gains(net.up.weight.detach().numpy(), 2))
    after = diagnose(tmp_path / "flat.pt2")
    assert "T201" not in {finding.code for finding in after.findings}


@pytest.mark.parametrize("kind", ["ConvTranspose1d", "ConvTranspose3d"])
def test_layers_of_ours_in_exported_programs(tmp_path: Path, kind: str) -> None:
    from tconv import torch as ours

    axes = int(kind[-2])
    net = nn.Sequential(getattr(ours, kind)(2, 3, 4, 2, 1))
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(net, (torch.randn(1, 2, *(5,) * axes),)), path)
    (entry,) = diagnose(path).layers
    assert (entry.layer.name, str(entry.layer.geometry)) == ("0", f"n1 c2>3 i{'x'.join('5' * axes)} k4 s2 p1")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"epoch": 3, "state_dict": s}])
@pytest.mark.parametrize("name", ["up", "up.weight"])
def test_state_dicts(tmp_path: Path, wrap: Any, name: str) -> None:
    net = Net()
    path = tmp_path / "m.pt"
    torch.save(wrap(net.state_dict()), path)
    report = diagnose(path, layers={name: "n1 c4>8 i5x5 k4 s2 p1 g2"})
    assert {finding.code for finding in report.findings} >= {"T201"}
    report.write(tmp_path / "flat.pt", report.fix())
    held = torch.load(tmp_path / "flat.pt", weights_only=True)
    state = held if "up.weight" in held else held["state_dict"]
    assert "state_dict" not in held or held["epoch"] == 3
    np.testing.assert_array_equal(
        state["up.weight"].numpy(), algebra.equal_phase_gains(net.up.weight.detach().numpy(), 2)
    )
    assert torch.equal(state["after.weight"], net.after.weight)
    net.load_state_dict(state)


def test_bfloat16_states(tmp_path: Path) -> None:
    torch.save({"up.weight": torch.randn(2, 2, 4, dtype=torch.bfloat16)}, tmp_path / "m.pt")
    report = diagnose(tmp_path / "m.pt", layers={"up": "n1 c2>2 i8 k4 s2"})
    report.write(tmp_path / "flat.pt", report.fix())
    assert torch.load(tmp_path / "flat.pt", weights_only=True)["up.weight"].dtype == torch.bfloat16


def test_open_sizes_of_programs_have_a_stand_in(tmp_path: Path) -> None:
    net = nn.Sequential(nn.ConvTranspose2d(2, 3, 4, 2, 1)).eval()
    sizes = {0: torch.export.Dim("n"), 2: torch.export.Dim("rows")}
    program = torch.export.export(net, (torch.randn(2, 2, 5, 7),), dynamic_shapes={"input": sizes})
    torch.export.save(program, tmp_path / "m.pt2")
    (entry,) = diagnose(tmp_path / "m.pt2").layers
    assert not entry.layer.sized
    assert str(entry.layer.geometry) == "n1 c2>3 i17x7 k4 s2 p1"
