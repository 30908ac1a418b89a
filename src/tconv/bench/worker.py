"""One engine in a process of its own: reads requests as JSON lines, answers as JSON lines.

A request is {"do": "load", ...} to build a layer and write its answer to a file, or {"do": "time",
"seconds": s} to call it for that long. Run by `tconv.bench.turns`, never by hand.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import integer_arrays

__all__ = ["ENGINES", "main"]

Call = Callable[[], Any]


def _tconv(geometry: Geometry, dtype: str, arrays: Any, threads: int) -> tuple[Call, str]:
    import tconv

    tconv.set_num_threads(threads)
    layer = tconv.prepare(arrays.weight, arrays.bias, geometry=geometry)
    return (lambda: layer(arrays.x)), layer.plan_for(arrays.x.shape).kernel


def _unprepared(geometry: Geometry, dtype: str, arrays: Any, threads: int) -> tuple[Call, str]:
    import tconv

    tconv.set_num_threads(threads)
    options: dict[str, Any] = {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "output_padding": geometry.output_padding,
        "dilation": geometry.dilation,
        "groups": geometry.groups,
    }
    return (
        lambda: tconv.conv_transpose(arrays.x, arrays.weight, arrays.bias, **options)
    ), "weights packed each call"


def _torch(geometry: Geometry, dtype: str, arrays: Any, threads: int) -> tuple[Call, str]:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    x, weight, bias = (torch.from_numpy(a) for a in (arrays.x, arrays.weight, arrays.bias))
    function = getattr(torch.nn.functional, f"conv_transpose{geometry.axes}d")
    if any(min(pair) < 0 for pair in geometry.padding) or any(
        op and lo != hi for op, (lo, hi) in zip(geometry.output_padding, geometry.padding, strict=True)
    ):
        raise TconvError(
            f"{geometry}: PyTorch cannot say padding that extends, or uneven with output_padding"
        )
    # PyTorch crops both sides alike: crop what both share, and take a view of the rest.
    shared = tuple(max(0, min(lo, hi)) for lo, hi in geometry.padding)
    view = tuple(
        slice(lo - p, lo - p + o)
        for (lo, _), p, o in zip(geometry.padding, shared, geometry.output, strict=True)
    )
    extra = tuple(
        op if lo == hi else 0 for op, (lo, hi) in zip(geometry.output_padding, geometry.padding, strict=True)
    )
    whole = all(lo == hi for lo, hi in geometry.padding)

    def call() -> Any:
        y = function(x, weight, bias, geometry.stride, shared, extra, geometry.groups, geometry.dilation)
        return y if whole else y[(..., *view)]

    return call, f"torch {torch.__version__}"


#: Name -> what builds a call and says what will run it.
ENGINES: dict[str, Callable[[Geometry, str, Any, int], tuple[Call, str]]] = {
    "tconv": _tconv,
    "tconv-unprepared": _unprepared,
    "torch": _torch,
}


def _load(engine: str, request: dict[str, Any]) -> tuple[Call, str]:
    geometry = Geometry.parse(request["problem"])
    arrays = integer_arrays(geometry, request["dtype"], seed=0)
    call, note = ENGINES[engine](geometry, request["dtype"], arrays, request["threads"])
    np.save(request["answer"], np.asarray(call()))
    for _ in range(2):
        call()
    return call, note


def _time(call: Call, seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - start)
        del answer
    return times


def main(engine: str) -> None:
    """Answer requests until standard input ends."""
    call: Call | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "load":
                call, note = _load(engine, request)
                reply: dict[str, Any] = {"note": note}
            else:
                assert call is not None
                reply = {"times": _time(call, request["seconds"])}
        except Exception as error:  # the parent reports it beside the other engines' times
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
