"""Plans chosen by measurement."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tconv import planning
from tconv.geometry import Geometry
from tconv.geometry.normalize import flag
from tconv.ops.arrays import CODES, allocate
from tconv.ops.call_cache import planned_call, planned_gradient
from tconv.ops.execute import execute
from tconv.planning import Activation, Layout, MapName, Plan

__all__ = ["plan"]

#: Runs of a plan take at least so many seconds together; the fastest counts.
_SECONDS = 0.02


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
        activation: the activation after the layer: "relu", "tanh", "sigmoid", ("leaky_relu", slope) or
            ("clamp", lo, hi).
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
    found = planning.measured(_seconds, geometry, map, **options)
    planned_call.cache_clear()  # which remember plans
    planned_gradient.cache_clear()
    return found


def _seconds(chosen: Plan) -> float:
    """Seconds of the fastest of several runs on arrays of ones; the time to pack weights does not count."""
    g = chosen.geometry
    names = {code: name for name, code in CODES.items()}
    dtype = np.dtype("uint16" if chosen.dtype == "bf16" else names[chosen.dtype])

    def ones(shape: tuple[int, ...]) -> Any:
        array = allocate(g, shape, dtype)
        array.fill(1)
        return array

    shapes = {
        "conv_transpose": (g.input_shape, g.weight_shape, g.output_shape),
        "conv": (g.output_shape, g.weight_shape, g.input_shape),
        "weight_gradient": (g.input_shape, g.output_shape, g.weight_shape),
    }
    source, weight, target = (ones(shape) for shape in shapes[chosen.map])
    if chosen.runner.packed_bytes:
        weight = chosen.runner.pack(weight)
    execute(chosen, source, weight, None, target)
    times: list[float] = []
    while sum(times) < _SECONDS or len(times) < 3:
        begin = time.perf_counter()
        execute(chosen, source, weight, None, target)
        times.append(time.perf_counter() - begin)
    return min(times)
