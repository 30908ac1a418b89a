"""One engine in a separate process: reads requests as JSON lines, replies as JSON lines.

A request is {"do": "load", ...} to build a layer and write its output to a file, {"do": "time", ...} to call
it for some seconds, or {"do": "roofs", ...} to measure the machine. Run by `tconv.bench.turns`, not by hand.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tconv.bench import engines, peers, roofs
from tconv.bench.litert import litert
from tconv.bench.mnn import mnn
from tconv.bench.ncnn import ncnn
from tconv.bench.task import Builder, Task

__all__ = ["ENGINES", "NEEDS", "main", "serve"]

#: Name -> the function that builds a layer.
ENGINES: dict[str, Builder] = {
    "tconv": engines.ours,
    "tconv-unprepared": engines.unprepared,
    "tconv-plain": engines.plain,
    "tconv-separate": engines.separate,
    "torch": peers.torch,
    "onnxruntime": peers.onnxruntime,
    "openvino": peers.openvino,
    "jax": peers.jax,
    "mnn": mnn,
    "ncnn": ncnn,
    "litert": litert,
}

#: The packages that a peer needs; a result names the version of the first.
NEEDS: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "jax": ("jax",),
    "mnn": ("MNN", "onnx"),
    "ncnn": ("ncnn",),
    "litert": ("ai_edge_litert", "flatbuffers"),
}

#: (number of calls or None, seconds) -> seconds of each call.
Timer: TypeAlias = Callable[[int | None, float], list[float]]


def _load(engine: str, request: dict[str, Any]) -> tuple[Timer, str]:
    task = Task.read(request)
    arrays = task.arrays()
    work = ENGINES[engine](task, arrays)
    x = work.native(arrays.x)
    answers = [np.asarray(a) for a in work.answers(work.call(x))]
    half = task.dtype in ("float16", "bfloat16")
    with open(request["answer"], "wb") as file:
        np.savez(file, *[a.astype(np.float32) if half else a for a in answers])
    for _ in range(2):
        work.call(x)
    seen = task.geometry.input[-1]

    def next_input() -> Any:
        nonlocal seen
        if not task.new_lengths:
            return x
        seen += 1
        return work.native(np.resize(arrays.x, (*arrays.x.shape[:2], seen)))

    def timer(calls: int | None, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        while not times or (len(times) < calls if calls else time.perf_counter() < end):
            given = next_input()
            start = time.perf_counter()
            answer = work.call(given)
            times.append(time.perf_counter() - start)
            del answer
        return times

    return timer, work.note


def serve(handle: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests by `handle` until standard input ends; its exceptions become the reply's "error"."""
    # The output of a runtime must not get between the replies.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = handle(json.loads(line))
        except Exception as error:  # the parent reports it next to the other engines' times
            text = " ".join(str(error).split())
            own = type(error).__name__ == "TconvError"
            reply = {"error": text if own else f"{type(error).__name__}: {text}"}
        print(json.dumps(reply), file=answers, flush=True)


def main(engine: str) -> None:
    """Serve the layers of one engine."""
    timer: Timer | None = None

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal timer
        if request["do"] == "load":
            timer = None  # frees its arrays before the next ones are allocated
            timer, note = _load(engine, request)
            return {"note": note}
        if request["do"] == "roofs":
            return roofs.measure(request["dtype"], request["threads"], request["seconds"])
        assert timer is not None
        return {"times": timer(request["calls"], request["seconds"])}

    serve(handle)


if __name__ == "__main__":
    main(sys.argv[1])
