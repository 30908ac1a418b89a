"""Helpers for tests of the engine: definitions, arrays of every dtype, runs of a plan, all candidates."""

from __future__ import annotations

from typing import Any

import numpy as np

from tconv import views
from tconv._core import WinogradPlan
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, Activation, Candidate, Layout, MapName, Plan
from tconv.planning.problem import problem_of
from tconv.testing import Arrays, integer_arrays, load_cases

CASES = load_cases()
#: bfloat16 is unknown to NumPy: its bits travel as uint16.
DTYPES = {
    **{"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16},
    **{"c64": np.complex64, "c128": np.complex128},
}
DEFINITIONS = {
    "conv_transpose": lambda a, g: views.scatter(a.x, a.weight, g),
    "conv": lambda a, g: views.gather(a.y, a.weight, g),
    "weight_gradient": lambda a, g: views.correlate(a.x, a.y, g),
}


def rounded(code: str, numbers: np.ndarray) -> np.ndarray:
    """Numbers rounded to a dtype, to nearest, ties to even; bfloat16 as float32."""
    if code != "bf16":
        with np.errstate(over="ignore"):
            return numbers.astype(DTYPES[code])
    wide = numbers.astype(np.float64)
    step = np.ldexp(1.0, np.maximum(np.frexp(wide)[1], -125) - 8)  # of 8 bits; the least normal one is 2^-126
    kept = np.where(np.isfinite(wide), np.rint(wide / step) * step, wide)
    return np.where(abs(kept) >= 2.0**128, np.copysign(np.inf, kept), kept).astype(np.float32)


def whole_numbers(geometry: Geometry, code: str) -> Arrays:
    """Small integers, complex where the dtype is."""
    return integer_arrays(geometry, np.complex128 if code[0] == "c" else np.float64)


def stored(code: str, numbers: np.ndarray) -> np.ndarray:
    """Numbers in the dtype that the engine takes."""
    values = rounded(code, numbers)
    return (values.view(np.uint32) >> 16).astype(np.uint16) if code == "bf16" else values


def values(code: str, made: np.ndarray) -> np.ndarray:
    """The engine's output as numbers; bfloat16 as float32."""
    return (made.astype(np.uint32) << 16).view(np.float32) if code == "bf16" else made


def channels_last(array: np.ndarray) -> np.ndarray:
    """A copy in that memory order."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def run(chosen: Plan, arrays: Arrays, bias: np.ndarray | None = None) -> np.ndarray:
    """The plan's output, in an array that starts as NaN, so that unwritten cells show."""
    g = chosen.geometry
    shape = {"conv_transpose": g.output_shape, "conv": g.input_shape, "weight_gradient": g.weight_shape}[
        chosen.map
    ]
    source = arrays.y if chosen.map == "conv" else arrays.x
    weight = arrays.y if chosen.map == "weight_gradient" else arrays.weight
    if chosen.layout == "channels_last":
        source = channels_last(source)
        if chosen.map == "weight_gradient":
            weight = channels_last(weight)
        else:
            shape = (shape[0], *shape[2:], shape[1])
    out = np.full(shape, 0x7FC0 if chosen.dtype == "bf16" else np.nan, arrays.x.dtype)
    chosen.runner.run(source, weight, bias, out)
    moved = chosen.layout == "channels_last" and chosen.map != "weight_gradient"
    return np.moveaxis(out, -1, 1) if moved else out


def candidates(
    geometry: Geometry, map: MapName, isa: str, layout: Layout = "channels_first", code: str = "f32"
) -> list[Candidate]:
    """All candidates of the registry's algorithms, cheap or not, except plain loops."""
    problem = problem_of(geometry)
    return [
        candidate
        for algorithm in ALGORITHMS.values()
        for candidate in algorithm.candidates(problem, map, code, isa, layout)
        if candidate.part is not None
    ]


def made(
    geometry: Geometry,
    map: MapName,
    isa: str,
    candidate: Candidate,
    code: str = "f32",
    layout: Layout = "channels_first",
    activation: Activation = None,
) -> Plan:
    """The plan of a candidate."""
    return Plan.of(candidate, geometry, map, dtype=code, isa=isa, layout=layout, activation=activation)


def lanes(chosen: Plan) -> str:
    """The lanes of the plan's tile, if its part has them."""
    return getattr(getattr(chosen.core.part, "lanes", None), "name", "")


def with_box(candidate: Candidate, cut: Any) -> Candidate:
    """The candidate with its box, or box of tiles, reduced by `cut`, a function of a size."""
    part = candidate.part
    name = "tiles" if isinstance(part, WinogradPlan) else "box"
    return candidate._replace(part=part.replace(**{name: tuple(map(cut, getattr(part, name)))}))


def parts(candidate: Candidate) -> int:
    """The number of parts of a number in matrix registers; 0 for vectors."""
    return getattr(candidate.part, "parts", 0)
