"""accelerate within a budget of seconds: what is timed, what decides instead, and what the table says of it.

Time is a clock that the layers and the model advance; no test looks at how long anything takes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tconv.torch as layers
from tconv import TconvError
from tconv.torch import accelerate
from tconv.torch.accelerate import choosing, estimate
from tconv.torch.accelerate.measuring import Budget, Example
from tconv.torch.accelerate.rows import Row

X = torch.randn(1, 3, 4, 4)


class World:
    """A clock; `layer(level)` and `rest()` say how many seconds a layer and the model around it take."""

    def __init__(self, layer: Callable[[int], float], rest: Callable[[], float] = lambda: 0.0) -> None:
        self.now, self.runs, self.layer, self.rest = 0.0, 0, layer, rest

    def __call__(self) -> float:
        return self.now


class Net(nn.Module):
    """A layer in a model that takes time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up, self.relu, self.world = nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.ReLU(), [world]

    def forward(self, x: Tensor) -> Tensor:
        (world,) = self.world
        world.runs += 1
        ours = isinstance(self.up, layers.ConvTranspose2d)
        world.now += world.rest() + world.layer(1 if ours else 0)
        return self.relu(self.up(x) + 1)  # which stays apart


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Accelerate `Net` in a `World`."""
    call = Row.call

    def start(world: World, seconds: float = 30.0) -> tuple[Net, Any]:
        def advancing(row: Row, x: Tensor) -> Any:
            world.now += world.layer(0 if type(row.layer) is nn.ConvTranspose2d else 1)
            return call(row, x)

        monkeypatch.setattr(Row, "call", advancing)
        net = Net(world)
        return net, choosing.measured(Example(net, [((X,), {})]), Budget(seconds, world))

    return start


@pytest.mark.parametrize(("layer", "rest"), [(0.5, 19.5), (20.0, 0.0)])
def test_a_model_of_twenty_seconds_is_run_twice(layer: float, rest: float, timed: Callable[..., Any]) -> None:
    world = World(lambda level: layer, lambda: rest)
    net, done = timed(world)
    assert world.runs == 2  # to compare its outputs
    assert world.now == 40
    (row,) = done.rows
    assert row.decided.startswith("not timed, since 18 turns do not fit into its share of 30 s: by ")
    assert type(net.up) is layers.ConvTranspose2d
    assert done.apart < 1e-5
    assert "whole model: not timed, since 18 runs before and after do not fit" in " ".join(str(done).split())


def test_no_seconds_means_no_timing(timed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for estimated, kept in ((2.0, True), (0.5, False)):
        monkeypatch.setattr(estimate, "cycles", lambda row, x, of=estimated: {0: of, 1: 1.0})
        world = World(lambda level: 1e-3)
        net, done = timed(world, 0)
        (row,) = done.rows
        assert (
            row.decided
            == f"not timed, since no time was asked for: by estimate {estimated:.1f} times as fast"
        )
        assert world.runs == 2
        assert (type(net.up) is layers.ConvTranspose2d) == kept
        assert row.done == (["swapped"] if kept else [])
        assert ("swapped: slower by estimate" in row.why) != kept
        assert (row.before, done.before) == (None, None)


@pytest.mark.parametrize("run", [0.02, 0.3, 2.0, 8.0, 100.0])
@pytest.mark.parametrize("share", [0.01, 0.9])
def test_the_budget_holds(timed: Callable[..., Any], run: float, share: float) -> None:
    """All is over when the time is, but for the two runs that compare and the turn in which it ends."""
    rng = random.Random(1)
    world = World(lambda _: run * share * rng.uniform(0.3, 3), lambda: run * (1 - share))
    timed(world)
    assert world.now <= 30 + 12 * run
    if run >= 8:
        assert world.runs <= 3


def test_timing_decides_where_it_can(timed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "cycles", lambda *_: pytest.fail("timing has told"))
    net, done = timed(World(lambda level: [1e-3, 0.5e-3][level]))
    assert done.rows[0].decided == "faster, 2.00 times as fast (2.00 to 2.00 in half of 18 turns)"
    assert type(net.up) is layers.ConvTranspose2d
    net, done = timed(World(lambda level: [0.5e-3, 1e-3][level]))
    assert done.rows[0].decided.startswith("slower, 0.50 times as fast")
    assert type(net.up) is nn.ConvTranspose2d
    net, done = timed(World(lambda level: [1e-3, 1.02e-3][level]))
    assert done.rows[0].decided.startswith("as fast within 5 %, 0.98 times as fast")
    assert type(net.up) is layers.ConvTranspose2d


@pytest.mark.parametrize("estimated", [0.5, 2.0])
def test_a_load_leaves_it_to_the_estimate(
    estimated: float, timed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that hits one side of a turn at random never decides, whatever the seed."""
    monkeypatch.setattr(estimate, "cycles", lambda row, x: {0: estimated, 1: 1.0})
    for seed in range(6):
        rng = random.Random(seed)
        world = World(lambda level, rng=rng: 0.02 * (1 + rng.choice([0, rng.expovariate(0.5)])))
        net, done = timed(world)
        assert done.rows[0].decided.startswith("too noisy to tell, ")
        assert done.rows[0].decided.endswith(f"turns): by estimate {estimated:.1f} times as fast")
        assert (type(net.up) is layers.ConvTranspose2d) == (estimated > 1)
        if estimated > 1:
            assert "whole model: too noisy to tell, so what was decided for each layer stays" in done.notes


def test_what_an_estimate_counts() -> None:
    """Everything is counted anew from the definition: products, numbers, and passes."""
    from tconv.torch.accelerate.rows import find

    torch.manual_seed(0)
    parts = [nn.ConvTranspose2d(6, 4, 4, 2, 1, groups=2), nn.BatchNorm2d(4), nn.ReLU()]
    net = nn.Sequential(*parts, nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 3, padding=1), nn.Tanh()).eval()
    (first, second), rewritings = find(net)
    for rewriting in rewritings:
        rewriting.do()
    with torch.no_grad():
        known = estimate.cycles(first, torch.randn(2, 6, 5, 7))
        merged = estimate.cycles(second, torch.randn(2, 4, 20, 28))
    plan = first.chains[0].plan_for(torch.empty(2, 6, 5, 7))
    from tconv.planning.cost import machine

    facts = machine(plan.isa, "f32")
    peak = facts.lanes * facts.record.ports.multiply
    inputs, outputs = 2 * 6 * 5 * 7, 2 * 4 * 10 * 14
    assert known[0] == pytest.approx(3 * inputs * 2 * 16 / peak + 10 * (inputs + outputs) + 2 * 2 * outputs)
    assert (known[1], known[2]) == (plan.cost + 2 * 2 * outputs, plan.cost)
    small, large, last = 2 * 4 * 10 * 14, 2 * 4 * 20 * 28, 2 * 3 * 20 * 28
    assert merged[0] == pytest.approx(last * 4 * 9 / (0.75 * peak) + small + 2 * large + last + 2 * last)
    assert set(merged) == {0, 2}


def test_layers_without_an_estimate_stay_accelerated() -> None:
    """bfloat16 is not packed, so that no plan is known."""
    net = nn.Sequential(nn.ConvTranspose2d(3, 4, 3)).to(torch.bfloat16)
    done = accelerate(net, X.bfloat16(), report=False, seconds=0)
    assert done.rows[0].decided == "not timed, since no time was asked for: nothing is known of it"
    assert type(net[0]) is layers.ConvTranspose2d


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "10", None, True, [30]])
def test_seconds_that_are_none(seconds: Any) -> None:
    net = nn.Sequential(nn.ConvTranspose2d(3, 4, 3))
    with pytest.raises(TconvError, match=r"^seconds=.*; a number of at least 0 would fit$"):
        accelerate(net, X, report=False, seconds=seconds)
    assert type(net[0]) is nn.ConvTranspose2d
