"""accelerate compares outputs: what rounding explains is accepted, what it does not is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tconv.torch as layers
from tconv import TconvError, algebra
from tconv.torch import accelerate
from tconv.torch.accelerate import checking, packed
from tests.torch.accelerate.helpers import norm


class Amplifying(nn.Module):
    """A decoder, then a logistic map, which about doubles every difference at each of its steps."""

    def __init__(self, steps: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 8, 4, 2, 1), norm(2, 8), nn.Sigmoid())
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(x)
        for _ in range(self.steps):
            y = 3.9 * y * (1 - y)
        return y


X = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))


def doubled(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Fold a BatchNorm wrongly, by this factor."""
    fold = algebra.fold_batchnorm

    def wrong(*args: Any, **kwargs: Any) -> Any:
        weight, bias = fold(*args, **kwargs)
        return weight * weight.dtype.type(factor), bias

    monkeypatch.setattr(packed.algebra, "fold_batchnorm", wrong)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_amplifies_rounding_is_accepted(seed: int) -> None:
    net = Amplifying(14, seed).eval()
    with torch.no_grad():
        expected = net(X)
        done = accelerate(net, X, report=False, seconds=0)
        assert done.rows[0].done == ["swapped", "BatchNorm2d folded", "Sigmoid fused"]
        off = float((net(X) - expected).abs().max() / expected.abs().max())
    assert off == pytest.approx(done.apart)
    assert done.apart > 1e-4  # more than an ordinary model may
    assert done.apart < done.tolerance < 0.1
    assert "more than usual is allowed, since the model amplifies rounding; layers agree" in done.notes


def test_float64_knows_that_the_difference_is_rounding() -> None:
    """Both float32 models are about as far from float64."""
    net, exact = Amplifying(14).eval(), Amplifying(14).double().eval()
    exact.load_state_dict(net.state_dict())
    with torch.no_grad():
        truth, theirs = exact(X.double()), net(X).double()
        accelerate(net, X, report=False, seconds=0)
        ours = net(X).double()
    assert (ours - truth).abs().max() < 3 * (theirs - truth).abs().max()


@pytest.mark.parametrize("steps", [0, 14, 40])
@pytest.mark.parametrize("factor", [1.001, 2.0])
def test_a_wrong_fused_step_is_refused(steps: int, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the model amplifies so much that its own outputs show nothing."""
    doubled(monkeypatch, factor)
    net = Amplifying(steps).eval()
    with pytest.raises(TconvError, match=r"^outputs of up\.0 differ by .*; the model is unchanged$"):
        accelerate(net, X, report=False, seconds=0)
    assert type(net.up[0]) is nn.ConvTranspose2d
    assert "forward" not in vars(net.up)


def test_chaos_is_compared_layer_by_layer() -> None:
    net = Amplifying(40).eval()
    done = accelerate(net, X, report=False, seconds=0)
    assert done.apart is None
    assert "outputs: compared layer by layer only, since rounding alone may change" in " ".join(done.notes)
    assert type(net.up[0]) is layers.ConvTranspose2d


def test_a_fault_between_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers agree; what the model does with them does not."""
    from tconv.torch.accelerate.rewriting import InSequence

    run = InSequence.run
    monkeypatch.setattr(InSequence, "run", lambda self, x: run(self, x) * 1.01)
    for steps in (0, 6):
        net = Amplifying(steps).eval()
        with pytest.raises(TconvError, match=r"^outputs differ by .*; the model is unchanged$"):
            accelerate(net, X, report=False, seconds=0)
        assert "forward" not in vars(net.up)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.calls = nn.ConvTranspose1d(1, 1, 2), 0

    def forward(self, x: Tensor, *, gain: float = 1.0) -> dict[str, Any]:
        self.calls += 1
        return {"y": [self.up(x) * gain + self.calls], "n": 3}


def test_models_whose_own_answers_differ() -> None:
    done = accelerate(Noisy(), {"x": torch.ones(1, 1, 3), "gain": 2.0}, report=False, seconds=0)
    assert done.apart is None
    assert "not compared, since two runs of the model itself differ" in str(done)


def test_distances() -> None:
    inf, nan = float("inf"), float("nan")
    a = torch.tensor([1.0, inf, nan])
    assert checking.distance([a], [a.clone()])[0] == 0
    assert checking.distance([torch.tensor([1.0, inf, 2.0])], [a])[0] == inf
    assert checking.distance([a], [torch.tensor([1.0, 2.0, nan])])[0] == inf
    assert checking.distance([a], [a[:2]]) == (inf, 0.0)
    assert checking.distance([], []) == (0.0, 0.0)
    assert checking.distance([torch.tensor([1, 2])], [torch.tensor([1, 3])]) == (0.5, 1e-2)
    turn = torch.tensor([1j, 2.0])
    assert checking.distance([turn], [turn * 1.5]) == (pytest.approx(1 / 3), 1e-4)
    wide, half = torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float16)
    assert checking.distance([wide * 1.5, half * 1.5], [wide, half]) == (0.5, 1e-9)  # the worse of both


def test_what_rounding_changes_is_allowed_tenfold() -> None:
    one = torch.tensor([1.0, 2.0])
    assert checking.distance([one * 1.5], [one], [one * 1.25]) == (0.5, 2.5)
    assert checking.distance([one * 1.5], [one], [one * float("nan")]) == (0.5, 1e-4)
