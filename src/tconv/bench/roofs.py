"""The shortest possible time of a layer on this machine: its arithmetic, and its arrays moved once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np

import tconv
from tconv.bench.task import Task
from tconv.geometry import Geometry
from tconv.testing import integer_arrays

__all__ = ["measure", "roof"]

_PROBLEM = "n1 c512>512 i64x64 k1"
_COPIED = 128 << 20  # bytes, beyond the caches


def measure(dtype: str, threads: int, seconds: float) -> dict[str, Any]:
    """The best rates in `seconds` each: {"gflops", "gbytes", "how"}.

    Arithmetic is the engine's on a matrix product, in float64 for float64 and otherwise in float32. Bandwidth
    is that of a large copy, counting each byte as read and as written.
    """
    number = "float64" if dtype == "float64" else "float32"
    geometry = Geometry.parse(_PROBLEM)
    arrays = integer_arrays(geometry, number)
    tconv.set_num_threads(threads)
    layer = tconv.prepare(arrays.weight, geometry=geometry)
    gflops = 2 * geometry.macs / _best(lambda: layer(arrays.x), seconds) / 1e9
    source, target = np.ones(_COPIED, np.uint8), np.ones(_COPIED, np.uint8)
    pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        copied = _best(lambda: list(pool.map(lambda pair: np.copyto(*pair), pieces)), seconds)
    return {
        "gflops": round(gflops, 1),
        "gbytes": round(2 * _COPIED / copied / 1e9, 1),
        "how": f"best of {number} {_PROBLEM} by this engine, and of a copy of {_COPIED >> 20} MiB",
    }


def _best(call: Callable[[], Any], seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    call()
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def roof(task: Task, rates: Mapping[str, Any]) -> float:
    """The seconds that the task takes at least, unless an algorithm reduces its products.

    >>> task = Task(Geometry.parse("n1 c1>1 i1000000 k1"))
    >>> round(roof(task, {"gflops": 1.0, "gbytes": 1.0}), 6)  # x and y, 4 bytes each, and one weight
    0.008
    """
    size = {"float64": 8, "complex64": 8, "float16": 2, "bfloat16": 2}.get(task.dtype, 4)
    geometry = task.geometry
    arrays = sum(map(prod, (geometry.input_shape, geometry.weight_shape, geometry.output_shape)))
    maps = 3 if task.grad else 1
    flops = maps * 2 * geometry.macs_exact * (4 if task.dtype == "complex64" else 1)
    moved = maps * arrays * size
    return float(max(flops / rates["gflops"], moved / rates["gbytes"])) / 1e9
