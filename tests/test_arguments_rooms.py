"""Every argument of the rooms' public functions, with values of every other kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tconv import Geometry, TconvError, drawing, scipy, testing, views
from tests.odd import ODD, refusals

G = Geometry.parse("n1 c2>2 i4x4 k4 s2 p1")
X, W, Y = np.ones((1, 2, 4, 4)), np.ones((2, 2, 4, 4)), np.ones((1, 2, 8, 8))
VIEW: dict[str, Any] = {"x": X, "weight": W, "geometry": G}
PICTURE = drawing.draw(Geometry.parse("n1 c1>1 i2 k2"))
MOVING = drawing.draw(Geometry.parse("n1 c1>1 i2 k2"), animated=True)
ONE = Geometry.parse("n1 c1>1 i2 k2")

#: Room -> function -> arguments that it takes.
CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    **{f"views.{name}": (view, VIEW) for name, view in views.VIEWS.items()},
    "views.gather": (views.gather, {"y": Y, "weight": W, "geometry": G}),
    "views.correlate": (views.correlate, {"x": X, "y": Y, "geometry": G}),
    "views.triplets": (views.triplets, {"kernel": W[0, 0], "geometry": G}),
    "views.apply_triplets": (
        views.apply_triplets,
        {"transposed": views.triplets(W[0, 0], G), "vector": X[0, 0].ravel(), "size": 64},
    ),
    "drawing.draw": (drawing.draw, {"geometry": G, "view": "filter", "weights": W, "animated": False}),
    "drawing.svg": (drawing.svg, {"picture": PICTURE, "theme": "dark"}),
    "drawing.png": (drawing.png, {"picture": PICTURE, "theme": "dark", "scale": 1.0}),
    "drawing.gif": (drawing.gif, {"picture": MOVING, "theme": "dark", "scale": 1.0}),
    "drawing.load": (drawing.load, {"name": "bilinear", "geometry": G}),
    "scipy.linear_operator": (scipy.linear_operator, {"weight": W, "geometry": G}),
    "scipy.deconvolve": (
        scipy.deconvolve,
        {
            "z": X, "weight": W, "geometry": G, "damp": 0.1, "iterations": 2, "atol": 1e-6, "btol": 1e-6,
            "conlim": 1e8, "start": None,
        },
    ),
    "testing.read_cases": (testing.read_cases, {"text": "up n1 c1>1 i3 k2"}),
    "testing.integer_arrays": (testing.integer_arrays, {"geometry": G, "dtype": "f4", "seed": 0}),
}  # fmt: skip
#: What functions return, tables, and what takes no arguments.
WITHOUT = {
    "views": {"VIEWS"},
    "drawing": {"THEMES", "VIEWS", "Picture", "Theme", "View"},
    "scipy": {"Deconvolved"},
    "testing": {"Arrays", "load_cases", "assert_same"},
}
ROOMS = {"views": views, "drawing": drawing, "scipy": scipy, "testing": testing}


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_left_out(room: str) -> None:
    named = {name.removeprefix(f"{room}.") for name in CASES if name.startswith(f"{room}.")}
    assert set(ROOMS[room].__all__) - WITHOUT[room] == named


@pytest.mark.parametrize("name", CASES)
def test_an_odd_argument_is_answered_or_refused(name: str) -> None:
    call, given = CASES[name]
    refused, faults = refusals(call, given)
    assert faults == []
    assert refused > 10 * len(given)


def test_arrays_of_whatever_kind_are_compared() -> None:
    for actual in ODD:
        for expected in (actual, np.ones(2)):
            with contextlib.suppress(AssertionError, TconvError):
                testing.assert_same(actual, expected)
