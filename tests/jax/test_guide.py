"""The JAX guide's table is what was measured, and its script compares before it measures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import numpy as np
import pytest

from tests import ROOT

pytest.importorskip("jax", reason="JAX is not installed")

SCRIPT = ROOT / "benchmarks" / "jax_layers.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = spec_from_file_location("jax_layers", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_guide_s_table_is_what_was_measured(script: ModuleType) -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "jax.json").read_text(encoding="utf-8"))
    assert [layer["layer"] for layer in record["layers"]] == script.FCN
    guide = (ROOT / "docs" / "guides" / "jax.md").read_text(encoding="utf-8")
    told = script.report(record)
    assert told in guide
    mean, slow = re.search(r"mean: (\d+) times as fast; below 10 times: (\d) of 8", told).groups()
    assert (mean, slow) == ("37", "3")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert (
        "it is 37 times as fast in the geometric mean, and more than 10 times on five of the eight" in readme
    )


def test_the_faster_layout_counts(script: ModuleType) -> None:
    seconds = {
        "channels_first": {"tconv": 0.002, "lax": 0.010},
        "channels_last": {"tconv": 0.001, "lax": 0.030},
    }
    facts = {"cpu": "c", "instruction_set": "avx2", "threads": 2, "versions": {"jax": "1"}}
    told = script.report(
        {"machine": facts, "layers": [{"layer": "a", "problem": "p", "seconds": seconds}] * 2}
    )
    assert "| a | `p` | 1.000 | 10.000 | 10.0 |" in told
    assert "geometric mean: 10 times as fast; below 10 times: 0 of 2 layers" in told
    assert "c, avx2, 2 threads, float32; jax 1" in told


@pytest.mark.parametrize("words", [("--callback",), ("--grad",)], ids=str)
def test_layers_are_measured(words: tuple[str, ...]) -> None:
    """Groups and none, every engine, after their answers were compared."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--layers",
        "fcn16_up2,gtcrn_up",
        "--turns",
        "1",
        "--seconds",
        "0",
    ]
    done = subprocess.run([*command, *words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    layers = json.loads(done.stdout)["layers"]
    engines = {"tconv", "lax"} | ({"callback"} if "--callback" in words else set())
    for layer in layers:
        assert set(layer["seconds"]) == {"channels_first", "channels_last"}
        assert all(set(seconds) == engines for seconds in layer["seconds"].values())
        assert np.min([list(seconds.values()) for seconds in layer["seconds"].values()]) > 0


def test_what_does_not_fit_is_told() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--layers", "fcn99"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--layers 'fcn99' is unknown" in done.stderr
