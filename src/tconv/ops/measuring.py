"""Plans chosen by measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tconv import planning
from tconv.geometry import Geometry
from tconv.geometry.normalize import flag
from tconv.ops.arrays import CODES, allocate
from tconv.ops.call_cache import planned_call, planned_gradient
from tconv.ops.execute import execute
from tconv.planning import Activation, Layout, MapName, Plan
from tconv.timing import FASTER, SCREENING, Paired, in_turns

__all__ = ["arrays_of", "caller", "fastest", "plan", "quick"]

#: The first few runs of a plan take so many seconds together; the fastest counts.
_SECONDS, _RUNS = 0.02, 200

#: How long plans compete on request.
_COMPETITION = 1.0


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
    measure: bool = False,
) -> Plan:
    """The cheapest plan to compute `map` on `geometry`, or the plan of one `algorithm`.

    Args:
        geometry: the transposed layer; `conv` and `weight_gradient` are maps on the same Geometry.
        map: "conv_transpose", "conv" or "weight_gradient".
        dtype: "f32", "f64", "f16", "bf16", "c64", "c128", or "i8" to "u64".
        algorithm: "auto", which chooses from `tconv.planning.automatic(dtype)`, or a name in
            `tconv.planning.ALGORITHMS`.
        activation: what follows the layer, as in `tconv.conv_transpose`.
        layout: "channels_first" or "channels_last", of source and target; of x and y for the weight gradient.
        isa: an instruction set of `tconv.planning.isas()`; the best one by default.
        prepared: whether weights are packed once, as by `prepare`, or at every call.
        measure: time the most promising plans of these algorithms, with the current number of threads,
            instead of relying on the estimate. All later calls for this geometry use the fastest.

    Raises:
        TconvError: an unknown name, an algorithm that does not apply, an activation that the dtype lacks, or
            too little memory for the plan itself.

    >>> plan(Geometry.parse("n1 c8>8 i16x16 k4 s2 p1")).map
    'conv_transpose'
    """
    options: dict[str, Any] = {
        "dtype": dtype,
        "algorithm": algorithm,
        "activation": activation,
        "layout": layout,
        "isa": isa,
    }
    if not flag("measure", measure) or getattr(geometry, "batch", 0) == 0:
        return planning.plan(geometry, map, prepared=prepared, **options)
    found = planning.measured(lambda plans: fastest(plans, _COMPETITION)[0], geometry, map, **options)
    planned_call.cache_clear()  # which remember plans
    planned_gradient.cache_clear()
    return found


def fastest(plans: Sequence[Plan], seconds: float, prepared: bool = True) -> tuple[Plan, float]:
    """The fastest of several plans for one problem, the first of which is the estimate's choice.

    Those that were the fastest in a few runs compete in turns with the first, which stays unless one is
    clearly faster. All run on the current number of threads.

    Args:
        plans: for the same map on the same Geometry.
        seconds: at most, but for a few runs of the first two.
        prepared: whether weights are packed beforehand, or in every run.

    Returns:
        A plan, and how many times as fast as the first it was.

    Raises:
        TconvError: too little memory.
    """
    begin = time.perf_counter()
    arrays = arrays_of(plans[0])
    taken: list[float] = []
    for made in plans:
        if len(taken) > 1 and time.perf_counter() > begin + seconds / 2:
            break  # the others are estimated to be slower
        taken.append(quick(caller(made, arrays, prepared), seconds / 4 / len(plans)))
    near = sorted((each, n) for n, each in enumerate(taken) if n and each < _CLOSE * taken[0])
    sides = [plans[n] for n in (0, *(n for _, n in near[:_FINALISTS]))]
    if len(sides) == 1:
        return plans[0], 1.0
    calls = [caller(made, arrays, prepared) for made in sides]
    times = in_turns([(_nothing, call) for call in calls], begin + seconds - time.perf_counter())
    pairs = [Paired(times[0], each) for each in times[1:] if each]
    # Of those that are faster for sure, the fastest; none if there was no time for turns.
    sure = [(pair.ratio, n) for n, pair in enumerate(pairs, 1) if pair.verdict(SCREENING) == FASTER]
    ratio, best = max(sure, default=(1.0, 0))
    return sides[best], ratio


#: So many plans compete in turns with the estimate's choice, if they took at most so many times as long.
_FINALISTS, _CLOSE = 3, 1.05


def _nothing() -> None:
    pass


def caller(made: Plan, arrays: tuple[Any, Any, Any], prepared: bool) -> Callable[[], None]:
    """A call that runs a plan; `prepared`: with weights that are packed now."""
    source, weight, target = arrays
    given = made.runner.pack(weight) if prepared and made.runner.packed_bytes else weight
    return partial(execute, made, source, given, None, target)


def quick(call: Callable[[], None], seconds: float = _SECONDS) -> float:
    """Seconds of the fastest of a few runs, which take about so many seconds together."""
    call()
    times: list[float] = []
    while len(times) < 2 or (sum(times) < min(_SECONDS, seconds) and len(times) < _RUNS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def arrays_of(made: Plan) -> tuple[Any, Any, Any]:
    """Source, weight and target of a map, full of ones."""
    g = made.geometry
    names = {code: name for name, code in CODES.items()}
    dtype = np.dtype("uint16" if made.dtype == "bf16" else names[made.dtype])

    def ones(shape: tuple[int, ...]) -> Any:
        array = allocate(g, shape, dtype)
        array.fill(0x3F80 if made.dtype == "bf16" else 1)  # the bits of a bfloat16
        return array

    shapes = {
        "conv_transpose": (g.input_shape, g.weight_shape, g.output_shape),
        "conv": (g.output_shape, g.weight_shape, g.input_shape),
        "weight_gradient": (g.input_shape, g.output_shape, g.weight_shape),
    }
    source, weight, target = (ones(shape) for shape in shapes[made.map])
    return source, weight, target
