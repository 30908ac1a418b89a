"""Shrinkage against minimisation by brute force, and where it turns to zero."""

from __future__ import annotations

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.nets.shrinkage import shrink, threshold

EXPONENTS = (0.5, 2 / 3, 0.8, 0.95, 1.0)


@pytest.mark.parametrize("weight", [0.3, 1.0, 16.0, 700.0])
@pytest.mark.parametrize("p", EXPONENTS)
def test_no_number_of_a_fine_grid_has_a_lower_cost(p: float, weight: float) -> None:
    limit = threshold(weight, p)
    values = np.concatenate([np.linspace(-4 * limit, 4 * limit, 121), [-1e3, 1e3, limit * (1 + 1e-9)]])
    found = shrink(values, weight, p)

    def cost(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return weight / 2 * (x - v) ** 2 + np.abs(x) ** p

    grid = np.linspace(0, 1, 20_001)  # the minimiser lies between 0 and v
    best = np.array([cost(grid * v, v).min() for v in values])
    assert (cost(found, values) <= best + 1e-12 * np.abs(best)).all()
    near = np.array([(grid * v)[np.argmin(cost(grid * v, v))] for v in values])
    clear = np.abs(np.abs(values) / limit - 1) > 1e-3  # at the threshold two minimisers have the same cost
    assert (np.abs(found - near)[clear] <= np.abs(values)[clear] / 19_000).all()


@pytest.mark.parametrize("p", EXPONENTS)
def test_the_minimiser_is_zero_up_to_the_threshold(p: float) -> None:
    limit = threshold(5.0, p)
    below, above = shrink(np.array([0.999 * limit, 1.001 * limit]), 5.0, p)
    assert below == 0
    assert above > 0
    assert np.array_equal(shrink(-np.array([limit * 1.001]), 5.0, p), [-above])


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_derivative_is_zero_at_the_minimiser(p: float, dtype: type) -> None:
    values = np.linspace(1, 50, 500, dtype=dtype) * dtype(threshold(2.0, p)) * dtype(1.0001)
    found = shrink(values, 2.0, p)
    assert found.dtype == dtype
    wide, x = values.astype(float), found.astype(float)
    slope = 2.0 * (x - wide) + p * x ** (p - 1)
    assert np.abs(slope / wide).max() < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize(("weight", "p"), [(1.0, 0.0), (1.0, 1.5), (0.0, 1.0), (float("nan"), 0.8)])
def test_what_has_no_minimiser_is_refused(weight: float, p: float) -> None:
    with pytest.raises(TconvError, match=r"p=|weight="):
        shrink(np.zeros(3), weight, p)
