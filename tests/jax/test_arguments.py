"""Every argument of the functions on JAX arrays, with values of other kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tconv.jax
from tests.odd import MODEST, refusals

CALL: dict[str, Any] = {
    "weight": np.ones((2, 2, 4), "f4"), "bias": np.ones(2, "f4"), "stride": 2, "padding": 1, "dilation": 1,
    "groups": 1, "activation": "relu", "layout": "channels_first",
}  # fmt: skip
X, Y = np.ones((1, 2, 4), "f4"), np.ones((1, 2, 8), "f4")
CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "conv": (tconv.jax.conv, {"y": Y, **CALL, "input_size": None}),
    "conv_transpose": (
        tconv.jax.conv_transpose,
        {"x": X, **CALL, "output_padding": 0, "output_size": None},
    ),
}


def test_no_function_is_left_out() -> None:
    assert set(tconv.jax.__all__) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_odd_argument_is_answered_or_refused(name: str) -> None:
    call, given = CASES[name]
    refused, faults = refusals(call, given, MODEST)
    assert faults == []
    assert refused > 10 * len(given)
