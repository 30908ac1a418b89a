"""The choice: which algorithm computes a map on a Geometry, and with which tile and box.

An algorithm is a line in `ALGORITHMS` (`algorithms`): whether it applies, and what it would cost. To add one,
add a line there and a kernel in core/. Nothing here touches an array or looks at the number of threads.

>>> from tconv.geometry import Geometry
>>> plan(Geometry.parse("n1 c256>64 i64x64 k2 s2"), isa="baseline").algorithm
'phases'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.planning.activations import Activation
from tconv.planning.algorithms import ALGORITHMS, Algorithm
from tconv.planning.choice import Question, automatic, isas, plans, question, winograd_allowed
from tconv.planning.cost import machine
from tconv.planning.kinds import default_record
from tconv.planning.plans import Candidate, Plan
from tconv.planning.problem import LAYOUTS, Layout, MapName
from tconv.planning.tuning_file import Key, record_of, tuned

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
    "default_record",
    "isas",
    "measured",
    "plan",
    "promising",
    "refresh",
    "tuned_key",
    "winograd_allowed",
]


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

    Where `tconv tune` has timed this problem on this machine, "auto" is the plan that was fastest.

    Args:
        geometry: the transposed layer; `conv` and `weight_gradient` are maps on the same Geometry.
        map: "conv_transpose", "conv" or "weight_gradient".
        dtype: "f32", "f64", "f16", "bf16", "c64", "c128", or "i8" to "u64".
        algorithm: "auto", which chooses from `automatic(dtype)`, or a name in `ALGORITHMS`.
        activation: what follows the layer, as in `tconv.conv_transpose`.
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
    asked = question(geometry, map, dtype, algorithm, activation, layout, isa, prepared)
    try:
        return _measured.get(asked[:-1]) or _plan(*asked)
    except MemoryError:
        raise TconvError(f"{geometry}: not enough memory to plan {map}") from None


def measured(
    choose: Callable[[Sequence[Plan]], Plan],
    geometry: Geometry,
    map: MapName = "conv_transpose",
    *,
    dtype: str = "f32",
    algorithm: str = "auto",
    activation: Activation = None,
    layout: Layout = "channels_first",
    isa: str | None = None,
) -> Plan:
    """The plan that `choose` takes from the promising ones; `plan` returns it from then on.

    Arguments and errors are those of `plan`.
    """
    asked = question(geometry, map, dtype, algorithm, activation, layout, isa, True)
    fastest = replace(choose(_promising(asked)), chosen="by the clock (measure=True)")
    _measured[asked[:-1]] = fastest
    return fastest


#: The results of `measured`, for prepared weights and others.
_measured: dict[tuple[Any, ...], Plan] = {}

#: Of each algorithm, so many plans are promising, if they cost at most so many times the least.
_TRIED, _NEAR = 12, 4.0


def promising(
    geometry: Geometry,
    map: MapName = "conv_transpose",
    *,
    dtype: str = "f32",
    layout: Layout = "channels_first",
    isa: str | None = None,
    prepared: bool = True,
) -> list[Plan]:
    """The cheapest plans of every algorithm that `automatic` allows, up to 4 times the least estimate.

    Arguments and errors are those of `plan`.
    """
    return _promising(question(geometry, map, dtype, "auto", None, layout, isa, prepared))


def _promising(asked: Question) -> list[Plan]:
    tried: dict[str, list[Plan]] = {}
    least = 0.0
    for made in plans(*asked):
        least = least or made.cost
        if made.cost > _NEAR * least:
            break
        of_one = tried.setdefault(made.algorithm, [])
        if len(of_one) < _TRIED:
            of_one.append(made)
    return [made for of_one in tried.values() for made in of_one]


def tuned_key(made: Plan, prepared: bool) -> Key:
    """Under which `tconv tune` keeps a plan; an activation changes nothing in which is fastest."""
    return str(made.geometry), made.map, made.dtype, made.layout, made.isa, prepared


@lru_cache(maxsize=4096)
def _plan(*asked: Any) -> Plan:
    """The tuned plan, if planning still offers it; else the cheapest."""
    found = plans(*asked)
    cheapest = next(found)
    if asked[3] == "auto" and cheapest.geometry.batch:
        name = tuned().plans.get(tuned_key(cheapest, asked[-1]))
        others = (cheapest, *found) if name else ()
        for made in others:
            if made.name == name:
                return replace(made, chosen="by the clock (tconv tune)")
    if tuned().records.get(cheapest.isa):
        return replace(cheapest, chosen="by estimate, with costs that were measured here (tconv tune)")
    return cheapest


def refresh() -> None:
    """Forget all plans by estimate, so that the next ones follow what `tconv tune` has measured meanwhile."""
    for known in (tuned, record_of, machine, _plan):
        known.cache_clear()
