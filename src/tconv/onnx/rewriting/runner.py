"""ONNX Runtime in a separate process: the caller's side."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from tconv.errors import TconvError
from tconv.models.onnx.file import write
from tconv.models.onnx.nodes import ENGINE_DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Arrays", "Runner", "Trouble"]

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Trouble(TconvError):
    """ONNX Runtime refused a model or an input; its message, in one line."""


PATIENCE = 600.0  # seconds for one answer: a model may loop without end


class Runner:
    """Holds models by name and runs them; a context manager, which ends the process.

    Args:
        threads: of each model; 0 leaves the choice to ONNX Runtime.

    Raises:
        Trouble: from every method, if ONNX Runtime refuses or crashes; a crash ends this runner.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        self._outputs: dict[str, list[str]] = {}
        self._stopped = False  # for want of an answer

    def __enter__(self) -> Runner:
        self._folder = tempfile.TemporaryDirectory(prefix="tconv-")
        self.folder = Path(self._folder.name)
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tconv.onnx.rewriting.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def load(self, name: str, model: ir.Model, *, optimised: bool = True, profiled: bool = False) -> None:
        """Load a model under a name; with `optimised`, its graph is optimised as in a default session.

        A model that is `profiled` is for `nodes`.
        """
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        path = folder / "model.onnx"
        write(model, path)
        how = {"optimised": optimised, "profiled": profiled, "engine": ENGINE_DOMAIN in model.opset_imports}
        self._ask(do="load", name=name, path=str(path), threads=self.threads, **how)
        self._outputs[name] = [str(value.name) for value in model.graph.outputs]

    def drop(self, name: str) -> None:
        """Release a model."""
        self._ask(do="drop", name=name)

    def run(self, name: str, feeds: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs of a model, by name."""
        answers, outputs = self.folder / "answers.npz", self._outputs[name]
        self._ask(do="run", name=name, outputs=outputs, answers=str(answers), **self._held(feeds))
        with np.load(answers, allow_pickle=False) as held:
            return {output: held[f"arr_{i}"] for i, output in enumerate(outputs)}

    def time(
        self, names: Sequence[str], feeds: Arrays, *, seconds: float, turns: int, most: int
    ) -> dict[str, list[float]]:
        """The seconds of each run, the models in turns; between `turns` and `most` runs each."""
        found: dict[str, list[float]] = self._ask(
            do="time", names=list(names), seconds=seconds, turns=turns, most=most, **self._held(feeds)
        )["seconds"]
        return found

    def nodes(
        self, names: Mapping[str, Sequence[str]], feeds: Arrays, *, seconds: float, turns: int, most: int
    ) -> dict[str, dict[str, list[float]]]:
        """As `time`, but the seconds of the named nodes of each model, which it then drops.

        They are ONNX Runtime's own measurements, one for each run.
        """
        self.time(list(names), feeds, seconds=seconds, turns=turns, most=most)
        return {
            model: self._ask(do="end", name=model, nodes=list(nodes))["seconds"]
            for model, nodes in names.items()
        }

    def _held(self, feeds: Arrays) -> dict[str, Any]:
        path = self.folder / "feeds.npz"
        np.savez(path, *feeds.values())
        return {"inputs": list(feeds), "feeds": str(path)}

    def _ask(self, **request: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = Timer(PATIENCE, self._stop)
        timer.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            raise Trouble(
                f"ONNX Runtime gave no answer within {PATIENCE:g} s" if self._stopped else self._death()
            )
        answer: dict[str, Any] = json.loads(line)
        if "fault" in answer:
            raise Trouble(answer["fault"])
        return answer

    def _stop(self) -> None:
        self._stopped = True
        self._process.kill()

    def _death(self) -> str:
        status = self._process.wait()
        if status < 0:
            return f"ONNX Runtime crashed ({signal.Signals(-status).name})"
        said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        missing = next((line for line in said if "No module named" in line), None)
        if missing:
            raise ModuleNotFoundError(missing, name=missing.rsplit("'", 2)[-2])
        return f"ONNX Runtime's process ended with status {status}: {(said or ['nothing said'])[-1][:200]}"
