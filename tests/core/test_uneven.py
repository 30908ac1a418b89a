"""Stacked phases of different taps: zeros take the place of taps that a phase lacks.

Also run by `make sanitize`, with matrix registers emulated.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from math import gcd, prod

import numpy as np
import pytest

from tconv import TconvError, _core
from tconv.geometry import Geometry
from tconv.planning import LAYOUTS, Candidate, Layout, isas
from tconv.planning.cost import machine
from tconv.planning.lattice import Lattice
from tconv.planning.problem import problem_of
from tconv.testing import Arrays, assert_same
from tests.core.helpers import (
    DEFINITIONS,
    DTYPES,
    candidates,
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
    """A small layer of few outputs, some of whose axes have a kernel that is no multiple of the stride."""
    while True:
        axes = draw.choice([1, 1, 2, 2, 2, 3])
        each = [draw.randint(1, [40, 9, 5][axes - 1]) for _ in range(axes)]
        kernels = [draw.choice([1, 2, 3, 3, 4, 5, 7, 9][: 10 - 2 * axes]) for _ in range(axes)]
        strides = [draw.choice([1, 2, 2, 2, 3, 4, 5][: 9 - 2 * axes]) for _ in range(axes)]
        dilations = [draw.choice([1, 2]) if stride == 1 else 1 for stride in strides]
        padding = [f"{draw.randint(-2, k)}:{draw.randint(-2, k)}" for k in kernels]
        more = [draw.randint(0, max(s, d) - 1) for s, d in zip(strides, dilations, strict=True)]
        groups = draw.choice([1, 1, 1, 2, 3])
        channels = f"{groups * draw.randint(1, 9)}>{groups * draw.randint(1, 3)}"
        words = {"i": each, "k": kernels, "s": strides, "p": padding, "o": more, "d": dilations}
        sizes = " ".join(name + "x".join(map(str, of)) for name, of in words.items())
        try:
            geometry = Geometry.parse(f"n{draw.randint(1, 3)} c{channels} {sizes} g{groups}")
        except TconvError:
            continue  # cropped to nothing
        if any(k % s for k, s in zip(kernels, strides, strict=True)):
            return geometry


def stacked(geometry: Geometry, isa: str, layout: Layout, code: str = "f32") -> list[Candidate]:
    """Candidates that stack phases."""
    return [
        candidate
        for candidate in candidates(geometry, "conv_transpose", isa, layout, code)
        if getattr(getattr(candidate.part, "lanes", None), "name", "") == "stacked"
    ]


def with_fewer_channels(candidate: Candidate, geometry: Geometry, draw: random.Random) -> Candidate:
    """Tasks of other sizes: whole channels that end with a tile."""
    part = candidate.part
    assert isinstance(part, _core.PhasesPlan)
    if part.groups > 1:
        return candidate
    phases = prod(problem_of(geometry).stride)
    unit = part.rows // gcd(part.rows, phases)
    most = -(-geometry.out_channels // geometry.groups // unit)
    return candidate._replace(part=part.replace(channels=unit * draw.randint(1, most)))


@pytest.mark.parametrize("seed", range(40))
def test_every_stacked_plan_is_the_definition(seed: int) -> None:
    draw = random.Random(seed)
    geometry = drawn(draw)
    code = draw.choice([*DTYPES])
    whole = whole_numbers(geometry, code)
    arrays = Arrays(*(stored(code, array) for array in whole))
    expected = rounded(code, DEFINITIONS["conv_transpose"](whole, geometry))
    count = 0
    for isa, layout in itertools.product(isas(), LAYOUTS):
        for candidate in stacked(geometry, isa, layout, code):
            cut = with_box(with_fewer_channels(candidate, geometry, draw), lambda size: draw.randint(1, size))
            for one in (candidate, cut):
                chosen = made(geometry, "conv_transpose", isa, one, code, layout)
                assert_same(values(code, run(chosen, arrays)), expected)
                count += 1
    # An axis of one input has no stride; complex channels count twice.
    assert count or code[0] == "c" or prod(problem_of(geometry).stride) == 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("code", ["f32", "f64", "f16", "bf16"])
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_zeros_make_no_nan_of_infinities(code: str, seed: int) -> None:
    """Where all weights are 1 and one input is infinite, the outputs that it reaches are infinite."""
    draw = random.Random(seed)
    geometry = drawn(draw)
    whole = whole_numbers(geometry, code)
    whole.x[...], whole.weight[...] = 1, 1
    finite = DEFINITIONS["conv_transpose"](whole, geometry)
    where = tuple(draw.randrange(size) for size in geometry.input_shape)
    whole.x[where] = 1000.0
    reached = DEFINITIONS["conv_transpose"](whole, geometry) != finite
    whole.x[where] = np.inf
    arrays = Arrays(*(stored(code, array) for array in whole))
    expected = rounded(code, np.where(reached, np.inf, finite))
    for isa, layout in itertools.product(isas(), LAYOUTS):
        for candidate in stacked(geometry, isa, layout, code):
            for one in (candidate, with_box(candidate, lambda size: draw.randint(1, size))):
                chosen = made(geometry, "conv_transpose", isa, one, code, layout)
                assert_same(values(code, run(chosen, arrays)), expected)


@pytest.fixture
def own_threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize(
    "text", ["n2 c19>3 i60x61 k5 s2 p2 o1", "c40>1 i3000 k11 s5 p3", "n3 c8>6 i9x30x20 k3 s2 p1 g2"]
)
def test_same_bits_for_any_number_of_threads(text: str) -> None:
    geometry = Geometry.parse(text)
    rng = np.random.default_rng(7)
    shapes = (geometry.input_shape, geometry.weight_shape)
    x, weight = (rng.standard_normal(shape, np.float32) for shape in shapes)
    x.flat[1000] = np.inf  # some boxes are computed twice
    arrays = Arrays(x, weight, np.zeros(1, np.float32), np.zeros(1, np.float32))
    for isa, layout in itertools.product(isas(), LAYOUTS):
        for candidate in stacked(geometry, isa, layout):
            chosen = made(geometry, "conv_transpose", isa, candidate, layout=layout)
            _core.set_num_threads(1)
            alone = run(chosen, arrays).tobytes()
            for threads in (2, 3, 7):
                _core.set_num_threads(threads)
                assert run(chosen, arrays).tobytes() == alone


def test_the_lattice_has_no_more_cells_and_distances_than_it_needs() -> None:
    """Against every alignment of cells: the distances that some phase reads, and the cells of the output."""
    for s, k, lo, o in itertools.product((1, 2, 3, 5), range(1, 10), range(-3, 7), (1, 2, 5, 11)):
        i = 4
        least = []
        for skip in range(s):  # indices of the first cell before the first output
            cells = {(u + skip) // s for u in range(o)}
            distances = {
                (full - tap) // s
                for full in range(lo - skip, lo - skip + s)
                for tap in range(k)
                if (full - tap) % s == 0
            }
            least.append((len(distances), len(cells)))
        problem = _core.Problem(
            **{"batch": 1, "groups": 1, "in_channels": 1, "out_channels": 1, "input": (1, 1, i)},
            **{"output": (1, 1, o), "kernel": (1, 1, k), "stride": (1, 1, s), "dilation": (1, 1, 1)},
            lo=(0, 0, lo),
        )
        axis = Lattice(problem, "conv_transpose", True, 4).axes[2]
        assert (axis.distances, axis.cells) == min(least)
        assert sum(taps for taps, *_ in axis.shares) == axis.distances
        assert sum(taps * (end - begin) for taps, begin, end in axis.shares) == k


@pytest.mark.parametrize("text", ["c5>1 i9x9 k9 s2 p4 o1", "c5>3 i6x7x5 k3 s2 p1", "c5>4 i40 k7 s3 p1"])
def test_the_estimate_counts_what_is_multiplied(text: str) -> None:
    """Each row at most once for each tap, and no fewer products than the phases have; weights with zeros."""
    geometry = Geometry.parse(text)
    problem = problem_of(geometry)
    lattice = Lattice(problem, "conv_transpose", True, 4)
    distances = prod(axis.distances for axis in lattice.axes)
    for height in range(1, lattice.target * lattice.phases + 1):
        products = sum(rows * taps for rows, taps in lattice.strips(height))
        assert lattice.target * prod(geometry.kernel) <= products
        assert products <= lattice.target * lattice.phases * distances
        assert (height > 1) or products == lattice.target * prod(geometry.kernel)
    for isa in isas():
        for candidate in stacked(geometry, isa, "channels_first"):
            part = candidate.part
            assert isinstance(part, _core.PhasesPlan)
            if not part.parts:
                chosen = made(geometry, "conv_transpose", isa, candidate)
                count = lattice.target * lattice.phases * lattice.depth * distances
                assert chosen.runner.packed_bytes == 4 * (count + 1)


def test_few_outputs_are_stacked() -> None:
    """FSRCNN's last layer: 1 row otherwise, in tiles limited by loads. `col2im` may be as cheap."""
    for isa in isas():
        if machine(isa, "f32").lanes > 4:
            geometry = Geometry.parse("n1 c56>1 i180x180 k9 s2 p4 o1")
            found = candidates(geometry, "conv_transpose", isa)
            phases = [one for one in found if isinstance(one.part, _core.PhasesPlan)]
            cheapest = min(phases, key=lambda one: one.cost)
            assert lanes(made(geometry, "conv_transpose", isa, cheapest)) == "stacked"
