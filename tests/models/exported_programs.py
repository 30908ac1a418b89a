"""Programs to export: layers before and after the operations that a diagnosis examines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="programs are exported by PyTorch")
nn, F = torch.nn, torch.nn.functional


class Net(nn.Module):
    """Layers of PyTorch and ours; one is used twice."""

    def __init__(self, axes: int) -> None:
        from tconv import torch as ours

        super().__init__()
        self.up = getattr(nn, f"ConvTranspose{axes}d")(4, 4, 4, 2, 1, groups=2)
        self.norm = getattr(nn, f"BatchNorm{axes}d")(4)
        self.ours = getattr(ours, f"ConvTranspose{axes}d")(4, 4, 3, 2, 1)
        self.conv = getattr(nn, f"Conv{axes}d")(8, 4, 3, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.gelu(self.norm(self.up(x)))
        h = self.ours(self.up(h))
        return self.conv(torch.cat([h, h], 1))


def exported(axes: int = 2, dtype: Any = None, train: bool = False, **options: Any) -> Any:
    torch.manual_seed(axes)
    net = Net(axes).train(train).to(dtype or torch.float32)
    x = torch.randn(2, 4, *(5,) * axes, dtype=dtype)
    return torch.export.export(net, (x,), **options)


def saved(program: Any, path: Path) -> Path:
    torch.export.save(program, path)
    return path
