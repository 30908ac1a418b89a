"""accelerate: what an example shows of the way that outputs of layers take."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tconv.torch import accelerate
from tconv.torch.accelerate.pending import Pending
from tests.torch.accelerate.helpers import norm
from tests.torch.accelerate.ways import X, decorated, same


class GDN(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (1 + x * x)


class Uses(nn.Module):
    """Modules that call a layer in ways that an example shows."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.up, self.bn, self.way = nn.ConvTranspose2d(4, 4, 3, padding=1), norm(2, 4), way
        self.gdn = GDN()
        self.kept: Any = None

    @decorated
    def forward(self, x: Tensor) -> Any:
        return getattr(self, self.way)(x)

    def two_uses(self, x: Tensor) -> Any:
        y = self.up(x)
        return F.relu(y) + y

    def twice_alike(self, x: Tensor) -> Any:
        return F.relu(self.up(F.relu(self.up(x))))

    def twice_unlike(self, x: Tensor) -> Any:
        return torch.tanh(self.up(F.relu(self.up(x))))

    def returned_too(self, x: Tensor) -> Any:
        y = self.up(x)
        return F.relu(y), y

    def stored(self, x: Tensor) -> Any:
        self.kept = self.up(x)
        return F.relu(self.kept)

    def only_returned(self, x: Tensor) -> Any:
        return self.up(x)

    def in_place(self, x: Tensor) -> Any:
        return F.relu(self.up(x), inplace=True)

    def in_place_kept(self, x: Tensor) -> Any:
        y = self.up(x)
        y.relu_()
        return y

    def normed_in_place(self, x: Tensor) -> Any:
        return F.relu_(self.bn(self.up(x)))

    def divided(self, x: Tensor) -> Any:
        return self.gdn(self.up(x))

    def layer_norm(self, x: Tensor) -> Any:
        return F.layer_norm(self.up(x), (5, 5))


TOLD: dict[str, tuple[list[str], str]] = {
    "two_uses": ([], "its output has 2 uses (relu(), +)"),
    "twice_alike": (["relu() fused"], ""),
    "twice_unlike": ([], "its 2 calls are followed by different steps"),
    "returned_too": ([], "its output is kept or returned, too"),
    "stored": ([], "its output is kept or returned, too"),
    "only_returned": ([], ""),
    "in_place": (["relu() fused"], ""),
    "in_place_kept": ([], "its output is kept or returned, too"),
    "normed_in_place": (["BatchNorm2d folded", "relu_() fused"], ""),
    "divided": ([], "GDN follows, which depends on its input; a BatchNorm in its place would be folded"),
    "layer_norm": ([], "layer_norm() follows"),
}


@pytest.mark.parametrize("way", TOLD)
def test_what_an_example_shows(way: str) -> None:
    torch.manual_seed(0)
    model, x = Uses(way).eval(), X[..., :5, :5]
    before = sum(type(each) is Pending for each in gc.get_objects())
    twin = copy.deepcopy(model)
    done = accelerate(model, x, report=False, seconds=0)
    did, why = TOLD[way]
    assert done.rows[0].done == ["swapped", *did]
    assert " ".join(done.rows[0].why).startswith(why)
    assert bool(done.rows[0].why) == bool(why)
    with torch.no_grad():
        for _ in range(2):
            same(model(x), twin(x))
        same(copy.deepcopy(model)(x), twin(x))
    gc.collect()
    assert sum(type(each) is Pending for each in gc.get_objects()) <= before
