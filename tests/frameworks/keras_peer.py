"""Keras on the backend of KERAS_BACKEND, in a process of its own: prints how many problems agreed.

KERAS_BACKEND=torch python -m tests.frameworks.keras_peer WRITTEN READ READING
"""

from __future__ import annotations

import json
import os
import random
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

from tconv.conventions import read
from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 14


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    names = {"x": x, "w": w}
    exec(code, names)
    return keras.ops.convert_to_numpy(names["y"])


def call_of(rng: random.Random, a: int, kernel: tuple[int, ...], channels_first: bool) -> str:
    """One Conv*DTranspose in Keras's own words."""
    stride, dilation = axes_of(rng, a, lambda: rng.randint(1, 4)), (1,) * a
    if rng.random() < 0.3:
        stride, dilation = (1,) * a, axes_of(rng, a, lambda: rng.randint(1, 3))
    padding = rng.choice(["same", "same", "valid"])
    extra: tuple[int, ...] | None = None
    if rng.random() < 0.5:
        # "same" of an even reach with output padding 0 is (input-1) * stride, which TensorFlow refuses.
        even = [(d * (k - 1)) % 2 == 1 for d, k in zip(dilation, kernel, strict=True)]
        extra = tuple(rng.randrange(s) for s in stride)
        if padding == "same":
            if any(e and s == 1 for e, s in zip(even, stride, strict=True)):
                extra = None
            else:
                extra = tuple(max(o, int(e)) for o, e in zip(extra, even, strict=True))
    name = f"keras.layers.Conv{a}DTranspose({rng.randint(1, 3)}, {kernel}"
    said = f"strides={stride}, padding={padding!r}, output_padding={extra}, dilation_rate={dilation}"
    more = ", data_format='channels_first'" if channels_first else ""
    return f"{name}, {said}, use_bias=False, kernel_initializer='zeros'{more})"


def check_read(count: int, reading: str) -> int:
    """How many of the calls read differ from the usual reading."""
    rng = random.Random(SEED)
    moved = 0
    for number in range(count):
        a = rng.choice([1, 2, 2, 3])
        kernel = axes_of(rng, a, lambda: rng.randint(1, 5))
        channels_first = rng.random() < 0.2
        text = call_of(rng, a, kernel, channels_first)
        # XLA aborts when it compiles some with an input size of 1 and uneven padding (jaxlib 0.10.2).
        beside = {"input": axes_of(rng, a, lambda: rng.randint(2, 5)), "channels": rng.randint(1, 3)}

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            layer = eval(text, {"keras": keras})
            layer.build(x.shape)
            layer.set_weights([w])
            return keras.ops.convert_to_numpy(layer(x))

        plain = read("keras", text, **beside).geometry
        seen = was_read(
            "keras", text, call, channels_last=not channels_first, seed=number, reading=reading, **beside
        )
        moved += seen != plain
    return moved


def ones() -> list[float]:
    """1, 2, 3, 4, 5 under a kernel of three ones, stride 2, "same"."""
    layer = keras.layers.Conv1DTranspose(1, 3, strides=2, padding="same", kernel_initializer="ones")
    made = layer(np.arange(1, 6, dtype=np.float32).reshape(1, 5, 1))
    return keras.ops.convert_to_numpy(made).ravel().tolist()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Keras 3.14 warns of the very difference that is tested
    to_write, to_read, reading = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    done = written("keras", geometries(to_write, SEED), run, channels_last=True) if to_write else 0
    moved = check_read(to_read, reading)
    result = {"backend": keras.backend.backend(), "version": keras.__version__, "written": done}
    print(json.dumps({**result, "read": to_read, "moved": moved, "ones": ones()}))
