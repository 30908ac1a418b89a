"""Learning rates: warm-up, both falls, and who has which rate."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tconv.train.schedule import optimiser, shares


@pytest.mark.parametrize("decay", ["cosine", "poly"])
def test_rates_rise_then_fall_to_nothing(decay: str) -> None:
    share = shares(200, warmup=0.1, decay=decay)
    values = [share(step) for step in range(201)]
    assert all(one < two for one, two in pairwise(values[:21]))
    assert values[20] == 1.0
    assert all(one > two for one, two in pairwise(values[20:]))
    assert values[-1] == 0.0


def test_halfway() -> None:
    assert shares(100, warmup=0.0, decay="poly")(51) == pytest.approx((1 - 50 / 99) ** 0.9)
    assert shares(101, warmup=0.0, decay="cosine")(51) == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 39, 40, 60, 100, 140, 180, 12345])
def test_a_twentieth_is_counted_in_whole_steps(steps: int) -> None:
    share = shares(steps, warmup=0.05, decay="cosine")
    rise = next(step for step in range(steps + 1) if share(step) in (1.0, 0.0))
    assert rise == max(1, steps // 20)


def network() -> nn.Module:
    return nn.ModuleDict({"backbone": nn.Linear(2, 3), "score": nn.Linear(3, 1)})


def test_the_backbone_may_have_a_rate_of_its_own() -> None:
    net = network()
    found = optimiser(net, lr=1e-2, backbone_lr=1e-3, weight_decay=0.5)
    assert [group["lr"] for group in found.param_groups] == [1e-2, 1e-3]
    assert all(group["weight_decay"] == 0.5 for group in found.param_groups)
    ids = [{id(p) for p in group["params"]} for group in found.param_groups]
    assert ids == [{id(p) for p in net[name].parameters()} for name in ("score", "backbone")]  # type: ignore[index]


def test_without_it_all_tensors_are_one_group() -> None:
    net = network()
    net["score"].bias.requires_grad_(False)  # type: ignore[index]
    (group,) = optimiser(net, lr=1e-2, backbone_lr=None, weight_decay=0.01).param_groups
    assert len(group["params"]) == 3
    assert all(torch.is_tensor(p) for p in group["params"])
