"""Verdicts under synthetic loads: a wrong one is never given. Time is a clock that the sides advance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from math import inf

import pytest

from tconv.timing import CHANCE, EVEN, FASTER, LOOKS, NOISY, SCREENING, SLOWER, Paired, Side, in_turns

Load = Callable[[random.Random], float]

#: Name -> the factor by which a call takes longer.
LOADS: dict[str, Load] = {
    "one side at random": lambda rng: 1 + rng.choice([0.0, rng.expovariate(0.5)]),
    "the same each time": lambda rng: rng.choice([1.0, 3.0]),
    "seldom": lambda rng: rng.choice([1.0] * 9 + [10.0]),
    "always": lambda rng: 0.1 + rng.expovariate(1),
    "a few percent": lambda rng: 1 + rng.gauss(0, 0.02),
    "none": lambda rng: 1.0,
}


def run(before: float, after: float, load: Load, seed: int, seconds: float = 1e6) -> Paired:
    rng, now = random.Random(seed), [0.0]

    def side(takes: float) -> Side:
        def call() -> None:
            now[0] += takes * load(rng)

        return (lambda: None), call

    return Paired(*in_turns([side(before), side(after)], seconds, clock=lambda: now[0]))


def wrong(ratio: float) -> set[str]:
    """The verdicts that contradict the true ratio."""
    is_wrong = {FASTER: ratio <= 1, SLOWER: ratio >= 1, EVEN: not 1 / 1.15 < ratio < 1.15}
    return {verdict for verdict, said in is_wrong.items() if said}


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("ratio", [1.0, 1.2, 2.0, 0.8])
def test_a_load_never_flips_a_verdict(name: str, ratio: float) -> None:
    found = Counter(run(ratio, 1.0, LOADS[name], seed).verdict() for seed in range(1000))
    assert not wrong(ratio) & found.keys(), found


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_a_load_on_one_side_of_each_turn_never_flips_a_verdict(ratio: float) -> None:
    """Exactly one of both is hit, which one is chance."""
    for seed in range(1000):
        rng = random.Random(seed)
        hits = [rng.random() < 0.5 for _ in range(LOOKS[-1])]
        factors = [1 + rng.expovariate(0.3) for _ in hits]
        before = [ratio * (f if hit else 1.0) for hit, f in zip(hits, factors, strict=True)]
        after = [1.0 if hit else f for hit, f in zip(hits, factors, strict=True)]
        for turns in LOOKS:
            assert Paired(before[:turns], after[:turns]).verdict() not in wrong(ratio)


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.0), (1.0, 2.0), (3.0, 1.0)])
@pytest.mark.parametrize("others", [3, 10])
def test_a_scheduler_never_flips_a_verdict(before: float, after: float, others: int) -> None:
    """Other programs run for some slices after each of ours, also while the length of a turn is chosen."""
    found: Counter[str] = Counter()
    for seed in range(100):
        rng = random.Random(seed)
        now, left = [0.0], [rng.uniform(0, 3e-3)]

        def side(takes: float, now=now, left=left, rng=rng) -> Side:  # type: ignore[no-untyped-def]
            def call() -> None:
                needed = takes
                while needed > left[0]:
                    now[0] += left[0] + 3e-3 * rng.randint(0, others)
                    needed -= left[0]
                    left[0] = 3e-3
                left[0] -= needed
                now[0] += needed

            return (lambda: None), call

        times = in_turns([side(before * 3e-4), side(after * 3e-4)], 1e6, clock=lambda now=now: now[0])  # type: ignore[misc]
        found[Paired(*times).verdict()] += 1
    assert not wrong(before / after) & found.keys(), found


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, EVEN), (1.2, FASTER), (0.8, SLOWER), (1.03, EVEN)])
def test_a_quiet_machine_gives_a_verdict_at_once(ratio: float, verdict: str) -> None:
    timed = run(ratio, 1.0, LOADS["none"], 0)
    assert (timed.verdict(), len(timed.before)) == (verdict, LOOKS[0])
    assert timed.ratio == pytest.approx(ratio)


def test_a_difference_shows_through_a_load_that_is_seldom() -> None:
    found = Counter(run(2.0, 1.0, LOADS["seldom"], seed).verdict() for seed in range(200))
    assert found[FASTER] > 150


def test_each_turn_has_both_and_every_order() -> None:
    seen: list[str] = []
    now = [0.0]

    def side(name: str) -> Side:
        def call() -> None:
            now[0] += 1.0
            seen.append(name)

        return (lambda: None), call

    for names in ("ab", "abc"):
        seen.clear()
        times = in_turns([side(name) for name in names], 1e6, clock=lambda: now[0])
        assert [len(each) for each in times] == [LOOKS[0]] * len(names)
        turns = ["".join(seen[i : i + len(names)]) for i in range(len(names), len(seen), len(names))]
        assert all(sorted(turn) == list(names) for turn in turns)
        orders = Counter(turns)
        assert len(orders) == {"ab": 2, "abc": 6}[names]
        assert max(orders.values()) - min(orders.values()) <= 1


def test_short_calls_are_repeated_within_a_turn_and_warmed_up_before() -> None:
    now, calls, prepared = [0.0], [0], [0]

    def prepare() -> None:
        prepared[0] += 1

    def call() -> None:
        calls[0] += 1
        now[0] += 1e-3

    times = in_turns([(prepare, call), (prepare, call)], 1e6, clock=lambda: now[0])
    assert prepared[0] == 2 + 2 * LOOKS[0]
    assert calls[0] == 2 * 2 + 2 * LOOKS[0] * (1 + 10)
    assert times[0] == pytest.approx([1e-3] * LOOKS[0])


@pytest.mark.parametrize("takes", [1e-4, 0.03, 0.5, 1.0, 7.0, 500.0])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 10.0, 100.0])
@pytest.mark.parametrize("known", [False, True])
def test_the_seconds_are_kept(takes: float, seconds: float, known: bool) -> None:
    now, rng = [0.0], random.Random(0)

    def call() -> None:
        now[0] += takes * rng.choice([1.0, 5.0])

    expected = takes if known else 0.0
    times = in_turns([(lambda: None, call)] * 2, seconds, expected=expected, clock=lambda: now[0])
    assert now[0] <= seconds + 2 * 5 * takes * (1 + max(1, 0.01 / takes))
    if seconds < 18 * 2 * takes:
        assert times == [[], []]
        assert now[0] <= 2 * 5 * takes * (not (known or not seconds))


def test_sides_of_very_different_length_keep_to_the_seconds() -> None:
    now, count = [0.0], [0, 0]

    def side(number: int, takes: float) -> Side:
        def call() -> None:
            now[0] += takes
            count[number] += 1

        return (lambda: None), call

    times = in_turns([side(0, 1e-6), side(1, 0.05)], 5.0, clock=lambda: now[0])
    assert [len(each) for each in times] == [LOOKS[0]] * 2
    assert count[0] == count[1]
    assert now[0] < 5


def test_what_there_is_to_say_of_times() -> None:
    timed = Paired([4.0, 9.0, 2.0, 5.0], [1.0, 8.0, 4.0, 4.0])
    assert timed.ratios == [4.0, 1.125, 0.5, 1.25]
    assert (timed.turn, timed.ratio, timed.low, timed.high) == (1, 1.125, 0.5, 4.0)
    assert timed.scattered
    assert str(timed) == "1.12 times as fast (0.50 to 4.00 in half of 4 turns)"
    assert not Paired([1.0, 1.2], [1.0, 1.0]).scattered
    assert Paired([1.0], [0.0]).ratio < inf  # a clock may stand still


@pytest.mark.parametrize(
    ("against", "turns", "chance", "verdict"),
    [
        (0, 17, CHANCE, NOISY),
        (0, 18, CHANCE, FASTER),
        (1, 18, CHANCE, NOISY),
        (1, 25, CHANCE, FASTER),
        (2, 25, CHANCE, NOISY),
        (0, 6, SCREENING, NOISY),
        (0, 7, SCREENING, FASTER),
        (1, 7, SCREENING, NOISY),
        (1, 11, SCREENING, FASTER),
        (0, 0, CHANCE, NOISY),
    ],
)
def test_how_many_turns_may_contradict(against: int, turns: int, chance: float, verdict: str) -> None:
    """By the binomial distribution, as computed by hand: 2^-18 is below 1 in 250,000, 19 * 2^-18 is not."""
    before, after = [2.0] * (turns - against) + [1.0] * against, [1.0] * (turns - against) + [2.0] * against
    assert Paired(before, after).verdict(chance) == verdict
    opposite = {FASTER: SLOWER}.get(verdict, verdict)
    assert Paired(after, before).verdict(chance) == opposite
