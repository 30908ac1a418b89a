"""accelerate: slices as steps after a layer, and random steps on several ways."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm
from tests.torch.accelerate.ways import X, decorated, same


class Sliced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(3, 4, 6, 3)

    def forward(self, x: Tensor, way: str = "usual") -> Any:
        y = self.up(x)
        end = y.shape[-1] - 2
        z = y[..., 1:end]
        if way == "usual":
            return z
        if way == "both":
            return y, z
        if way == "write to the slice":
            z.mul_(2)
            return y
        if way == "write to the whole":
            y.mul_(2)
            return z, z.sum()
        if way == "write to both":
            z.add_(1)
            y.mul_(2)
            z.sub_(3)
            return y, z
        if way == "channels":
            return y[:, 1:3, 1:end], y[..., ::2], y[:, :, None], y[..., -5:], y[0]
        return y[..., :end][..., 1:]

    WAYS = ("usual", "both", "write to the slice", "write to the whole", "write to both", "channels", "steps")


@pytest.mark.parametrize("way", Sliced.WAYS)
def test_slices_share_memory_with_the_whole(way: str) -> None:
    torch.manual_seed(0)
    model = Sliced().eval()
    twin, x = copy.deepcopy(model), torch.randn(2, 3, 7)
    done = accelerate(model, x, report=False, seconds=0)
    assert done.rows[0].done == ["swapped", "only its slice computed"]
    with torch.no_grad():
        for size in (7, 12):
            x = torch.randn(1, 3, size)
            same(model(x, way), twin(x, way))
        assert model(x).is_contiguous()


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int) -> None:
    """A program learnt on one way, run on others with another input, always has PyTorch's outputs."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Program(rng).eval()
    twin = copy.deepcopy(model)
    accelerate(model, X, 0, report=False, seconds=0)
    with torch.no_grad():
        for way in range(Program.WAYS):
            x = torch.randn(1, 4, 5, 7)
            same(model(x, way), twin(x, way))


class Program(nn.Module):
    """Random steps after a layer, the same ones up to a random place on each way."""

    WAYS = 5
    STEPS: tuple[Callable[[Any, Tensor], Any], ...] = (
        lambda self, y: self.bn(y),
        lambda self, y: self.act(y),
        lambda self, y: torch.sigmoid(y),
        lambda self, y: y[..., 1:],
        lambda self, y: y[:, :, 1:-1, 2:],
        lambda self, y: F.hardtanh(y, -0.5, 0.5, True),
        lambda self, y: y.relu_(),
        lambda self, y: (self.kept.append(y), self.kept.pop(0))[-1] if len(self.kept) > 1 else y,
        lambda self, y: y * 2,
        lambda self, y: y.add_(1),
        lambda self, y: F.dropout(y, 0.5, False),
        lambda self, y: self.drop(y),
        lambda self, y: y if y.sum() > 0 else -y,
        lambda self, y: F.silu(y, inplace=True),
        lambda self, y: self.prelu(y),
    )

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.up, self.bn = nn.ConvTranspose2d(4, 4, 4, 2), norm(2, 4)
        self.act, self.drop = nn.LeakyReLU(0.3, inplace=bool(rng.integers(2))), nn.Dropout2d()
        self.prelu = nn.PReLU(4)
        self.kept: list[Tensor] = []
        first = list(rng.choice([*range(7), 13, 14], 5))
        self.programs = [
            [*first[: rng.integers(0, 5)], *rng.integers(0, len(self.STEPS), 3)] for _ in range(self.WAYS)
        ]
        self.shows = list(rng.integers(0, 2, 8))

    @decorated
    def forward(self, x: Tensor, way: int) -> Any:
        y = self.up(x)
        shown = []
        for number, step in enumerate(self.programs[way]):
            if way and self.shows[number % 8]:
                shown.append(y)
            y = self.STEPS[step](self, y)
        return y, shown
