"""The algorithm `col2im` over random problems and divisions: exact, and the same bits for any threads.

Also run by `make sanitize`: vectors read past the last position of a row, but never past the array.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest

from tconv import TconvError, _core
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, LAYOUTS, Candidate, Layout, isas
from tconv.planning.problem import problem_of
from tconv.testing import Arrays, assert_same
from tests.core.helpers import (
    DEFINITIONS,
    DTYPES,
    lanes,
    made,
    rounded,
    run,
    stored,
    values,
    whole_numbers,
    with_box,
)


def drawn(draw: random.Random) -> Geometry:
    """Few outputs out of more inputs, on one to three axes, strided, dilated, cropped, in groups."""
    while True:
        axes, groups = draw.randint(1, 3), draw.choice([1, 1, 1, 2, 3])

        def sizes(most: int, axes: int = axes) -> str:
            return "x".join(str(draw.randint(1, most)) for _ in range(axes))

        channels = [groups * draw.randint(2, 20), groups * draw.randint(1, 6)]
        text = f"n{draw.choice([1, 1, 2, 3])} c{channels[0]}>{channels[1]} i{sizes((60, 12, 6)[axes - 1])}"
        text += f" k{sizes((9, 5, 3)[axes - 1])} s{sizes(4)} d{sizes(2)} g{groups}"
        try:
            return Geometry.parse(f"{text} p{draw.randint(-1, 3)}:{draw.randint(0, 3)}")
        except TconvError:  # nothing would be left of the output
            continue


def plans(geometry: Geometry, isa: str, code: str, layout: Layout) -> list[Candidate]:
    return ALGORITHMS["col2im"].candidates(problem_of(geometry), "conv_transpose", code, isa, layout)


@pytest.mark.parametrize("seed", range(12))
def test_any_problem_in_any_division_is_the_definition(seed: int) -> None:
    draw = random.Random(seed)
    geometry = drawn(draw)
    for code in DTYPES:
        whole = whole_numbers(geometry, code)
        arrays = Arrays(*(stored(code, array) for array in whole))
        expected = rounded(code, DEFINITIONS["conv_transpose"](whole, geometry))
        for isa, layout in itertools.product(isas(), LAYOUTS):
            found = plans(geometry, isa, code, layout)
            for candidate in draw.sample(found, min(3, len(found))):
                part = candidate.part
                odd = candidate._replace(
                    part=part.replace(
                        positions=draw.randint(1, part.positions), depth=draw.randint(1, part.depth)
                    )
                )
                for one in (candidate, with_box(odd, lambda size: draw.randint(1, size))):
                    chosen = made(geometry, "conv_transpose", isa, one, code, layout)
                    assert_same(values(code, run(chosen, arrays)), expected)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("code", DTYPES)
def test_rows_around_vectors(isa: str, code: str) -> None:
    """Vectors of sums collect their terms from rows of up to four vectors, four channels at a time."""
    draw = random.Random(code)
    width = _core.instruction_sets()[isa]["f64" if code == "f64" else "f32"]["lanes"]
    for size in (1, width - 1, width, width + 1, 2 * width + 1, 4 * width, 4 * width + 1):
        stride, channels = draw.randint(1, 3), draw.randint(1, 9)
        geometry = Geometry.parse(f"c5>{channels} i3x{size} k3x{draw.randint(1, 5)} s{stride} p1x0")
        whole = whole_numbers(geometry, code)
        expected = rounded(code, DEFINITIONS["conv_transpose"](whole, geometry))
        arrays = Arrays(*(stored(code, array) for array in whole))
        found = [
            one for one in plans(geometry, isa, code, "channels_first") if one.part.lanes.name == "positions"
        ]
        for one in draw.sample(found, 3):
            cut = one._replace(part=one.part.replace(positions=draw.randint(1, 2) * size))
            for each in (one, cut):
                chosen = made(geometry, "conv_transpose", isa, each, code, "channels_first")
                assert_same(values(code, run(chosen, arrays)), expected)


@pytest.fixture
def own_threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("seed", range(6))
def test_bits_depend_neither_on_threads_nor_on_how_often_they_steal(seed: int) -> None:
    """On real numbers, where rows are shared by many boxes."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    text = ("n2 c40>3 i30x9 k7 s2 p2", "c19>2 i12x5x7 k4 s1x3x1", "n3 c33>4 i900 k5 s2 g1")[seed % 3]
    geometry = Geometry.parse(text)
    shapes = (geometry.input_shape, geometry.weight_shape, (geometry.out_channels,), geometry.output_shape)
    arrays = Arrays(*(rng.standard_normal(shape, np.float32) for shape in shapes))
    seen = set()
    for candidate in plans(geometry, isas()[0], "f32", "channels_first"):
        cut = with_box(candidate, lambda size: draw.randint(1, -(-size // 2)))
        chosen = made(geometry, "conv_transpose", isas()[0], cut)
        seen.add((lanes(chosen), chosen.runner.shared_bytes > 0))
        _core.set_num_threads(1)
        alone = run(chosen, arrays, arrays.bias).tobytes()
        for threads in (2, 3, 7):
            _core.set_num_threads(threads)
            assert run(chosen, arrays, arrays.bias).tobytes() == alone
    assert {(kind, geometry.axes > 1) for kind in ("positions", "taps")} <= seen


def test_a_batch_item_does_not_change_with_its_neighbours() -> None:
    """Nor a row of the output with the rows of the input that it does not see."""
    geometry, one = Geometry.parse("n3 c24>2 i40x11 k3 s2"), Geometry.parse("c24>2 i40x11 k3 s2")
    rng = np.random.default_rng(1)
    shapes = (geometry.input_shape, geometry.weight_shape, (2,), geometry.output_shape)
    arrays = Arrays(*(rng.standard_normal(shape, np.float32) for shape in shapes))
    spoiled = arrays.x[1:2].copy()
    spoiled[:, :, 20:] = np.nan
    for candidate in plans(geometry, isas()[0], "f32", "channels_first"):
        whole = run(made(geometry, "conv_transpose", isas()[0], candidate), arrays)
        alone = made(one, "conv_transpose", isas()[0], with_box(candidate, lambda size: size))
        kept = run(alone, arrays._replace(x=arrays.x[1:2].copy(), y=arrays.y[1:2]))
        assert_same(whole[1:2], kept)
        assert_same(run(alone, arrays._replace(x=spoiled, y=arrays.y[1:2]))[:, :, :40], kept[:, :, :40])
