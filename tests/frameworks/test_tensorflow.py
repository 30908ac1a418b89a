"""TensorFlow: what is written runs, and SAME, VALID and padding by numbers are read as it computes them."""

from __future__ import annotations

import random

import numpy as np
import tensorflow as tf
from checks import was_read, written
from problems import axes_of, geometries

SEED = 12


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    names = {"x": x, "w": w}
    exec(code, names)
    return names["y"].numpy()


def test_written() -> None:
    assert written("tensorflow", geometries(600, SEED), run, channels_last=True) == 600


def test_read() -> None:
    rng = random.Random(SEED)
    words = set()
    for count in range(600):
        a = rng.choice([1, 2, 2, 3])
        kernel = axes_of(rng, a, lambda: rng.randint(1, 5))
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        sizes = axes_of(rng, a, lambda: rng.randint(1, 5))
        padding = rng.choice(["SAME", "VALID", "numbers"] if a == 2 else ["SAME", "VALID"])
        words.add(padding)
        sides = [(0, 0)] * a
        if padding == "SAME":  # ceil(out / s) = in
            out = [(i - 1) * s + 1 + rng.randrange(s) for i, s in zip(sizes, stride, strict=True)]
        else:  # floor((out + lo + hi - k) / s) + 1 = in
            if padding == "numbers":
                sides = [(rng.randrange(k), rng.randrange(k)) for k in kernel]
            out = [
                (i - 1) * s + k + rng.randrange(s) - lo - hi
                for i, s, k, (lo, hi) in zip(sizes, stride, kernel, sides, strict=True)
            ]
        if min(out) < 1:
            continue
        batch, channels, filters = rng.choice([1, 2]), rng.randint(1, 3), rng.randint(1, 3)
        told = f"'{padding}'" if padding != "numbers" else str([[0, 0], *map(list, sides), [0, 0]])
        strides = rng.choice([list(stride), [1, *stride, 1]])
        name = rng.choice([f"conv{a}d_transpose", f"conv{a}d_transpose", "conv_transpose"])
        if padding == "numbers":
            name = "conv2d_transpose"
        text = f"tf.nn.{name}(x, w, output_shape={[batch, *out, filters]}, strides={strides}, padding={told})"

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return eval(text, {"tf": tf, "x": x, "w": w}).numpy()

        beside = {"input": sizes, "kernel": kernel, "channels": channels}
        was_read("tensorflow", text, call, channels_last=True, seed=count, **beside)
    assert words == {"SAME", "VALID", "numbers"}
