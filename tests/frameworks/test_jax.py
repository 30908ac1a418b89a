"""JAX: what is written runs, and calls with words, numbers and other layouts are read as it computes them."""

from __future__ import annotations

import random

import numpy as np
from jax import lax

from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 13
LETTERS = {1: "H", 2: "HW", 3: "HWD"}


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    names = {"x": x, "w": w}
    exec(code, names)
    return np.asarray(names["y"])


def test_written() -> None:
    assert written("jax", geometries(500, SEED), run, channels_last=True) == 500


def test_read() -> None:
    rng = random.Random(SEED)
    words = set()
    count = 0
    while count < 500:
        a = rng.choice([1, 2, 2, 3])
        # XLA aborts when it compiles some with an input size of 1 and uneven padding (jaxlib 0.10.2).
        kernel = axes_of(rng, a, lambda: rng.randint(1, 4))
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        dilation = axes_of(rng, a, lambda: rng.choice([1, 1, 2]))
        sizes = axes_of(rng, a, lambda: rng.randint(2, 4))
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        full = [(i - 1) * s + span for i, s, span in zip(sizes, stride, spans, strict=True)]
        how = rng.choice(["SAME", "VALID", "pairs", "forward"])
        words.add(how)
        sides = [(rng.randint(-1, 2), rng.randint(-1, 2)) for _ in range(a)]
        if (
            how in ("pairs", "forward")
            and min(f - sum(pair) for f, pair in zip(full, sides, strict=True)) < 1
        ):
            continue
        inserted = tuple((span - 1 - lo, span - 1 - hi) for span, (lo, hi) in zip(spans, sides, strict=True))
        told = {"pairs": inserted, "forward": tuple(sides)}.get(how, how)
        text = f"lax.conv_transpose(x, w, {stride}, {told!r}, rhs_dilation={dilation}"
        text += ", use_consistent_padding=True" if how == "forward" else ""
        text += ", transpose_kernel=True" if rng.random() < 0.4 else ""
        spatial = LETTERS[a]
        kernels = rng.choice([None, None, f"{spatial}OI", f"IO{spatial}", f"O{spatial}I"])
        if kernels:
            data = rng.choice([f"N{spatial}C", f"NC{spatial}"])
            text += f", dimension_numbers={(data, kernels, data)}"

        def call(x: np.ndarray, w: np.ndarray, text: str = text) -> np.ndarray:
            return np.asarray(eval(text + ")", {"lax": lax, "x": x, "w": w}))

        beside = {"input": sizes, "kernel": kernel, "channels": (rng.randint(1, 3), rng.randint(1, 3))}
        last = f"'NC{spatial}'" not in text
        was_read("jax", text + ")", call, channels_last=last, seed=count, **beside)
        count += 1
    assert words == {"SAME", "VALID", "pairs", "forward"}


def test_read_general() -> None:
    """What is written for groups is read back, with JAX's own default layout too."""
    text = (
        "lax.conv_general_dilated(x, jnp.ones((6, 2, 3, 2)), (1, 1), ((2, 1), (0, 1)), lhs_dilation=(2, 3), "
        "rhs_dilation=(1, 2), feature_group_count=2)"
    )

    def call(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        made = lax.conv_general_dilated(
            x,
            w,
            (1, 1),
            ((2, 1), (0, 1)),
            lhs_dilation=(2, 3),
            rhs_dilation=(1, 2),
            feature_group_count=2,
        )
        return np.asarray(made)

    geometry = was_read("jax", text, call, channels_last=False, seed=0, input=(4, 3))
    assert str(geometry) == "n1 c4>6 i4x3 k3x2 s2x3 p0:1x2:1 d1x2 g2"
