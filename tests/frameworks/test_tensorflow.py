"""TensorFlow: what is written runs, and SAME, VALID and padding by numbers are read as it computes them."""

from __future__ import annotations

import random

import numpy as np
import tensorflow as tf

from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 12


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    names = {"x": x, "w": w}
    exec(code, names)
    return names["y"].numpy()


def test_written() -> None:
    assert written("tensorflow", geometries(600, SEED), run, channels_last=True) == 600


def test_read() -> None:
    rng = random.Random(SEED)
    seen = {"SAME": 0, "VALID": 0, "numbers": 0, "NC": 0, "dilated": 0}
    count = 0
    while count < 600:
        a = rng.choice([1, 2, 2, 3])
        kernel = axes_of(rng, a, lambda: rng.randint(1, 5))
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        sizes = axes_of(rng, a, lambda: rng.randint(1, 5))
        padding = rng.choice(["SAME", "VALID", "numbers"] if a == 2 else ["SAME", "VALID"])
        # TensorFlow on a CPU has no dilation by numbers, and channels first in 2-D alone.
        dilated = padding != "numbers" and rng.random() < 0.2
        dilation = axes_of(rng, a, lambda: rng.randint(1, 3)) if dilated else (1,) * a
        first = a == 2 and padding != "numbers" and not dilated and rng.random() < 0.3
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        sides = [(rng.randrange(k), rng.randrange(k)) if padding == "numbers" else (0, 0) for k in kernel]
        # SAME: ceil(out / s) = in; else floor((out + lo + hi - reach) / s) + 1 = in.
        out = [
            (i - 1) * s + rng.randrange(s) + (1 if padding == "SAME" else span - lo - hi)
            for i, s, span, (lo, hi) in zip(sizes, stride, spans, sides, strict=True)
        ]
        if min(out) < 1:
            continue
        batch, channels, filters = rng.choice([1, 2]), rng.randint(1, 3), rng.randint(1, 3)
        told = repr(padding) if padding != "numbers" else str([[0, 0], *map(list, sides), [0, 0]])
        shape = [batch, filters, *out] if first else [batch, *out, filters]
        strides = rng.choice([list(stride), [1, 1, *stride] if first else [1, *stride, 1]])
        name = f"conv{a}d_transpose" if a == 2 or rng.random() < 0.7 else "conv_transpose"
        text = f"tf.nn.{name}(x, w, output_shape={shape}, strides={strides}, padding={told}"
        text += f", dilations={list(dilation)}" if dilated else ""
        text += ", data_format='NCHW')" if first else ")"

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return eval(text, {"tf": tf, "x": x, "w": w}).numpy()

        beside = {"input": sizes, "kernel": kernel, "channels": channels}
        was_read("tensorflow", text, call, channels_last=not first, seed=count, **beside)
        count += 1
        for name, shown in ((padding, True), ("NC", first), ("dilated", dilated)):
            seen[name] += shown
    assert min(seen.values()) > 40
