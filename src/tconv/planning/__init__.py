"""The choice: which algorithm computes a map on a Geometry, and with which tile, box and chunk.

An algorithm is a line in `ALGORITHMS`: whether it applies, and what it would cost. Adding one is adding a
line here and a kernel in core/. Nothing here touches an array, and nothing here looks at the number of
threads.

>>> from tconv.geometry import Geometry
>>> plan(Geometry.parse("n1 c256>64 i64x64 k16 s8"), isa="baseline").algorithm
'phases'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from tconv import _core
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.planning import dots, gradient, phases, winograd
from tconv.planning.cost import BYTES, THREAD_CYCLES, Machine, machine
from tconv.planning.plans import (
    DTYPES,
    LAYOUTS,
    MAPS,
    Activation,
    Layout,
    MapName,
    Plan,
    Problem,
    activation_code,
    real,
)

__all__ = ["ALGORITHMS", "LAYOUTS", "Activation", "Algorithm", "Layout", "MapName", "Plan", "isas", "plan"]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to compute a map."""

    name: str
    applies: Callable[[Problem, MapName, str], bool]
    #: Fields of the plan, the estimated `cost` in cycles among them; None where none keeps to the workspace.
    choose: Callable[[Problem, MapName, str, str, bool], dict[str, Any] | None]


def _reference(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> dict[str, Any]:
    macs = _nominal(problem)
    return {"computed_macs": macs, "cost": macs * 8.0}


def _has_phases(problem: Problem, map: MapName, dtype: str) -> bool:
    return real(problem, dtype)[1] in BYTES and problem.batch > 0


def _has_winograd(problem: Problem, map: MapName, dtype: str) -> bool:
    return winograd.applies(*_of_real(problem, map, dtype))


def _has_dots(problem: Problem, map: MapName, dtype: str) -> bool:
    return dots.applies(*_of_real(problem, map, dtype))


def _of_real(problem: Problem, map: MapName, dtype: str) -> tuple[Problem, MapName, str]:
    problem, dtype = real(problem, dtype)
    return problem, map, dtype


def _phases(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> dict[str, Any] | None:
    problem, dtype = real(problem, dtype)
    facts: Machine = machine(isa, dtype)
    if map == "weight_gradient":
        return gradient.choose(problem, map, dtype, facts)
    return phases.choose(problem, map, dtype, facts, last)


def _dots(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> dict[str, Any] | None:
    problem, dtype = real(problem, dtype)
    return dots.choose(problem, map, dtype, machine(isa, dtype))


def _winograd(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> dict[str, Any]:
    problem, dtype = real(problem, dtype)
    return winograd.choose(problem, map, dtype, machine(isa, dtype), last)


def _nominal(problem: Problem) -> int:
    cells = kernel = 1
    for i, k in zip(problem.input, problem.kernel, strict=True):
        cells, kernel = cells * i, kernel * k
    return problem.batch * problem.groups * problem.in_channels * problem.out_channels * cells * kernel


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            Algorithm("reference", lambda problem, map, dtype: True, _reference),
            Algorithm("phases", _has_phases, _phases),
            Algorithm("winograd", _has_winograd, _winograd),
            Algorithm("dots", _has_dots, _dots),
        )
    }
)


@cache
def isas() -> tuple[str, ...]:
    """The instruction sets that this CPU runs and that have kernels, best first.

    The environment variable TCONV_ISA switches those better than the one it names off; it is read once.

    Raises:
        TconvError: TCONV_ISA names none of them.
    """
    known = tuple(_core.instruction_sets())
    best = os.environ.get("TCONV_ISA") or known[0]
    if best not in known:
        raise TconvError(f"TCONV_ISA={best!r} is unknown on this CPU; {', '.join(known)} would fit")
    return known[known.index(best) :]


def plan(
    geometry: Geometry,
    map: MapName = "conv_transpose",
    *,
    dtype: str = "f32",
    algorithm: str = "auto",
    activation: Activation = None,
    layout: Layout = "channels_first",
    isa: str | None = None,
) -> Plan:
    """The cheapest way to compute `map` on `geometry`, or the way of one `algorithm`.

    Args:
        geometry: the transposed layer; `conv` and `weight_gradient` are maps on the same Geometry.
        map: "conv_transpose", "conv" or "weight_gradient".
        dtype: "f32", "f64", "f16", "bf16", "c64", "c128", or "i8" to "u64".
        algorithm: "auto" or a name in `ALGORITHMS`.
        activation: what follows the layer: "relu", "tanh", "sigmoid", ("leaky_relu", slope) or
            ("clamp", lo, hi).
        layout: "channels_first" or "channels_last", of source and target; of x and y for the weight gradient.
        isa: an instruction set of `isas()`; the best one by default.

    Raises:
        TconvError: an unknown name, an algorithm that does not apply, an activation that the dtype lacks, or
            too little memory for the plan itself.

    >>> plan(Geometry.parse("n1 c1>1 i3 k2"), algorithm="fft")
    Traceback (most recent call last):
    tconv.errors.TconvError: algorithm='fft' is unknown; auto, reference, phases, winograd, dots would fit
    """
    activation_code(activation)  # says what is wrong with it, also where it could be no key
    if isinstance(activation, list):
        activation = tuple(activation)
    try:
        return _plan(geometry, map, dtype, algorithm, activation, layout, isa)
    except MemoryError:
        raise TconvError(f"{geometry}: not enough memory to plan {map}") from None


@lru_cache(maxsize=4096)
def _plan(
    geometry: Geometry,
    map: MapName,
    dtype: str,
    algorithm: str,
    activation: Activation,
    layout: Layout,
    isa: str | None,
) -> Plan:
    for name, value, known in (
        ("map", map, MAPS),
        ("dtype", dtype, DTYPES),
        ("algorithm", algorithm, ("auto", *ALGORITHMS)),
        ("layout", layout, LAYOUTS),
        ("isa", isa or isas()[0], isas()),
    ):
        if value not in known:
            raise TconvError(f"{name}={value!r} is unknown; {', '.join(known)} would fit")
    if activation_code(activation)[0] and (dtype[0] in "ciu" or map == "weight_gradient"):
        raise TconvError(f"{geometry}: activation={activation!r} has no meaning for {map} of {dtype}")
    chosen_isa = isa or isas()[0]
    problem = Problem.of(geometry)
    applying = [a for a in ALGORITHMS.values() if a.applies(problem, map, dtype)]
    # An empty batch leaves nothing to compute, by whatever algorithm.
    if algorithm != "auto" and geometry.batch:
        applying = [a for a in applying if a.name == algorithm]
    weighed = [(a.choose(problem, map, dtype, chosen_isa, layout == LAYOUTS[1]), a.name) for a in applying]
    options = [(fields, name) for fields, name in weighed if fields is not None]
    if not options:
        raise TconvError(f"{geometry}: algorithm {algorithm!r} does not apply to {map} of {dtype}")
    fields, name = min(options, key=lambda option: option[0]["cost"])
    fields["most_threads"] = min(1 << 10, max(1, int(fields["cost"] / THREAD_CYCLES)))
    return Plan(
        geometry=geometry,
        map=map,
        dtype=dtype,
        algorithm=name,
        isa=chosen_isa,
        activation=activation,
        layout=layout,
        problem=problem,
        **fields,
    )
