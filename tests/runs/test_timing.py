"""Rivals take turns, and the median counts; the clock is the test's."""

from __future__ import annotations

import pytest

from tconv.runs import timing


def test_rivals_take_turns_and_the_first_two_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = 0.0, []
    spent = {"a": [100, 100, 1, 5, 2], "b": [7, 7, 3, 3, 90]}

    def rival(name: str) -> object:
        def act(number: int) -> None:
            nonlocal now
            calls.append((name, number))
            now += spent[name][number]

        return act

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    found = timing.in_turns({name: rival(name) for name in spent}, rounds=3)  # type: ignore[misc]
    assert found == {"a": 2, "b": 3}
    assert calls == [(name, number) for number in range(5) for name in "ab"]
