"""Thousands of broken models: each is inspected or rewritten, or refused in one line; no crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT
from tests.helpers import PATIENCE

MANY = 2400


@pytest.mark.parametrize(("way", "first"), [("inspect", 0), ("diagnose", 100_000), ("rewrite", 200_000)])
def test_broken_models_are_met_with_one_line(way: str, first: int) -> None:
    """The same models every time; others: `python -m tests.onnx.fuzz inspect 300000 5000`."""
    command = [sys.executable, "-m", "tests.onnx.fuzz", way, str(first), str(MANY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("done: "):  # the interpreter itself has died
        at = lines[-1] if lines else "the start"
        pytest.fail(f"the process ended with status {done.returncode} at {at}: {done.stderr[-2000:]}")
    bad = [line for line in done.stdout.splitlines() if not line.startswith("case ")]
    assert done.returncode == 0, "\n".join(bad[:60])
    words = lines[-1].replace(",", "").split()
    looked, refused = int(words[1]), int(words[3])
    assert looked == MANY
    assert MANY / 2 < refused < MANY - 20  # some are still models
