"""The bits of an output do not depend on the number of threads: random layers and plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from tconv import _core
from tconv.planning import LAYOUTS, MapName, isas
from tconv.planning.problem import MAPS
from tconv.testing import Arrays
from tests.core.helpers import candidates, made, run, stored, with_box
from tests.soak.values import geometry

LAYERS = 20
CODES = ("f32", "f32", "f64", "bf16", "f16", "c64")


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("map", MAPS)
def test_same_bits_for_1_2_3_and_7_threads(map: MapName, isa: str) -> None:
    """Real numbers, where another order of summation shows; boxes are small, so that there are many tasks."""
    several = 0
    for layer in range(LAYERS):
        random = np.random.default_rng([31, layer])
        g, code, layout = geometry(random), CODES[layer % len(CODES)], LAYOUTS[layer % 2]
        options = candidates(g, map, isa, layout, code)
        if not options:
            continue
        option = with_box(options[random.integers(len(options))], lambda n: -(-n // 3))
        chosen = made(g, map, isa, option, code, layout)
        chosen = dataclasses.replace(chosen, core=chosen.core.replace(most_threads=1024))
        shapes = (g.input_shape, g.weight_shape, (g.out_channels,), g.output_shape)
        numbers = (random.standard_normal(shape) for shape in shapes)
        arrays = Arrays(*(stored(code, array) for array in numbers))
        made_by = {}
        for threads in (1, 2, 3, 7):
            _core.set_num_threads(threads)
            made_by[threads] = run(chosen, arrays).tobytes()
        assert len(set(made_by.values())) == 1, chosen
        several += 1
    assert several >= LAYERS // 2
