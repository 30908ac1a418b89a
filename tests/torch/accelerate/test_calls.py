"""accelerate: functions that a forward calls, which stay as they are, each seen and with its reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tconv.torch import accelerate

X = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)


class Branch(Net):
    """As in the decoders of segmentation_models_pytorch."""

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv(x)


class Size(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3])))


class Imported(Net):
    def forward(self, x: Tensor, twice: bool = True) -> Tensor:
        return self.conv(interpolate(x, scale_factor=2) if twice else x)


class Helped(Net):
    def up(self, x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=2) if x.numel() else x

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up(x))


class Decorated(Net):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2))


class Bare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2)


class Function(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight * 2, stride=2)


ONE_WAY = "of which a trace shows one way"
SEEN: list[tuple[type[nn.Module], str, str]] = [
    (Branch, "interpolate", f"Branch.forward has a branch (line {{}}), {ONE_WAY}"),
    (Size, "interpolate", "its size is computed from tensors; scale_factor= with a whole number would fit"),
    (Imported, "interpolate", f"Imported.forward has a branch (line {{}}), {ONE_WAY}"),
    (Helped, "interpolate", f"Helped.up has a branch (line {{}}), {ONE_WAY}"),
    (
        Decorated,
        "interpolate",
        "Decorated.forward is decorated; with torch.no_grad() or the like around the call it can be read",
    ),
    (Bare, "interpolate", "Bare has no convolution to merge it with; nn.Upsample would be seen"),
    (
        Function,
        "conv_transpose2d",
        "its weight is computed, or the forward is not straight; tconv.torch.conv_transpose2d in its "
        "place would compute the same",
    ),
]


@pytest.mark.parametrize(("make", "function", "why"), SEEN)
def test_what_is_seen_and_why_it_stays(make: type[nn.Module], function: str, why: str) -> None:
    model = nn.Sequential(make(), nn.ReLU(), make()).eval()
    twin = copy.deepcopy(model)
    (row,) = accelerate(model, report=False).rows
    assert (row.name, row.what, row.done) == ("0, 2", f"{function}() in its forward", [])
    (told,) = row.why
    start, _, end = why.partition("{}")
    assert start in told
    assert told.endswith(end)
    with torch.no_grad():
        assert torch.equal(model(X), twin(X))
    assert "found" not in str(accelerate(twin, X, report=False))


class Merged(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2))


class Smooth(Net):
    def forward(self, x: Tensor, twice: bool = True) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear") if twice else x)


class Named(Net):
    """Its own function of that name is not PyTorch's."""

    def interpolate(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Any:
        return self.conv(self.interpolate(x))


def test_what_is_merged_or_something_else_has_no_such_row() -> None:
    (row,) = accelerate(Merged().eval(), report=False).rows
    assert row.done == ["merged into one layer"]
    for make in (Smooth, Named):
        assert accelerate(make().eval(), report=False).rows == []
