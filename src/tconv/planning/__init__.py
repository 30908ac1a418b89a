"""The choice: which algorithm computes a map on a Geometry, and with which tile, box and chunk.

An algorithm is a line in `ALGORITHMS`: whether it applies, and what it would cost. Adding one is adding a
line here and a kernel in core/. Nothing here touches an array, and nothing here looks at the number of
threads.

>>> from tconv.geometry import Geometry
>>> plan(Geometry.parse("n1 c256>64 i64x64 k2 s2"), isa="baseline").algorithm
'phases'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod
from types import MappingProxyType
from typing import Any, TypeAlias

from tconv import _core
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.planning import dots, gradient, phases, winograd
from tconv.planning.cost import BYTES, MOST_WORKSPACE, THREAD_CYCLES, Machine, machine
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

__all__ = [
    "ALGORITHMS",
    "LAYOUTS",
    "Activation",
    "Algorithm",
    "Layout",
    "MapName",
    "Plan",
    "isas",
    "measured",
    "plan",
]


#: Fields of a Plan.
Fields: TypeAlias = dict[str, Any]

#: What a plan is asked for.
Question: TypeAlias = tuple[Geometry, MapName, str, str, Activation, Layout, str | None, bool]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A way to compute a map."""

    name: str
    applies: Callable[[Problem, MapName, str], bool]
    #: The plans to weigh: fields of each, the estimated `cost` in cycles among them.
    candidates: Callable[[Problem, MapName, str, str, bool], Iterable[Fields]]
    #: Cycles to pack one weight, where that is done at every call.
    packing: float = 0.0


def _reference(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> Iterable[Fields]:
    macs = _nominal(problem)
    return [{"computed_macs": macs, "cost": macs * 8.0}]


def _has_phases(problem: Problem, map: MapName, dtype: str) -> bool:
    return real(problem, dtype)[1] in BYTES and problem.batch > 0


def _has_winograd(problem: Problem, map: MapName, dtype: str) -> bool:
    return winograd.applies(*_of_real(problem, map, dtype))


def _has_dots(problem: Problem, map: MapName, dtype: str) -> bool:
    return dots.applies(*_of_real(problem, map, dtype))


def _of_real(problem: Problem, map: MapName, dtype: str) -> tuple[Problem, MapName, str]:
    problem, dtype = real(problem, dtype)
    return problem, map, dtype


def _phases(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> Iterable[Fields]:
    problem, dtype = real(problem, dtype)
    facts: Machine = machine(isa, dtype)
    if map == "weight_gradient":
        return gradient.candidates(problem, map, dtype, facts)
    return phases.candidates(problem, map, dtype, facts, last)


def _dots(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> Iterable[Fields]:
    problem, dtype = real(problem, dtype)
    return dots.candidates(problem, map, dtype, machine(isa, dtype))


def _winograd(problem: Problem, map: MapName, dtype: str, isa: str, last: bool) -> Iterable[Fields]:
    problem, dtype = real(problem, dtype)
    return winograd.candidates(problem, map, dtype, machine(isa, dtype), last)


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
            Algorithm("phases", _has_phases, _phases, packing=2.5),
            Algorithm("winograd", _has_winograd, _winograd, packing=13.0),
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
    prepared: bool = True,
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
        prepared: whether weights are packed once, as `prepare` does, or at every call.

    Raises:
        TconvError: an unknown name, an algorithm that does not apply, an activation that the dtype lacks, or
            too little memory for the plan itself.

    >>> plan(Geometry.parse("n1 c1>1 i3 k2"), algorithm="fft")
    Traceback (most recent call last):
    tconv.errors.TconvError: algorithm='fft' is unknown; auto, reference, phases, winograd, dots would fit
    """
    question = _question(geometry, map, dtype, algorithm, activation, layout, isa, prepared)
    try:
        return _measured.get(question[:-1]) or _plan(*question)
    except MemoryError:
        raise TconvError(f"{geometry}: not enough memory to plan {map}") from None


def measured(
    timer: Callable[[Plan], float],
    geometry: Geometry,
    map: MapName = "conv_transpose",
    *,
    dtype: str = "f32",
    algorithm: str = "auto",
    activation: Activation = None,
    layout: Layout = "channels_first",
    isa: str | None = None,
) -> Plan:
    """The fastest plan by `timer`, which gives the seconds of one run; `plan` answers with it from then on.

    Of every algorithm that applies, the cheapest plans are timed whose estimate is within 4 times of the
    least. Arguments and errors are those of `plan`.
    """
    question = _question(geometry, map, dtype, algorithm, activation, layout, isa, True)
    tried: dict[str, list[Plan]] = {}
    least = 0.0
    for made in _plans(*question):
        least = least or made.cost
        if made.cost > 4 * least:
            break
        of_one = tried.setdefault(made.algorithm, [])
        if len(of_one) < _TRIED:
            of_one.append(made)
    fastest = min((made for of_one in tried.values() for made in of_one), key=timer)
    _measured[question[:-1]] = fastest
    return fastest


#: Plans of each algorithm that are timed.
_TRIED = 12

#: What `measured` found, for prepared weights and others.
_measured: dict[tuple[Any, ...], Plan] = {}


def _question(
    geometry: Geometry,
    map: MapName,
    dtype: str,
    algorithm: str,
    activation: Activation,
    layout: Layout,
    isa: str | None,
    prepared: bool,
) -> Question:
    activation_code(activation)  # says what is wrong with it, also where it could be no key
    if isinstance(activation, list):
        activation = tuple(activation)
    return geometry, map, dtype, algorithm, activation, layout, isa, prepared


@lru_cache(maxsize=4096)
def _plan(*question: Any) -> Plan:
    return next(_plans(*question))


def _plans(
    geometry: Geometry,
    map: MapName,
    dtype: str,
    algorithm: str,
    activation: Activation,
    layout: Layout,
    isa: str | None,
    prepared: bool,
) -> Iterator[Plan]:
    """All plans that keep to the workspace, the cheapest first."""
    for name, value, known in (
        ("map", map, MAPS),
        ("dtype", dtype, DTYPES),
        ("algorithm", algorithm, ("auto", *ALGORITHMS)),
        ("layout", layout, LAYOUTS),
        ("isa", isa or isas()[0], isas()),
    ):
        if value not in known:
            raise unknown(f"{name}=", value, known)
    if activation_code(activation)[0] and (dtype[0] in "ciu" or map == "weight_gradient"):
        raise TconvError(f"{geometry}: activation={activation!r} has no meaning for {map} of {dtype}")
    chosen_isa = isa or isas()[0]
    problem = Problem.of(geometry)
    applying = [a for a in ALGORITHMS.values() if a.applies(problem, map, dtype)]
    packed = 0 if prepared or map == "weight_gradient" else prod(geometry.weight_shape)
    # An empty batch leaves nothing to compute, by whatever algorithm.
    if algorithm != "auto" and geometry.batch:
        applying = [a for a in applying if a.name == algorithm]
    options = [
        {"algorithm": a.name, **fields, "cost": fields["cost"] + packed * a.packing}
        for a in applying
        for fields in a.candidates(problem, map, dtype, chosen_isa, layout == LAYOUTS[1])
    ]
    found, larger = False, list[Plan]()
    # Stable: of two that cost the same, the simpler algorithm, which is listed first.
    for fields in sorted(options, key=lambda fields: float(fields["cost"])):
        made = Plan(
            geometry=geometry,
            map=map,
            dtype=dtype,
            isa=chosen_isa,
            activation=activation,
            layout=layout,
            problem=problem,
            most_threads=min(1 << 10, max(1, int(fields["cost"] / THREAD_CYCLES))),
            **fields,
        )
        if made.runner.workspace_bytes > MOST_WORKSPACE:
            larger.append(made)
            continue
        if made.algorithm == "reference" and larger and not found:
            break
        found = True
        yield made
    # Where the window of a single cell, over all channels, is larger: the least there is, before plain loops.
    if larger and not found:
        yield min(larger, key=lambda made: made.runner.workspace_bytes)
    elif not found:
        raise TconvError(f"{geometry}: algorithm {algorithm!r} does not apply to {map} of {dtype}")
