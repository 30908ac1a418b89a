"""Plans: what they print, how much memory they need, which names they know."""

from __future__ import annotations

import itertools
import random
from math import prod

import numpy as np
import pytest

import tconv
from tconv import TconvError
from tconv.geometry import Geometry
from tconv.ops.call_cache import Options, planned_call
from tconv.planning import LAYOUTS, MapName, isas, plan
from tconv.planning.kinds import default_record
from tconv.planning.problem import MAPS
from tests.core.helpers import CASES, candidates, made


def test_plans_say_what_they_do() -> None:
    geometry = Geometry.parse("n1 c256>64 i64x64 k4 s2 p1")
    chosen = plan(geometry, activation="relu", algorithm="phases", isa="baseline")
    shown = repr(chosen)
    assert "n1 c256>64 i64x64 k4 s2 p1" in shown
    assert chosen.kernel.startswith("f32_phases_")
    assert chosen.kernel.endswith("__baseline")
    assert chosen.kernel in shown
    assert f"{chosen.runner.workspace_bytes:,} B workspace" in shown
    assert "268,435,456 nominal" not in shown
    assert f"{256 * 64 * 64 * 64 * 16:,} nominal" in shown


def drawn(draw: random.Random) -> Geometry:
    """Any geometry up to the size of the largest layers of published networks, on one to three axes."""
    while True:
        axes, groups = draw.randint(1, 3), draw.choice([1, 1, 1, 2, 7, 64])
        far = (4096, 512, 64)[axes - 1]

        def sizes(most: int, axes: int = axes) -> str:
            return "x".join(str(int(most ** draw.random())) for _ in range(axes))

        channels = [groups * int(2048 ** draw.random()) for _ in range(2)]
        text = f"n{draw.choice([1, 1, 3, 64])} c{channels[0]}>{channels[1]} i{sizes(far)} k{sizes(64)}"
        text += f" s{sizes(32)} d{sizes(4)} g{groups} p{draw.randint(-2, 8)}:{draw.randint(0, 4)}"
        try:
            return Geometry.parse(text)
        except TconvError:  # nothing would be left of the output
            continue


def test_workspace_of_the_cases_stays_small() -> None:
    for _, geometry in CASES:
        for map, layout, dtype in itertools.product(MAPS, LAYOUTS, ("f32", "bf16", "c64")):
            assert plan(geometry, map, layout=layout, dtype=dtype).runner.workspace_bytes <= 8 << 20


def cell_bytes(geometry: Geometry, map: MapName) -> int:
    """Memory of what one cell reads, all channels in three parts and blocks of 32, and of its sums."""
    channels = geometry.in_channels if map == "conv_transpose" else geometry.out_channels
    reach = [d * (k - 1) + 1 for k, d in zip(geometry.kernel, geometry.dilation, strict=True)]
    sums = 1
    if map == "conv_transpose":
        reach = [-(-r // s) + 1 for r, s in zip(reach, geometry.stride, strict=True)]
        sums = prod(max(k, s) for k, s in zip(geometry.kernel, geometry.stride, strict=True))
    return -(-channels // geometry.groups // 32) * 32 * prod(reach) * 6 + sums * 48 * 4


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("seed", range(8))
def test_workspace_stays_small(map: MapName, seed: int) -> None:
    """8 MiB per thread, whichever plan is chosen, and 16 MiB of partial gradients besides the gradient.

    More may be needed where a single cell's part is large.
    """
    draw = random.Random(seed)
    small = 0
    for isa in isas():
        for _ in range(100):
            geometry = drawn(draw)
            if map == "weight_gradient":
                for candidate in candidates(geometry, map, isa):
                    runner = made(geometry, map, isa, candidate).runner
                    assert runner.workspace_bytes <= 8 << 20, geometry
                    assert runner.shared_bytes <= 16 << 20, geometry
            elif cell_bytes(geometry, map) > 1 << 20:
                continue
            small += 1
            assert plan(geometry, map, isa=isa).runner.workspace_bytes <= 8 << 20, geometry
    assert small > 100


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"algorithm": "fft"}, "'fft'"),
        ({"map": "deconvolve"}, "'deconvolve'"),
        ({"dtype": "f8"}, "'f8'"),
        ({"isa": "mmx"}, "'mmx'"),
        ({"activation": "selu"}, "'selu'"),
        ({"activation": ("clamp", 2, 1)}, "lower bound"),
        ({"activation": ("clamp", "0", "6")}, "needs numbers"),
        ({"activation": 3}, "activation=3"),
        ({"activation": ()}, r"activation=\(\)"),
        ({"activation": {}}, "activation={}"),
        ({"activation": "relu", "dtype": "i32"}, "i32"),
        ({"algorithm": "phases", "dtype": "i32"}, "phases"),
    ],
)
def test_unknown_words_are_named(words: dict[str, object], named: str) -> None:
    with pytest.raises(TconvError, match=named):
        plan(Geometry.parse("c1>1 i4 k2"), **words)


def test_packing_counts_where_it_is_done_at_every_call() -> None:
    g = Geometry.parse("n1 c512>256 i12x12 k4 s2 p1")
    always = plan(g, isa="baseline", prepared=False)
    for name, per_weight in (
        ("phases", default_record("baseline").pack_phases),
        ("col2im", default_record("baseline").pack_col2im),
    ):
        once, every = (plan(g, isa="baseline", algorithm=name, prepared=when) for when in (True, False))
        assert every.cost - once.cost == pytest.approx(prod(g.weight_shape) * per_weight)
        assert every.cost >= always.cost
    # The calls ask for the one and the other.
    layer = tconv.prepare(np.zeros(g.weight_shape, np.float32), stride=2, padding=1)
    asked = planned_call("conv_transpose", "f32", g.input_shape, g.weight_shape, Options(stride=2, padding=1))
    assert layer.plan_for(g.input_shape).cost == plan(g).cost
    assert asked.plan.cost == plan(g, prepared=False).cost > plan(g).cost
