"""Forwards that no trace shows, for the tests of what an example shows."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.torch.accelerate.helpers import norm

__all__ = ["WAYS", "Ways", "X", "decorated", "same"]

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(3))


def decorated(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def around(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return around


class Ways(nn.Module):
    """A forward that no trace shows, which goes one of many ways."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.bn, self.act = nn.ConvTranspose2d(4, 6, 4, 2, 1), norm(2, 6), nn.LeakyReLU(0.2)
        self.kept: list[Tensor] = []

    @decorated
    def forward(self, x: Tensor, way: str = "usual", *rest: Any) -> Any:
        if way == "input in place":
            x = x.clone()
        y = self.up(x)
        return getattr(self, way.replace(" ", "_"))(x, y)

    def usual(self, x: Tensor, y: Tensor) -> Any:
        assert y.shape == (x.shape[0], 6, 2 * x.shape[2], 2 * x.shape[3])
        assert (y.dim(), len(y), y.stride(3) in (1, 6)) == (4, len(x), True)
        return self.act(self.bn(y))

    def returned(self, x: Tensor, y: Tensor) -> Any:
        return y

    def both(self, x: Tensor, y: Tensor) -> Any:
        return {"raw": y, "more": [self.act(self.bn(y)), y + 1]}

    def middle(self, x: Tensor, y: Tensor) -> Any:
        z = self.bn(y)
        return z, self.act(z), z.sum()

    def other_slope(self, x: Tensor, y: Tensor) -> Any:
        return F.leaky_relu(self.bn(y), 0.7)

    def without_norm(self, x: Tensor, y: Tensor) -> Any:
        return self.act(y)

    def twice_normed(self, x: Tensor, y: Tensor) -> Any:
        return self.act(self.bn(self.bn(y)))

    def on_data(self, x: Tensor, y: Tensor) -> Any:
        return self.act(self.bn(y)) if y.mean() > 100 else torch.tanh(y)

    def in_place(self, x: Tensor, y: Tensor) -> Any:
        z = self.bn(y)
        y.mul_(2)
        return y, self.act(z)

    def input_in_place(self, x: Tensor, y: Tensor) -> Any:
        x.zero_()
        return y - 1

    def normed_then_input_in_place(self, x: Tensor, y: Tensor) -> Any:
        before = x.clone()
        z = self.bn(y)
        x.fill_(7)
        made = z * 2, self.act(z)
        x.copy_(before)
        return made

    def weight_in_place(self, x: Tensor, y: Tensor) -> Any:
        before = self.up.weight.detach().clone()
        self.up.weight.data.mul_(3)
        made = y + 0
        self.up.weight.data.copy_(before)
        return made

    def statistics_in_place(self, x: Tensor, y: Tensor) -> Any:
        self.bn.running_mean.add_(1)
        made = self.act(self.bn(y))
        self.bn.running_mean.sub_(1)
        return made

    def assigned(self, x: Tensor, y: Tensor) -> Any:
        y[0, 0] = 5
        return self.act(self.bn(y))

    def viewed(self, x: Tensor, y: Tensor) -> Any:
        flat = y.flatten(1)
        flat[0, :3] = 4
        return self.act(self.bn(y)), flat

    def as_numpy(self, x: Tensor, y: Tensor) -> Any:
        return torch.from_numpy(np.array(y.numpy())) + torch.from_numpy(np.asarray(y).copy())

    def joined(self, x: Tensor, y: Tensor) -> Any:
        return torch.cat([y, self.bn(y)], 1), torch.stack([y, y]), torch.where(y > 0, y, 0.0)

    def by_operator(self, x: Tensor, y: Tensor) -> Any:
        return torch.ops.aten.add.Tensor(y, 1), torch.ops.aten.relu(self.bn(y))

    def by_keyword(self, x: Tensor, y: Tensor) -> Any:
        out = torch.empty_like(y)
        return torch.add(input=y, other=y, out=out), F.leaky_relu(input=self.bn(input=y), negative_slope=0.2)

    def moved(self, x: Tensor, y: Tensor) -> Any:
        return y.double(), y.to("cpu").contiguous(), y.detach(), y.clone(), y.tolist()[0][0][0][0]

    def passed(self, x: Tensor, y: Tensor) -> Any:
        y = F.dropout(y, 0.5, self.training).contiguous().float()
        return self.act(self.bn(y))

    def scripted(self, x: Tensor, y: Tensor) -> Any:
        return _scripted(y)

    def pickled(self, x: Tensor, y: Tensor) -> Any:
        return pickle.loads(pickle.dumps(y)), copy.deepcopy(y)


def _twice(y: Tensor) -> Tensor:
    return torch.relu(y) * 2


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _scripted = torch.jit.script(_twice)


WAYS = [name for name, value in vars(Ways).items() if callable(value) and name not in ("__init__", "forward")]


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(found, Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    elif isinstance(found, dict):
        same(list(found.values()), list(expected.values()))
    elif isinstance(found, list | tuple):
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    else:
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
