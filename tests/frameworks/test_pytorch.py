"""PyTorch: what is written runs, and calls in PyTorch's own words are read as PyTorch computes them."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

from tests.frameworks.checks import was_read, written
from tests.frameworks.problems import axes_of, geometries

SEED = 11


def run(code: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    names = {"x": torch.tensor(x), "w": torch.tensor(w)}
    exec(code, names)
    return names["y"].detach().numpy()


def test_written() -> None:
    assert written("pytorch", geometries(600, SEED), run, channels_last=False) == 600


def test_read() -> None:
    rng = random.Random(SEED)
    sized = count = 0
    while count < 500:
        a, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 1, 2])
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        dilation = axes_of(rng, a, lambda: rng.choice([1, 1, 2]))
        kernel = axes_of(rng, a, lambda: rng.randint(1, 5))
        padding = axes_of(rng, a, lambda: rng.randint(0, 2))
        sizes = axes_of(rng, a, lambda: rng.randint(2, 5))
        extra = tuple(rng.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True))
        least = [
            (i - 1) * s - 2 * p + d * (k - 1) + 1
            for i, s, p, d, k in zip(sizes, stride, padding, dilation, kernel, strict=True)
        ]
        if min(least) < 1:
            continue
        channels = f"{groups * rng.randint(1, 3)}, {groups * rng.randint(1, 3)}"
        name = f"nn.ConvTranspose{a}d"
        text = rng.choice(
            [
                f"{name}({channels}, {kernel}, {stride}, {padding}, {extra}, {groups}, False, {dilation})",
                f"torch.{name}({channels}, kernel_size={list(kernel)}, stride={stride}, padding={padding}, "
                f"output_padding={extra}, dilation={dilation}, groups={groups}, bias=False)",
            ]
        )
        size = ""
        if rng.random() < 0.3:  # it takes up to stride - 1 cells more, whatever the dilation
            size = f", output_size={[n + rng.randrange(s) for n, s in zip(least, stride, strict=True)]}"
            sized += 1

        def call(x: np.ndarray, w: np.ndarray, text: str = text, size: str = size) -> np.ndarray:
            layer = eval(text, {"nn": nn, "torch": torch})
            layer.weight.data = torch.tensor(w)
            return eval(f"layer(x{size})", {"layer": layer, "x": torch.tensor(x)}).detach().numpy()

        was_read("pytorch", f"y = {text}(x{size})", call, channels_last=False, seed=count, input=sizes)
        count += 1
    assert sized > 100


def test_read_functions() -> None:
    text = "F.conv_transpose2d(x, torch.ones(4, 3, 3, 2), None, 2, (1, 0), 1, 2)"

    def call(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return torch.conv_transpose2d(torch.tensor(x), torch.tensor(w), None, 2, (1, 0), 1, 2).numpy()

    geometry = was_read("pytorch", text, call, channels_last=False, seed=0, input=5)
    assert str(geometry) == "n1 c4>6 i5x5 k3x2 s2 p1x0 o1 g2"
