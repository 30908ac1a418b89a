"""A process that runs models in ONNX Runtime: if it crashes, the command continues and reports it.

It reads one request per line from stdin, as JSON, and replies with one line each. Arrays are passed in .npz
files, each named by its number in the request.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any

import numpy as np

__all__ = ["main"]

Sessions = dict[str, Any]


def _load(sessions: Sessions, request: Mapping[str, Any]) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = request["threads"]
    # Without it, the idle workers of one session keep a core busy while another session is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if request["engine"]:
        from tconv.onnx.engine import register

        register(options)
    if request["profiled"]:
        options.enable_profiling = True
        options.profile_file_prefix = request["path"]
    if not request["optimised"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    sessions[request["name"]] = onnxruntime.InferenceSession(
        request["path"], options, providers=["CPUExecutionProvider"]
    )
    return {}


def _drop(sessions: Sessions, request: Mapping[str, Any]) -> dict[str, Any]:
    del sessions[request["name"]]
    return {}


def _end(sessions: Sessions, request: Mapping[str, Any]) -> dict[str, Any]:
    """The seconds of the requested nodes in each run but the first, by a session's profile; it ends."""
    with open(sessions.pop(request["name"]).end_profiling(), encoding="utf-8") as file:
        events = json.load(file)
    suffix = "_kernel_time"
    seconds: dict[str, list[float]] = {name: [] for name in request["nodes"]}
    for event in events:
        name = event.get("name", "")
        if name.endswith(suffix) and (held := seconds.get(name.removesuffix(suffix))) is not None:
            held.append(event["dur"] * 1e-6)
    return {"seconds": {name: each[1:] for name, each in seconds.items()}}


def _run(sessions: Sessions, request: Mapping[str, Any]) -> dict[str, Any]:
    session = sessions[request["name"]]
    answers = session.run(request["outputs"], _feeds(request))
    for name, answer in zip(request["outputs"], answers, strict=True):
        if not isinstance(answer, np.ndarray):
            return {"fault": f"output {name!r} is not an array"}
    held = [answer.astype(str) if answer.dtype == object else answer for answer in answers]
    np.savez(request["answers"], *held)
    return {}


def _time(sessions: Sessions, request: Mapping[str, Any]) -> dict[str, Any]:
    """The seconds of each model in turns, A B B A, until the time is over; at least the requested turns."""
    feeds = _feeds(request)
    seconds: dict[str, list[float]] = {name: [] for name in request["names"]}
    for name in seconds:
        sessions[name].run(None, feeds)  # the first run allocates memory and starts threads
    end = time.perf_counter() + request["seconds"]
    while (turns := min(map(len, seconds.values()))) < request["turns"] or (
        time.perf_counter() < end and turns < request["most"]
    ):
        for name in seconds if turns % 2 == 0 else reversed(seconds):
            start = time.perf_counter()
            sessions[name].run(None, feeds)
            seconds[name].append(time.perf_counter() - start)
    return {"seconds": seconds}


def _feeds(request: Mapping[str, Any]) -> dict[str, Any]:
    with np.load(request["feeds"], allow_pickle=False) as held:
        return {name: held[f"arr_{i}"] for i, name in enumerate(request["inputs"])}


REQUESTS: Mapping[str, Callable[[Sessions, Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {"load": _load, "drop": _drop, "end": _end, "run": _run, "time": _time}
)


def _line(text: str) -> str:
    """ONNX Runtime's reason in one line, without the name of the temporary file.

    >>> _line("[ONNXRuntimeError] : 1 : FAIL : Load model from /a.onnx failed:Fatal error: no Op\\nmore")
    'Fatal error: no Op'
    """
    line = (text.strip().splitlines() or [""])[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed:\s*", "", line)
    return line if len(line) <= 300 else f"... {line[-290:]}"  # it begins with a place in their source


def main(requests: IO[str], answers: IO[str]) -> None:
    """Reply to requests until there are no more."""
    sessions: Sessions = {}
    for line in requests:
        request = json.loads(line)
        try:
            answer = REQUESTS[request["do"]](sessions, request)
        except Exception as fault:  # ONNX Runtime's exceptions have no common base
            answer = {"fault": _line(str(fault)) or type(fault).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    # What libraries print must not mix with the replies.
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(sys.stdin, own)
