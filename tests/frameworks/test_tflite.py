"""TFLite by its interpreter: what is written runs, and TRANSPOSE_CONV is read as it computes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries
from tests.frameworks.tflite_ops import operators

SEED = 17


@pytest.mark.parametrize("delegates", [True, False])
def test_written(delegates: bool) -> None:
    """With XNNPACK, which is the default, and by TFLite's own kernels."""

    def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        names = {"x": x, "w": w, **operators(delegates)}
        exec(code, names)
        return names["y"]

    # XNNPACK crashes where an output is smaller than the stride, which takes an input of 1 (TensorFlow 2.21).
    problems = [g for g in geometries(800, SEED, axes=(2,)) if min(g.input) > 1 or not delegates]
    assert written("tflite", problems, run, channels_last=True) == len(problems) >= 500


@pytest.mark.parametrize("delegates", [True, False])
def test_read(delegates: bool) -> None:
    rng = random.Random(SEED)
    done = 0
    while done < 500:
        kernel = axes_of(rng, 2, lambda: rng.randint(1, 5))
        stride = axes_of(rng, 2, lambda: rng.randint(1, 4))
        sizes = axes_of(rng, 2, lambda: rng.randint(2 if delegates else 1, 5))
        padding = rng.choice(["SAME", "VALID"])
        first = [1, 1] if padding == "SAME" else kernel
        out = [
            (i - 1) * s + least + rng.randrange(s) for i, s, least in zip(sizes, stride, first, strict=True)
        ]
        shape = [rng.choice([1, 2]), *out, rng.randint(1, 3)]
        text = (
            f"TRANSPOSE_CONV({shape}, w, x, padding='{padding}', stride_h={stride[0]}, stride_w={stride[1]})"
        )

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return eval(text, {"x": x, "w": w, **operators(delegates)})

        beside = {"input": sizes, "kernel": kernel, "channels": rng.randint(1, 3)}
        was_read("tflite", text, call, channels_last=True, seed=done, **beside)
        done += 1
