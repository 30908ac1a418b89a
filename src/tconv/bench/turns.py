"""Engines take turns: each runs in a separate process, and the others are stopped meanwhile.

In one process the idle workers of one runtime spin on the cores that the next one needs, which makes each
appear many times slower than it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tconv.bench import roofs
from tconv.bench.task import TOLERANCE, Task
from tconv.errors import TconvError
from tconv.timing import Paired

__all__ = ["Engine", "Result", "Turns", "distance", "rounds"]

#: Calls per turn where every call has a new length, so that all engines see the same lengths.
_NEW_LENGTHS = 20

#: Turns from which their ratios have quartiles.
_FEWEST = 3


@dataclass(slots=True)
class Result:
    """One problem: median seconds per call and a note for each engine, or why there is none.

    A note says what ran, and after a semicolon how far its output differs from tconv's where it is not equal.
    """

    name: str
    problem: str
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    roof: float | None = None  #: seconds at the machine's best rates
    by_turn: dict[str, list[float]] = field(default_factory=dict)  #: median seconds per call in each turn

    def paired(self, ours: str, engine: str) -> Paired | None:
        """The times of an engine and ours, turn by turn; None where there are too few turns for a spread."""
        before, after = (self.by_turn.get(name, []) for name in (engine, ours))
        return Paired(before, after) if _FEWEST <= len(before) == len(after) else None


class Engine:
    """A process that answers requests, stopped between them."""

    def __init__(self, name: str, threads: int, isa: str | None = None, words: Sequence[str] = ()) -> None:
        """Start the worker of engine `name`, or Python with other `words`.

        Args:
            name: the engine's name.
            threads: the process's OMP_NUM_THREADS.
            isa: the best instruction set that tconv may use there.
            words: a script with its arguments, one that calls `tconv.bench.worker.serve`.
        """
        self.name = name
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if isa is not None:
            self._environment["TCONV_ISA"] = isa
        self._words = [sys.executable, *(words or ("-m", "tconv.bench.worker", name))]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def restart(self) -> None:
        """Start a new process, which has no layer."""
        self.close()
        self._start()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The process's reply to a request.

        Raises:
            TconvError: it has ended.
        """
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
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that the process did not read
                    pipe.close()


class Turns:
    """A set of running engines, the first of them tconv; use it as a context manager."""

    def __init__(self, engines: Sequence[str], threads: int, isa: str | None = None) -> None:
        """Start one process per engine; `isa` is the best instruction set that tconv may use."""
        self._engines = [Engine(name, threads, isa) for name in engines]
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

    def roofs(self, dtype: str, threads: int, seconds: float) -> dict[str, Any]:
        """The machine's best rates, as `tconv.bench.roofs.measure` gives them."""
        return self._engines[0].ask(do="roofs", dtype=dtype, threads=threads, seconds=seconds)

    def measure(
        self, name: str, task: Task, turns: int, seconds: float, rates: Mapping[str, Any] | None = None
    ) -> Result:
        """Time the engines that give the first one's output, in turns; another output is an engine's error.

        Raises:
            TconvError: the output of another way of tconv's differs.
        """
        result = Result(name, str(task.geometry), roof=roofs.roof(task, rates) if rates else None)
        working: list[Engine] = []
        first: list[Any] = []
        for engine in self._engines:
            answer = Path(self._folder.name) / f"{engine.name}.npz"
            reply = self._reply(engine, do="load", answer=str(answer), **task.as_json())
            if "error" in reply:
                result.errors[engine.name] = reply["error"]
                continue
            with np.load(answer) as file:
                values = [file[key] for key in file.files]
            answer.unlink()
            first = first or values
            off = distance(values, first)
            if off > TOLERANCE[task.dtype]:
                wrong = f"its output is not that of {working[0].name}"
                if engine.name.startswith("tconv"):
                    raise TconvError(f"{name} {task.geometry}: {engine.name}: {wrong}")
                result.errors[engine.name] = wrong
                continue
            result.notes[engine.name] = reply["note"] + (f"; within {off:.0e} of the largest" if off else "")
            working.append(engine)
        times: dict[str, list[float]] = {engine.name: [] for engine in working}
        for engine in rounds(working, turns):
            if engine.name not in times:
                continue
            calls = _NEW_LENGTHS if task.new_lengths else None
            reply = self._reply(engine, do="time", seconds=seconds, calls=calls)
            if "error" in reply:
                result.errors[engine.name] = reply["error"]
                del times[engine.name]
            else:
                times[engine.name].extend(reply["times"])
                result.by_turn.setdefault(engine.name, []).append(statistics.median(reply["times"]))
        result.seconds = {name: statistics.median(values) for name, values in times.items()}
        return result

    def _reply(self, engine: Engine, **request: Any) -> dict[str, Any]:
        """The reply of an engine; where a peer's process ends, that is its error, and it is started again."""
        try:
            return engine.ask(**request)
        except TconvError as error:
            if engine is self._engines[0]:
                raise
            engine.restart()
            return {"error": str(error)}


def distance(values: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest difference as a share of the largest magnitude; 0 where all are equal."""
    if [a.shape for a in values] != [a.shape for a in expected]:
        return float("inf")
    shares = [0.0]
    for a, b in zip(values, expected, strict=True):
        if not np.array_equal(a, b):
            shares.append(float(np.abs(a - b).max() / (np.abs(b).max() or 1)))
    off = float(np.max(shares))
    return off if off == off else float("inf")  # NaN counts as different


def rounds(engines: Sequence[Engine], turns: int) -> Iterator[Engine]:
    """Each engine once per turn, every other turn from the last to the first."""
    for turn in range(turns):
        yield from engines if turn % 2 == 0 else reversed(engines)
