"""accelerate: members of an nn.Sequential that stay as they are, each with its reason."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm

X = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(3))

SEQUENCES: list[tuple[Callable[[], list[nn.Module]], list[str], str]] = [
    (
        lambda: [nn.Upsample(scale_factor=2), nn.ReLU(), nn.Conv2d(4, 4, 3)],
        [],
        "ReLU follows, not a convolution",
    ),
    (lambda: [nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, 2)], [], "the convolution has stride (2, 2)"),
    (
        lambda: [nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")],
        [],
        "padding_mode='reflect' sees the upsampled borders",
    ),
    (lambda: [nn.Upsample(scale_factor=1.5), nn.Conv2d(4, 4, 3)], [], "scale_factor=1.5 is not whole"),
    (lambda: [nn.Upsample(size=(9, 9)), nn.Conv2d(4, 4, 3)], [], "size= is given, not scale_factor="),
    (
        lambda: [nn.Upsample(scale_factor=(41, 1)), nn.Conv2d(4, 4, 3)],
        [],
        "scale_factor=(41.0, 1.0): PyTorch's own rounding shows beyond 40",
    ),
    (lambda: [nn.ConvTranspose2d(4, 4, 2), nn.SELU()], ["swapped"], "SELU follows"),
    (
        lambda: [nn.ConvTranspose2d(4, 4, 2), nn.InstanceNorm2d(4), nn.ReLU()],
        ["swapped"],
        "InstanceNorm2d follows",
    ),
    (
        lambda: [nn.ConvTranspose2d(4, 4, 2), nn.BatchNorm2d(4, track_running_stats=False)],
        ["swapped"],
        "BatchNorm without running statistics depends on its input",
    ),
    (
        lambda: [norm(2, 4), nn.ConvTranspose2d(4, 4, 3, 2, 1), nn.ReLU()],
        ["swapped", "ReLU fused"],
        "BatchNorm2d before it: beyond the border is zero, not its shift",
    ),
]


@pytest.mark.parametrize(("parts", "did", "reason"), SEQUENCES)
def test_sequences_that_stay(parts: Callable[[], list[nn.Module]], did: list[str], reason: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*parts()).eval()
    twin = copy.deepcopy(model)
    (row,) = accelerate(model, report=False).rows
    assert (row.done, row.why) == (did, [reason])
    with torch.no_grad():
        torch.testing.assert_close(model(X), twin(X), rtol=1e-4, atol=1e-5)


def test_pytorch_rounds_factors_that_are_not_merged() -> None:
    """The reason for the bound: at 41 PyTorch takes the wrong neighbour (2.13.0)."""
    x = torch.arange(3.0).reshape(1, 1, 3)
    wrong = [
        factor
        for factor in range(2, 48)
        if not torch.equal(F.interpolate(x, scale_factor=factor), x.repeat_interleave(factor, 2))
    ]
    assert not wrong or min(wrong) > 40


def test_one_upsampling_before_two_convolutions() -> None:
    torch.manual_seed(0)
    twice = nn.Upsample(scale_factor=2)
    parts = [nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2)]
    model = nn.Sequential(twice, parts[0], twice, parts[1], twice, nn.GELU()).eval()
    with torch.no_grad():
        expected = model(X)
        done = accelerate(model, report=False)
        torch.testing.assert_close(model(X), expected, rtol=1e-4, atol=1e-5)
    assert [(row.name, row.what, row.done, row.why) for row in done.rows] == [
        ("0, 2, 4 + 1", "nearest x2, Conv2d 4>4 k3 p1", ["merged into one layer"], ["Upsample follows"]),
        ("0, 2, 4 + 3", "nearest x2, Conv2d 4>4 k5 p2", ["merged into one layer"], ["Upsample follows"]),
        ("0, 2, 4", "Upsample (nearest)", [], ["GELU follows, not a convolution"]),
    ]


def test_nothing_follows_the_end_of_a_model() -> None:
    for model in (nn.ConvTranspose1d(1, 1, 2), nn.Sequential(nn.Linear(3, 3), nn.ConvTranspose1d(1, 1, 2))):
        assert accelerate(model, report=False).rows[0].why == []
        assert model(input=torch.ones(1, 1, 3)).shape == (1, 1, 4)
        with pytest.raises(TypeError, match=r"(?<!run\(\)) got an unexpected keyword argument 'x'"):
            model(x=torch.ones(1, 1, 3))


CHANGES = [(0, "scale_factor", 2.0), (0, "scale_factor", 3.0), (0, "mode", "bilinear"), (1, "stride", (2, 2))]


def test_an_upsampling_that_is_changed_afterwards() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)).eval()
    twin = copy.deepcopy(model)
    accelerate(model, report=False)
    with torch.no_grad():
        for at, name, value in CHANGES:
            setattr(model[at], name, value), setattr(twin[at], name, value)
            torch.testing.assert_close(model(X), twin(X), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_told_by_the_parts() -> None:
    model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)).eval()
    accelerate(model, report=False)
    with torch.no_grad(), pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        model(X[..., :1, :1])
    bare = nn.Sequential(
        nn.ConvTranspose1d(2, 3, 2, bias=False), nn.BatchNorm1d(3, eps=0.0), nn.ReLU()
    ).eval()
    bare[1].running_var.zero_()
    twin, x = copy.deepcopy(bare), torch.ones(1, 2, 4)
    accelerate(bare, report=False)
    with torch.no_grad():
        torch.testing.assert_close(bare(x), twin(x), equal_nan=True)
        for model in (bare, twin):  # a weight that somebody else computes
            weight = model[0].weight.detach() * 2
            del model[0].weight
            model[0].weight = weight
            model[1].running_var.fill_(1)
        torch.testing.assert_close(bare(x), twin(x))
        bare[0].weight.zero_()
        assert bare(x).abs().max() == 0
