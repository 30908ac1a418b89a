"""Every argument of every public function, with values of every other kind: an answer, or one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import Geometry, conventions
from tests.odd import ODD, refusals

G = Geometry.parse("n1 c2>2 i4x4 k4 s2 p1")
X, W, Y = np.ones((1, 2, 4, 4), "f4"), np.ones((2, 2, 4, 4), "f4"), np.ones((1, 2, 8, 8), "f4")
LAYER: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": 1, "groups": 1}
CALL: dict[str, Any] = {"activation": None, "layout": "channels_first", "algorithm": "auto"}
SIZES: dict[str, Any] = {
    "batch": 1, "in_channels": 2, "out_channels": 2, "kernel": (4, 4), "stride": (2, 2), "dilation": (1, 1),
    "groups": 1,
}  # fmt: skip
FILE: dict[str, Any] = {"problem": None, "layers": None, "input": None}
READ: dict[str, Any] = {"input": (4, 4), "channels": None, "batch": 1, "kernel": None, "reading": None}

#: Function -> arguments that it takes, each of which is exchanged for each odd value.
CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "conv": (
        tconv.conv,
        {"y": Y, "weight": W, "bias": None, **LAYER, **CALL, "input_size": None, "out": None},
    ),
    "conv_transpose": (
        tconv.conv_transpose,
        {
            "x": X,
            "weight": W,
            "bias": None,
            **LAYER,
            **CALL,
            "output_padding": 0,
            "output_size": None,
            "out": None,
        },
    ),
    "conv_weight_gradient": (
        tconv.conv_weight_gradient,
        {"x": X, "y": Y, "kernel": 4, **LAYER, "layout": "channels_first", "algorithm": "auto"},
    ),
    "prepare": (
        lambda **given: tconv.prepare(**given)(X),
        {
            "weight": W,
            "bias": None,
            "geometry": None,
            **LAYER,
            **CALL,
            "output_padding": 0,
            "output_size": None,
        },
    ),
    "plan": (
        tconv.plan,
        {
            "geometry": G,
            "map": "conv",
            "dtype": "f32",
            **CALL,
            "isa": None,
            "prepared": True,
            "measure": False,
        },
    ),
    "diagnose": (
        tconv.diagnose,
        {"what": G, "weight": W, **FILE, "skip": None, "tolerance": 0.01, "how": "gains"},
    ),
    "explain": (
        lambda **given: str(tconv.explain(**given)),
        {
            "geometry": G,
            "output": (1, 1),
            "input_cell": (1, 1),
            "values": ("ones", "count"),
            "only": "size,values",
        },
    ),
    "set_num_threads": (tconv.set_num_threads, {"count": 2}),
    "Geometry": (
        Geometry,
        {**SIZES, "input": (4, 4), "padding": ((1, 1), (1, 1)), "output_padding": (0, 0)},
    ),
    "Geometry.make": (
        Geometry.make,
        {**SIZES, "input": (4, 4), "padding": 1, "output_padding": 0, "output_size": None},
    ),
    "Geometry.for_output": (
        Geometry.for_output,
        {**SIZES, "output": (8, 8), "padding": 1, "input_size": None},
    ),
    "Geometry.parse": (Geometry.parse, {"text": "n1 c2>2 i4x4 k4"}),
    "conventions.write": (conventions.write, {"framework": "keras", "geometry": G}),
    "conventions.weight_to": (conventions.weight_to, {"framework": "onnx", "weight": W, "geometry": G}),
    "conventions.weight_from": (conventions.weight_from, {"framework": "onnx", "weight": W, "geometry": G}),
    "conventions.read": (
        conventions.read,
        {"framework": "pytorch", "call": "ConvTranspose2d(2, 2, 4, 2, 1)", **READ},
    ),
}
#: Public names that take no arguments, or whose arguments are made by the others.
WITHOUT = {"Layer", "TconvError", "empty_cache", "get_num_threads", "filters"}


def test_no_public_function_is_left_out() -> None:
    assert set(tconv.__all__) - WITHOUT <= set(CASES)
    assert {f"conventions.{name}" for name in ("read", "write", "weight_to", "weight_from")} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_odd_argument_is_answered_or_refused_in_one_line(name: str) -> None:
    call, given = CASES[name]
    threads = tconv.get_num_threads()
    refused, faults = refusals(call, given)
    tconv.set_num_threads(threads)
    assert faults == []
    assert refused > len(given) * len(ODD) // 3
