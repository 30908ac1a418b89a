"""Random layers without everything that a runtime may lack, one capability at a time and all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from tconv.onnx.rewriting.goals import CAPABILITIES, target
from tconv.onnx.rewriting.targeting import fit, unmet
from tests.onnx.helpers import answers
from tests.onnx.rules.helpers import OPSETS, Problem, built, problem

OPTIONS = ",".join(f"no-{name}" for name in CAPABILITIES if name not in ("1-d", "3-d", "transposed"))
GOALS = [*(f"no-{name}" for name in CAPABILITIES), OPTIONS]


def drawn(rng: np.random.Generator) -> Problem:
    """Any number of axes and groups, padding written in any way, sizes symbolic or not."""
    axes = int(rng.integers(1, 4))
    said: dict[str, Any] = [
        {},
        {"auto_pad": str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))},
        {"output_shape": [int(size) for size in rng.integers(6, 9, axes)]},
    ][rng.integers(3)]
    dynamic = bool(rng.integers(2)) and "output_shape" not in said
    return problem(rng, axes, int(rng.choice([1, 2, 4])), dynamic=dynamic, **said)


@pytest.mark.parametrize("goal", GOALS)
def test_what_a_runtime_lacks_is_taken_away(goal: str) -> None:
    rng = np.random.default_rng(len(goal))
    for opset in OPSETS * 6:
        given = drawn(rng)
        made = built(given, opset=opset, as_nodes=bool(rng.integers(2)))
        before = [answers(made, feed)[0] for feed in given.feeds]
        steps = fit(made, target(goal))
        assert unmet(made, target(goal), steps) == []
        for feed, expected in zip(given.feeds, before, strict=True):
            np.testing.assert_array_equal(answers(made, feed)[0], expected)
