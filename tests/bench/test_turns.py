"""Engines in processes, in turns: their answers are compared, and one that ends is started again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tconv import TconvError
from tconv.bench import turns
from tconv.bench.report import Record, table
from tconv.bench.task import Task
from tconv.bench.turns import Turns
from tconv.geometry import Geometry


class Stub:
    """An engine that answers with `wrong` where it is not ours."""

    wrong: Any

    def __init__(self, name: str, threads: int, isa: str | None) -> None:
        self.name = name

    def ask(self, **request: Any) -> dict[str, Any]:
        if request["do"] == "time":
            return {"times": [1.0]}
        values = [np.full(3, 2, np.float32)] if self.name == "tconv" else self.wrong
        with open(request["answer"], "wb") as file:
            np.savez(file, *values)
        return {"note": self.name}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        [np.full(3, 2.1, np.float32)],
        [np.full(4, 2, np.float32)],
        [np.full(3, np.nan, np.float32)],
        [np.full(3, 2, np.float32)] * 2,
    ],
    ids=["number", "shape", "nan", "count"],
)
def test_a_wrong_answer_is_never_timed(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer's other engines are."""

    class Mistaken(Stub):
        def ask(self, **request: Any) -> dict[str, Any]:
            assert (self.name, request["do"]) != ("torch", "time")
            self.wrong = wrong if self.name == "torch" else [np.full(3, 2, np.float32)]
            return super().ask(**request)

    monkeypatch.setattr(turns, "Engine", Mistaken)
    with Turns(["tconv", "torch", "jax"], 1) as three:
        result = three.measure("up", Task(Geometry.parse("c1>1 i3 k2 s2")), 3, 0.001)
    assert result.errors == {"torch": "its output is not that of tconv"}
    assert set(result.seconds) == set(result.notes) == {"tconv", "jax"}
    facts = {"cpu": "c", "instruction_set": "i", "threads": 2, "dtype": "float32", "versions": {}}
    record = Record(facts, ["tconv", "torch", "jax"], [result])
    assert "torch has no time for up: its output is not that of tconv" in table(record)
    assert record.as_json()["layers"][0]["errors"] == result.errors


def test_another_way_of_ours_that_is_wrong_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "Engine", Stub)
    monkeypatch.setattr(Stub, "wrong", [np.full(3, 2.1, np.float32)], raising=False)
    with (
        Turns(["tconv", "tconv-unprepared"], 1) as both,
        pytest.raises(TconvError, match="tconv-unprepared: its output is not that of tconv"),
    ):
        both.measure("up", Task(Geometry.parse("c1>1 i3 k2 s2")), 1, 0.001)


@pytest.mark.parametrize("when", ["load", "time"])
def test_a_peer_whose_process_ends_is_one_line(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started again, and the other engines are timed."""

    class Ending(Stub):
        wrong = (np.full(3, 2, np.float32),)
        restarted = 0

        def ask(self, **request: Any) -> dict[str, Any]:
            if self.name == "torch" and request["do"] == when and not self.restarted:
                raise TconvError("the process of engine 'torch' ended (exit code -11)")
            return super().ask(**request)

        def restart(self) -> None:
            self.restarted += 1

    monkeypatch.setattr(turns, "Engine", Ending)
    with Turns(["tconv", "torch", "jax"], 1) as three:
        first, second = (
            three.measure(name, Task(Geometry.parse("c1>1 i3 k2 s2")), 3, 0.001) for name in "ab"
        )
    assert first.errors == {"torch": "the process of engine 'torch' ended (exit code -11)"}
    assert set(first.seconds) == {"tconv", "jax"}
    assert set(second.seconds) == {"tconv", "torch", "jax"}


def test_an_engine_is_started_again() -> None:
    engine = turns.Engine("tconv", 1)
    try:
        engine._process.kill()
        with pytest.raises(TconvError, match=r"'tconv' ended \(exit code -9\)"):
            engine.ask(do="time", seconds=0, calls=None)
        engine.restart()
        assert "AssertionError" in engine.ask(do="time", seconds=0, calls=None)["error"]
    finally:
        engine.close()


def test_an_answer_that_is_close_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "Engine", Stub)
    monkeypatch.setattr(Stub, "wrong", [np.full(3, 2 + 4e-6, np.float32)], raising=False)
    with Turns(["tconv", "torch"], 1) as both:
        result = both.measure("up", Task(Geometry.parse("c1>1 i3 k2 s2")), 1, 0.001)
    assert result.notes["torch"] == "torch; within 2e-06 of the largest"
    facts = {"cpu": "c", "instruction_set": "i", "threads": 2, "dtype": "float32", "versions": {}}
    shown = table(Record(facts, ["tconv", "torch"], [result]))
    assert "torch: 1 outputs are not equal to ours, but within 2e-06 of the largest number" in shown
