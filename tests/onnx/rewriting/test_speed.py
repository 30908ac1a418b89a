"""The search for speed with given times: what is kept, dropped and tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

import tconv.onnx  # noqa: E402
from tconv.onnx.rewriting import speed  # noqa: E402
from tconv.onnx.rewriting.feeds import Feeds  # noqa: E402
from tconv.onnx.rewriting.measuring import Timed, time_in_turns  # noqa: E402
from tconv.onnx.rewriting.report import Report  # noqa: E402
from tconv.onnx.rewriting.run import _telling  # noqa: E402
from tconv.onnx.rewriting.runner import Runner  # noqa: E402
from tconv.timing import Paired  # noqa: E402
from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402

Cost = Callable[[list[str]], float]


def steady(before: float, after: float) -> Timed:
    """Times of a quiet machine, in ms."""
    return Timed.of(Paired([before / 1e3] * 18, [after / 1e3] * 18))


class Shelf:
    """Replaces the runner: it holds models and runs none."""

    def __init__(self) -> None:
        self.models: dict[str, ir.Model] = {}

    def load(self, name: str, made: ir.Model) -> None:
        self.models[name] = made

    def drop(self, name: str) -> None:
        del self.models[name]


def two_layers() -> ir.Model:
    """Two layers of kernel = stride, a shift after each."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["a"], name="one", strides=[2]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("ConvTranspose", ["c", "w"], ["d"], name="two", strides=[2]),
        helper.make_node("Add", ["d", "b"], ["y"]),
    ]
    return model(nodes, {"x": [1, 2, 6]}, ["y"], {"w": whole(rng, 2, 2, 2), "b": whole(rng, 2, 1)})


def searched(cost: Cost, monkeypatch: pytest.MonkeyPatch, made: ir.Model | None = None) -> speed.Faster:
    """The search if the time of a model is `cost` of its operators."""

    def told(shelf: Shelf, before: str, after: str, *_: object, **__: object) -> Timed:
        one, two = (cost(op_types(shelf.models[name])) for name in (before, after))
        return steady(one, two)

    monkeypatch.setattr(speed, "time_in_turns", told)
    shelf = Shelf()
    found = speed.search(made or two_layers(), shelf, Feeds("x", {}), seconds=1000)  # type: ignore[arg-type]
    assert len(shelf.models) == 1
    return found


def test_what_wins_is_kept_and_the_next_is_tried_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(lambda ops: 10 + 3 * ops.count("Add") + 2 * ops.count("ConvTranspose"), monkeypatch)
    assert [str(move) for move in found.moves] == ["folding", "kernel is stride"]
    assert found.timed == steady(20, 10)
    assert {step.rule for step in found.steps if step.reason is None} == {"fold-bias", "kernel-is-stride"}


def test_what_slows_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(lambda ops: 10 + len(ops), monkeypatch)
    assert [str(move) for move in found.moves] == ["folding"]
    shuffled = [t for t in found.trials if t.moves[0].name == "kernel is stride" and t.timed]
    assert shuffled
    assert not any(trial.kept for trial in shuffled)


def test_less_than_five_percent_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(lambda ops: 100 + 2 * ops.count("Add"), monkeypatch)
    assert found.moves == ()
    assert found.timed is None
    assert not any(step.reason is None for step in found.steps)


def test_small_gains_are_tried_together(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(lambda ops: 100 + 2 * ops.count("Add") + 2 * ops.count("ConvTranspose"), monkeypatch)
    assert {move.name for move in found.moves} >= {"folding", "kernel is stride"}
    assert len(found.trials[-1].moves) > 1
    assert found.trials[-1].kept


def test_a_line_that_loses_is_tried_place_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer gains, two of them lose."""
    costs = {2: 100, 1: 80, 0: 130}
    found = searched(lambda ops: costs[ops.count("ConvTranspose")], monkeypatch)
    (move,) = found.moves
    assert move.place in (("graph", "one"), ("graph", "two"))
    assert len([step for step in found.steps if step.reason is None]) == 1


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (steady(1.04, 1), "no rewriting makes the whole model faster."),
        (steady(1, 2), "no rewriting makes the whole model faster."),
        # 16 of 18 turns are twice as fast: two may contradict by chance.
        (
            Timed.of(Paired([2.0] * 16 + [1.0] * 2, [1.0] * 16 + [5.0] * 2)),
            "the machine is too noisy to tell",
        ),
    ],
)
def test_a_result_that_does_not_hold_is_dropped(
    last: Timed, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(_: Shelf, before: str, __: str, *___: object, surely: bool = False) -> Timed:
        assert surely == (before == "original")
        return last if surely else steady(2, 1)

    monkeypatch.setattr(speed, "time_in_turns", told)
    found = speed.search(two_layers(), Shelf(), Feeds("x", {}), seconds=1000)  # type: ignore[arg-type]
    assert any(trial.kept for trial in found.trials)
    assert found.moves == ()
    assert not any(step.reason is None for step in found.steps)
    report = Report("speed", found.steps, trials=found.trials, timed=found.timed)
    assert f"Nothing was rewritten: {why}" in " ".join(str(report).split())
    assert report._tried().rows[-1][-1] == f"the whole, {last.verdict}: not kept"


def test_trials_that_contradict_themselves_are_said_to() -> None:
    loaded = Timed.of(Paired([2.0] * 5 + [1.0] * 2, [1.0] * 5 + [2.0] * 2))
    for timed, said in ((loaded, "too noisy to tell"), (steady(1, 1), "no rewriting makes")):
        trial = speed.Trial((speed.Move("folding"),), 1, timed)
        assert said in next(iter(Report("speed", (), trials=(trial,))._told()))


def test_no_time_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "time_in_turns", lambda *_: pytest.fail("there is no time to measure"))
    found = speed.search(two_layers(), Shelf(), Feeds("x", {}), seconds=-1)  # type: ignore[arg-type]
    assert found.moves == ()
    assert {trial.note for trial in found.trials if trial.fired} == {"no time left"}


def test_a_trial_needs_less_than_a_result() -> None:
    def timed(turns: int, against: int) -> Timed:
        return Timed.of(Paired([1.06] * (turns - against) + [1.0] * against, [1.0] * turns))

    assert timed(7, 0).wins
    assert timed(7, 0).verdict == "too noisy to tell"
    assert not timed(7, 1).wins
    assert (timed(18, 0).verdict, timed(18, 1).verdict) == ("faster", "too noisy to tell")
    assert timed(80, 20).wins
    assert not steady(1.05, 1).wins


def test_a_race_is_run_in_turns() -> None:
    made = two_layers()
    with Runner(1) as runner:
        runner.load("a", made)
        runner.load("b", made.clone())
        feeds = {"x": np.zeros((1, 2, 6), np.float32)}
        taken = runner.time(["a", "b"], feeds, seconds=0, turns=7, most=50)
        assert [len(times) for times in taken.values()] == [7, 7]
        assert all(second > 0 for times in taken.values() for second in times)
        assert time_in_turns(runner, "a", "b", feeds, 0.01).before > 0
        assert time_in_turns(runner, "a", "b", feeds, 0, surely=True).turns == 18


def test_a_model_too_large_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit lowered from 2 GB to 2 kB: tensors are external data, before and after."""
    monkeypatch.setattr("tconv.models.onnx.file.LARGEST", 2048)
    rng = np.random.default_rng(0)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2])
    made = model([node], {"x": ["n", 32, "l"]}, ["y"], {"w": whole(rng, 32, 16, 3)})
    path, out = tmp_path / "in.onnx", tmp_path / "out.onnx"
    ir.save(made, path, external_data="weights.bin")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    report = tconv.onnx.rewrite(path, out, goal="no-groups")
    assert all(entry.fine for entry in report.compared)
    assert {file.name for file in tmp_path.iterdir()} == {*before, "out.onnx", "out.onnx.data"}
    assert all((tmp_path / name).read_bytes() == data for name, data in before.items())
    assert out.stat().st_size < 2048
    feeds = {"x": whole(rng, 2, 32, 5)}
    np.testing.assert_array_equal(
        answers(ir.external_data.load_to_model(ir.load(out)), feeds)[0], answers(made, feeds)[0]
    )


def normed() -> ir.Model:
    """Layer, BatchNormalization, Relu, layer."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["a"], name="up", strides=[2]),
        helper.make_node("BatchNormalization", ["a", "s", "s", "s", "s"], ["c"], name="norm"),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ConvTranspose", ["d", "w"], ["y"], name="last", strides=[2]),
    ]
    held = {"w": whole(rng, 2, 2, 2), "s": np.ones(2, np.float32)}
    return model(nodes, {"x": [1, 2, 6]}, ["y"], held)


@pytest.mark.parametrize("kept", [False, True])
def test_a_report_does_not_contradict_itself(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What applies is not said not to, whether it is kept or not."""
    made = normed()
    found = searched(lambda ops: 10 + 10 * kept * ops.count("BatchNormalization"), monkeypatch, made)
    for move in found.moves:
        move.apply(made)
    report = Report("speed", _telling(found.steps, made), trials=found.trials, timed=found.timed)
    why = {(step.rule, step.node): step.reason for step in report.steps}
    assert why["fold-batchnorm", "up"] == (None if kept else "it applies, but was not kept")
    assert why["fold-batchnorm", "last"] == "its output is an output of the model"
    follows = "followed by Relu, not by" if kept else "followed by BatchNormalization, not by"
    assert str(why["fold-bias", "up"]).startswith(follows)
    (nowhere,) = [line for line in report._meant() if line.startswith("Not applicable")]
    tried = {move.name for trial in report.trials if trial.timed for move in trial.moves}
    named = nowhere.removeprefix("Not applicable in this model: ").removesuffix(".").split("; ")
    assert "folding" in tried
    assert not tried & set(named)
    assert {"nearest merged", "depth to space, cropped"} <= set(named)


def test_moves_that_do_the_same_are_not_said_to_be_inapplicable() -> None:
    folding, shuffle, other = (speed.Move(name) for name in ("folding", "kernel is stride", "flipped"))
    trials = (
        speed.Trial((folding,), 2, steady(1, 1)),
        speed.Trial((shuffle,), 1, steady(1, 1)),
        speed.Trial((speed.Move("folding", ("graph", "up")),), 0, None, note=speed.NOWHERE),
        speed.Trial((folding, shuffle), 0, None, note="as kernel is stride"),
        speed.Trial((other,), 0, None, note=speed.NOWHERE),
    )
    told = list(Report("speed", (), trials=trials)._meant())
    assert told[1:] == ["Not applicable in this model: flipped."]


def test_the_gain_is_that_of_the_times_beside_it() -> None:
    class Clock:
        def time(self, *_: object, **__: object) -> dict[str, list[float]]:
            return {"a": [4.0, 9.0, 2.0, 5.0], "b": [1.0, 8.0, 4.0, 4.0]}

    timed = time_in_turns(Clock(), "a", "b", {}, 0)  # type: ignore[arg-type]
    assert (timed.before, timed.after, timed.gain, timed.sure) == (9000.0, 8000.0, 1.125, 0.75)
    assert (timed.low, timed.high, timed.turns) == (0.5, 4.0, 4)
