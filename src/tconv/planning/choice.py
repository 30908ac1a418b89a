"""All plans for a request, in order of their cost: the names and algorithms that it may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache, partial
from math import prod
from operator import attrgetter
from typing import TypeAlias

from tconv import _core
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.geometry.normalize import flag, shown
from tconv.planning.activations import Activation, parse_activation
from tconv.planning.algorithms import ALGORITHMS
from tconv.planning.cost import MOST_WORKSPACE, machine
from tconv.planning.plans import Candidate, Plan
from tconv.planning.problem import (
    DTYPES,
    LAYOUTS,
    MAPS,
    Layout,
    MapName,
    problem_of,
    real,
)

__all__ = ["Question", "automatic", "isas", "plans", "question", "winograd_allowed"]

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


def question(
    geometry: Geometry,
    map: MapName,
    dtype: str,
    algorithm: str,
    activation: Activation,
    layout: Layout,
    isa: str | None,
    prepared: bool,
) -> Question:
    """The arguments of a request, if they could be looked up.

    Raises:
        TconvError: an argument that is no Geometry, no name or no activation.
    """
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


def plans(
    geometry: Geometry,
    map: MapName,
    dtype: str,
    algorithm: str,
    activation: Activation,
    layout: Layout,
    isa: str | None,
    prepared: bool,
) -> Iterator[Plan]:
    """All plans within the limit of the workspace, the cheapest first.

    Raises:
        TconvError: an unknown name, or an algorithm that does not apply.
    """
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
