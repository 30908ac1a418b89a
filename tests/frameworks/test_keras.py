"""Keras's own layers, every backend in a process of its own; and Keras 3.14, which computes otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

OLD = Path(sys.prefix) / "keras-3.14"  # `make test-frameworks` installs it apart from the other packages


def run(backend: str, written: int, read: int, reading: str, path: Path | None = None) -> dict[str, object]:
    places = [str(path)] if path else []
    places += filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.frameworks.keras_peer", str(written), str(read), reading],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(places)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("backend", "written", "read"), [("tensorflow", 600, 500), ("torch", 600, 500), ("jax", 60, 60)]
)
def test_backend(backend: str, written: int, read: int) -> None:
    told = run(backend, written, read, "keras")
    assert told["backend"] == backend
    assert (told["written"], told["read"], told["moved"]) == (written, read, 0)
    assert told["ones"] == [1, 1, 3, 2, 5, 3, 7, 4, 9, 5]  # printed in docs/guides/conventions.md


def test_keras_3_14_on_pytorch_reads_otherwise() -> None:
    assert OLD.exists(), f"{OLD} is missing: make test-frameworks installs Keras 3.14 there"
    told = run("torch", 0, 500, "torch-3.14", OLD)
    assert (told["backend"], told["version"]) == ("torch", "3.14.0")
    assert told["read"] == 500
    assert told["moved"] > 100  # calls whose cells are elsewhere than in today's Keras
    assert told["ones"] == [1, 3, 2, 5, 3, 7, 4, 9, 5, 5]  # printed in docs/guides/conventions.md
