"""Engines take turns: each lives in a process of its own, and those whose turn it is not are stopped.

In one process the idle workers of one runtime spin on the cores that the next one needs, which makes each
look many times slower than it is.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["Result", "Turns"]


@dataclass(slots=True)
class Result:
    """One problem: seconds a call (median) and a note for each engine, or why there is none."""

    name: str
    problem: str
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class _Engine:
    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tconv.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise TconvError(f"the process of engine {self.name!r} ended (exit code {self._process.wait()})")
        self._process.send_signal(signal.SIGSTOP)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Turns:
    """A set of engines at work; use it as a context manager."""

    def __init__(self, engines: Sequence[str], threads: int) -> None:
        self._threads = threads
        self._engines = [_Engine(name, threads) for name in engines]
        self._folder = tempfile.TemporaryDirectory(prefix="tconv-bench-")

    def __enter__(self) -> Turns:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes."""
        for engine in self._engines:
            engine.close()
        self._folder.cleanup()

    def measure(self, name: str, geometry: Geometry, dtype: str, turns: int, seconds: float) -> Result:
        """Check that all engines give the first one's answer, then time them in turns.

        Raises:
            TconvError: an engine's answer differs.
        """
        result = Result(name, str(geometry))
        working = []
        first: Any = None
        for engine in self._engines:
            answer = Path(self._folder.name) / f"{engine.name}.npy"
            reply = engine.ask(
                do="load", problem=str(geometry), dtype=dtype, threads=self._threads, answer=str(answer)
            )
            if "error" in reply:
                result.errors[engine.name] = reply["error"]
                continue
            result.notes[engine.name] = reply["note"]
            values = np.load(answer)
            first = values if first is None else first
            if not np.array_equal(first, values):
                raise TconvError(
                    f"{name} {geometry}: {engine.name} gives another answer than {self._engines[0].name}"
                )
            working.append(engine)
        times: dict[str, list[float]] = {engine.name: [] for engine in working}
        for engine in _rounds(working, turns):
            reply = engine.ask(do="time", seconds=seconds)
            if "error" in reply:
                result.errors[engine.name] = reply["error"]
                times.pop(engine.name, None)
            elif engine.name in times:
                times[engine.name].extend(reply["times"])
        result.seconds = {name: statistics.median(values) for name, values in times.items()}
        return result


def _rounds(engines: Sequence[_Engine], turns: int) -> Iterator[_Engine]:
    for turn in range(turns):
        yield from engines if turn % 2 == 0 else reversed(engines)
