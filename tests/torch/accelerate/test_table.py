"""accelerate with an example: answers compared, times in turns, what does not pay taken back; the table."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

import tconv.torch as layers
from tconv import TconvError
from tconv.timing import Side
from tconv.torch import accelerate
from tconv.torch.accelerate import choosing
from tests.torch.accelerate.helpers import norm


class Clock:
    """Stands in for time: each side of each comparison takes what a test says."""

    def __init__(self, *seconds: list[float]) -> None:
        self.seconds = list(seconds)
        self.compared = 0

    def __call__(self, sides: list[Side], seconds: float, **_: object) -> list[list[float]]:
        self.compared += 1
        assert seconds > 0
        for prepare, call in sides:
            prepare()
            call()
        given = self.seconds.pop(0) if self.seconds else [2.0] * (len(sides) - 1) + [1.0]
        assert len(given) == len(sides)
        return [[each] * 18 for each in given]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    def set_to(*seconds: list[float]) -> Clock:
        made = Clock(*seconds)
        monkeypatch.setattr(choosing, "in_turns", made)
        return made

    return set_to


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.ConvTranspose2d(3, 4, 4, 2, 1),
        norm(2, 4),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 2, 3, padding=1),
        nn.Tanh(),
    )


X = torch.randn(1, 3, 4, 4)


def test_all_that_pays_stays(clock: Callable[..., Clock]) -> None:
    asked = clock([3e-3, 2e-3, 1e-3], [4e-3, 2e-3], [8e-3, 4e-3])
    net = model()
    done = accelerate(net, X, report=False)
    assert asked.compared == 3  # two rows, and the whole
    assert [(row.before, row.after) for row in done.rows] == [
        (pytest.approx(3e-3), pytest.approx(1e-3)),
        (pytest.approx(4e-3), pytest.approx(2e-3)),
    ]
    assert done.before == pytest.approx(2 * done.after)
    assert (done.tolerance, done.apart is not None and done.apart < 1e-5) == (1e-4, True)
    assert net.training
    assert all(part.training for part in net)
    assert type(net[0]) is layers.ConvTranspose2d


def test_what_is_slower_is_taken_back(clock: Callable[..., Clock]) -> None:
    clock([3e-3, 1e-3, 2e-3], [2e-3, 4e-3])
    net = model().eval()
    done = accelerate(net, X, report=False)
    first, second = done.rows
    assert first.done == ["swapped"]
    slower = "slower here, 0.50 times as fast (0.50 to 0.50 in half of 18 turns)"
    assert first.why == [f"BatchNorm2d folded, ReLU fused: {slower}"]
    assert second.done == []
    assert second.why[0].startswith("merged into one layer, Tanh fused: slower here, 0.50 times as fast")
    assert type(net[0]) is layers.ConvTranspose2d
    with torch.no_grad():
        torch.testing.assert_close(net(X), nn.Sequential.forward(net, X))


def test_a_layer_that_is_slower_is_pytorchs_again(clock: Callable[..., Clock]) -> None:
    clock([1e-3, 2e-3, 2e-3], [1e-3, 2e-3])
    net = model()
    done = accelerate(net, X, report=False)
    assert [row.done for row in done.rows] == [[], []]
    assert type(net[0]) is nn.ConvTranspose2d
    assert done.before is None


def test_a_slower_whole_is_taken_back(clock: Callable[..., Clock]) -> None:
    clock([3e-3, 2e-3, 1e-3], [4e-3, 2e-3], [1e-3, 2e-3])
    net = model()
    done = accelerate(net, X, report=False)
    assert "the whole model is slower with it, so everything was undone" in str(done)
    assert type(net[0]) is nn.ConvTranspose2d
    assert "forward" not in vars(net)


def test_a_hair_is_no_difference(clock: Callable[..., Clock]) -> None:
    clock([1.0e-3, 1.0e-3, 1.03e-3], [1e-3, 1.03e-3])
    assert all(row.done for row in accelerate(model(), X, report=False).rows)


def test_random_numbers_and_generators_are_left_alone(clock: Callable[..., Clock]) -> None:
    clock()
    net = nn.Sequential(nn.ConvTranspose1d(1, 1, 2), nn.Dropout(0.5))
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    done = accelerate(net, (torch.ones(1, 1, 3),), report=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert done.apart is not None


def test_an_example_that_does_not_fit() -> None:
    net = model()
    with pytest.raises(TconvError, match=r"^the model does not run on the example: Runtime.*would fit$"):
        accelerate(net, torch.ones(1, 7, 4, 4), report=False)
    assert type(net[0]) is nn.ConvTranspose2d
    assert net.training


def test_a_layer_that_the_example_does_not_reach(clock: Callable[..., Clock]) -> None:
    clock()
    net = nn.ModuleDict({"a": nn.ConvTranspose1d(1, 1, 2), "b": nn.ConvTranspose1d(1, 1, 2)})
    net.forward = lambda x: net["a"](x)  # type: ignore[method-assign]
    done = accelerate(net, torch.ones(1, 1, 3), report=False)
    assert done.rows[1].why[-1] == "not reached by the example, so not timed"
    assert (done.rows[1].done, done.rows[1].after) == (["swapped"], None)
    done.undo()
    assert vars(net)["forward"]


def test_the_table(clock: Callable[..., Clock], capsys: pytest.CaptureFixture[str]) -> None:
    clock([3e-3, 2e-3, 1e-3], [4e-3, 6e-3], [8e-3, 4e-3])
    done = accelerate(model(), X)
    shown = capsys.readouterr().out
    assert shown == f"{done}\n"
    assert max(map(len, shown.splitlines())) <= 80
    table, *told = done.document()["layers"].items
    assert table.columns == ("layer", "what", "done", "ms before", "after")
    assert table.rows[0] == (
        "0", "ConvTranspose2d 3>4 k4 s2 p1", "swapped, BatchNorm2d folded, ReLU fused", "3.000", "1.000",
    )  # fmt: skip
    assert table.rows[1][2:] == ("-", "4.000", "4.000")
    slower = "0.67 times as fast (0.67 to 0.67 in half of 18 turns)"
    assert table.notes == (
        ("faster, 3.00 times as fast (3.00 to 3.00 in half of 18 turns)",),
        (f"slower, {slower}", f"why no more: merged into one layer, Tanh fused: slower here, {slower}"),
    )
    assert told[0].text == (
        "whole model: 8.000 ms before, 4.000 after: 2.00 times as fast (2.00 to 2.00 in half of 18 turns)"
    )
    assert re.search(r"differ by \d\.\de-\d\d of the largest; 1e-04 allowed", told[2].text)


def test_a_model_in_training_is_told() -> None:
    told = "the model is in training mode: this takes effect after model.eval(), under torch.no_grad()"
    net = model()
    for training in (True, False):
        done = accelerate(net.train(training), report=False)
        assert (told in " ".join(str(done).split())) == training
        done.undo()


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_torch_jit_has_compiled_stays() -> None:
    compiled = torch.jit.script(nn.Sequential(nn.ConvTranspose2d(3, 4, 3)))
    net = nn.Sequential(compiled, nn.ConvTranspose2d(4, 2, 3))
    x = torch.randn(1, 3, 5, 5)
    with torch.no_grad():
        expected = net.eval()(x)
        done = accelerate(net, report=False)
        torch.testing.assert_close(net(x), expected)
    assert [row.name for row in done.rows] == ["1"]
    assert done.notes == ["0 is compiled by torch.jit and kept: accelerate before torch.jit.trace"]
    whole = accelerate(torch.jit.trace(net[1], torch.randn(1, 4, 5, 5)), report=False)
    assert str(whole).splitlines()[1].startswith("the model is compiled by torch.jit")


def test_a_model_without_anything() -> None:
    assert str(accelerate(nn.Sequential(nn.Linear(2, 2)), report=False)) == (
        "Sequential: no transposed convolution and no nearest upsampling found"
    )


def test_a_compiled_model() -> None:
    net = model().eval()
    with torch.no_grad():
        expected = net(X)
        compiled = torch.compile(net, backend="eager", fullgraph=True)
        done = accelerate(compiled, report=False)
        assert done.rows[0].name == "_orig_mod.0"
        assert "Inductor fuses them" in str(done)
        torch.testing.assert_close(compiled(X), expected, rtol=1e-4, atol=1e-5)
        done.undo()
        assert type(net[0]) is nn.ConvTranspose2d
        torch.testing.assert_close(compiled(X), expected)


def test_a_compiled_model_with_an_example(clock: Callable[..., Clock]) -> None:
    """Compilers ignore new hooks, so the inputs of layers are seen without them."""
    clock([3e-3, 2e-3, 1e-3], [4e-3, 2e-3])
    compiled = torch.compile(model().eval(), backend="eager")
    done = accelerate(compiled, X, report=False)
    assert [row.decided[:22] for row in done.rows] == ["faster, 3.00 times as ", "faster, 2.00 times as "]
    assert done.apart is not None
