"""The choice: which algorithm computes a map on a Geometry, and with which tile and box.

An algorithm is a line in `ALGORITHMS` (`algorithms`): whether it applies, and what it would cost. To add one,
add a line there and a kernel in core/. Nothing here touches an array or looks at the number of threads.

>>> from tconv.geometry import Geometry
>>> plan(Geometry.parse("n1 c256>64 i64x64 k2 s2"), isa="baseline").algorithm
'phases'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from math import prod
from operator import attrgetter
from typing import Any, TypeAlias

from tconv import _core
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.geometry.normalize import flag, shown
from tconv.planning.algorithms import ALGORITHMS, Algorithm
from tconv.planning.cost import MOST_WORKSPACE, machine
from tconv.planning.plans import Candidate, Plan
from tconv.planning.problem import (
    DTYPES,
    LAYOUTS,
    MAPS,
    Activation,
    Layout,
    MapName,
    parse_activation,
    problem_of,
    real,
)

__all__ = [
    "ALGORITHMS",
    "LAYOUTS",
    "Activation",
    "Algorithm",
    "Candidate",
    "Layout",
    "MapName",
    "Plan",
    "automatic",
    "isas",
    "measured",
    "plan",
    "winograd_allowed",
]


#: The arguments of a request for a plan.
Question: TypeAlias = tuple[Geometry, MapName, str, str, Activation, Layout, str | None, bool]


@cache
def isas() -> tuple[str, ...]:
    """The instruction sets that this CPU runs and that have kernels, best first.

    The environment variable TCONV_ISA names one and disables all better ones; it is read once.

    Raises:
        TconvError: TCONV_ISA names an instruction set that is not among them.
    """
    known = tuple(_core.instruction_sets())
    best = os.environ.get("TCONV_ISA") or known[0]
    if best not in known:
        raise TconvError(f"TCONV_ISA={best!r} is unknown on this CPU; {', '.join(known)} would fit")
    return known[known.index(best) :]


@cache
def winograd_allowed() -> bool:
    """Whether `algorithm="auto"` may choose Winograd's algorithm for numbers of up to 32 bits.

    Its rounding errors are relative to the largest number in a window of the input, so a large number spoils
    outputs that it does not reach. The environment variable TCONV_WINOGRAD=1 accepts that; it is read once.

    Raises:
        TconvError: TCONV_WINOGRAD is neither 0 nor 1.
    """
    given = os.environ.get("TCONV_WINOGRAD") or "0"
    if given not in ("0", "1"):
        raise TconvError(f"TCONV_WINOGRAD={shown(given)} is unknown; 0 or 1 would fit")
    return given == "1"


def automatic(dtype: str) -> tuple[str, ...]:
    """The names of the algorithms from which `algorithm="auto"` chooses."""
    # float64 and complex128 are chosen for their exactness.
    anything = dtype not in ("f64", "c128") and winograd_allowed()
    return tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.local or anything)


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
    """The cheapest plan to compute `map` on `geometry`, or the cheapest of one `algorithm`.

    Args:
        geometry: the transposed layer; `conv` and `weight_gradient` are maps on the same Geometry.
        map: "conv_transpose", "conv" or "weight_gradient".
        dtype: "f32", "f64", "f16", "bf16", "c64", "c128", or "i8" to "u64".
        algorithm: "auto", which chooses from `automatic(dtype)`, or a name in `ALGORITHMS`.
        activation: what follows the layer: "relu", "tanh", "sigmoid", ("leaky_relu", slope) or
            ("clamp", lo, hi).
        layout: "channels_first" or "channels_last", of source and target; of x and y for the weight gradient.
        isa: an instruction set of `isas()`; the best one by default.
        prepared: whether weights are packed once, as `prepare` does, or at every call.

    Raises:
        TconvError: an unknown name, an algorithm that does not apply, an activation that the dtype lacks, or
            too little memory for the plan itself.

    >>> plan(Geometry.parse("n1 c1>1 i3 k2"), algorithm="fft")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tconv.errors.TconvError: algorithm='fft' is unknown; auto, reference, phases, ... would fit
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
    """The fastest plan by `timer`, which gives the seconds of one run; `plan` returns it from then on.

    For every algorithm that `automatic` allows and that applies, the cheapest plans are timed, up to 4
    times the least estimate. Arguments and errors are those of `plan`.
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

#: The results of `measured`, for prepared weights and others.
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
    if not isinstance(geometry, Geometry):
        raise TconvError(f"plan({shown(geometry)}): no Geometry; tconv.Geometry.parse(text) makes one")
    names = {
        "map": map,
        "dtype": dtype,
        "algorithm": algorithm,
        "layout": layout,
        "isa": "" if isa is None else isa,
    }
    for name, value in names.items():
        if not isinstance(value, str):
            raise TconvError(f"{name}={shown(value)} is a {type(value).__name__}; a name would fit")
    parse_activation(activation)  # says what is wrong with it, also where it could not be a key
    if isinstance(activation, list):
        activation = tuple(activation)
    return geometry, map, dtype, algorithm, activation, layout, isa, flag("prepared", prepared)


@lru_cache(maxsize=4096)
def _plan(*question: Any) -> Plan:
    return next(_plans(*question))


def _weighed(
    problem: _core.Problem,
    map: MapName,
    dtype: str,
    names: tuple[str, ...],
    layout: Layout,
    isa: str,
    packed: int,
) -> list[Candidate]:
    """The candidates of the named algorithms, the cheapest first; `packed`: weights packed at every call."""
    facts = machine(isa, real(problem, dtype)[1])
    options = [
        candidate._replace(cost=candidate.cost + packed * a.packing(facts)) if packed else candidate
        for a in (ALGORITHMS[name] for name in names)
        for candidate in a.candidates(problem, map, dtype, isa, layout)
    ]
    # Stable: of two that cost the same, the simpler algorithm, which is listed first.
    return sorted(options, key=attrgetter("cost"))


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
    """All plans within the limit of the workspace, the cheapest first."""
    for name, value, known in (
        ("map", map, MAPS),
        ("dtype", dtype, DTYPES),
        ("algorithm", algorithm, ("auto", *ALGORITHMS)),
        ("layout", layout, LAYOUTS),
        ("isa", isa or isas()[0], isas()),
    ):
        if value not in known:
            raise unknown(f"{name}=", value, known)
    kind = parse_activation(activation)[0]
    if kind != _core.Activation.none and (dtype[0] in "ciu" or map == "weight_gradient"):
        raise TconvError(f"{geometry}: activation={activation!r} has no meaning for {map} of {dtype}")
    problem, chosen_isa = problem_of(geometry), isa or isas()[0]
    # An empty batch leaves nothing to compute, with any algorithm.
    names = automatic(dtype) if algorithm == "auto" or not geometry.batch else (algorithm,)
    packed = 0 if prepared or map == "weight_gradient" else prod(geometry.weight_shape)
    weigh = partial(_weighed, problem, map, dtype, names, layout, chosen_isa, packed)

    def made(candidate: Candidate) -> Plan:
        return Plan.of(
            *(candidate, geometry, map),
            dtype=dtype,
            isa=chosen_isa,
            layout=layout,
            activation=activation,
            problem=problem,
            others=weigh,
        )

    found, larger = False, list[Plan]()
    for candidate in weigh():
        one = made(candidate)
        part = candidate.part
        large = one.runner.workspace_bytes > MOST_WORKSPACE
        if large and isinstance(part, _core.PhasesPlan) and part.pack_by_task:
            one = made(candidate._replace(part=part.replace(pack_by_task=False)))
        if one.runner.workspace_bytes > MOST_WORKSPACE:
            larger.append(one)
            continue
        if part is None and larger and not found:
            break
        found = True
        yield one
    # If the window of one cell, over all channels, exceeds the limit: the smallest, before plain loops.
    if larger and not found:
        yield min(larger, key=lambda made: made.runner.workspace_bytes)
    elif not found:
        raise TconvError(f"{geometry}: algorithm {algorithm!r} does not apply to {map} of {dtype}")
