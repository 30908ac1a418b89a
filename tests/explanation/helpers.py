"""Stacks of layers, and impulses and ones that are sent through them by the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tconv.documents import Line
from tconv.explanation import Explanation, explain_stack
from tconv.geometry import Geometry
from tconv.views import scatter

STACKS = [
    pytest.param(problems, id=" | ".join(problems))
    for problems in (
        ["n1 c8>4 i7x7 k4 s2 p1", "k4 s2 p1"],
        ["n1 c8>4 i5x7 k3 s2 p1 o1", "k3 s2 p1 o1", "c4>2 k3 p1"],
        ["n1 c2>2 i9 k5 s3", "k2 s2", "k3 s1 p0:2"],
        ["n1 c2>2 i6x5 k2 s3", "k3 s2 d2 p1"],  # gaps
        ["n1 c4>4 i6x4 k4x3 s2x1 p-1:2x1 g2", "k3x5 s1x2 p1x2 o0x1 d2x1 g4"],
        ["n1 c1>1 i1x1 k4", "k4 s2 p1", "k5 s2 p2 o1"],
        ["n1 c1>1 i3x3 k3 s2 p3:1", "k3 s4 p1"],
        ["n1 c1>1 i2x3x2 k2 s2", "k3 s2 p1"],
    )
]


def explained(problems: list[str], only: str | None = None) -> tuple[Explanation, list[Geometry]]:
    found = explain_stack(problems, only=only)
    return found, [Geometry.parse(text) for text in found.problem.split(" | ")]


def through(x: np.ndarray, geometries: list[Geometry], *, ones: bool = True, seed: int = 0) -> np.ndarray:
    """The layers by the definition, with kernels of ones or of random integers."""
    rng = np.random.default_rng(seed)
    for g in geometries:
        weight = np.ones(g.weight_shape, int) if ones else rng.integers(-4, 5, g.weight_shape)
        x = scatter(x, weight, g)
    return x


def plain(geometries: list[Geometry], more: int = 0) -> list[Geometry]:
    """The layers with one channel, and `more` inputs at each axis of the first one."""
    made: list[Geometry] = []
    for g in geometries:
        size = made[-1].output if made else tuple(i + more for i in g.input)
        made.append(replace(g, batch=1, in_channels=1, out_channels=1, groups=1, input=size))
    return made


def single_axis(geometries: list[Geometry], a: int, more: int = 0) -> list[Geometry]:
    """One axis of `plain`."""
    return [
        replace(
            g,
            **{name: (getattr(g, name)[a],) for name in ("input", "kernel", "stride", "padding")},
            **{name: (getattr(g, name)[a],) for name in ("output_padding", "dilation")},
        )
        for g in plain(geometries, more)
    ]


def jacobian(line: list[Geometry]) -> np.ndarray:
    """(outputs, inputs) of one axis: an impulse at each input, sent through kernels of ones."""
    size = line[0].input[0]
    rows = [through(np.eye(size, dtype=int)[None, None, i], line)[0, 0] for i in range(size)]
    return np.stack(rows, axis=1)


def texts(found: Explanation, name: str) -> str:
    return " ".join(item.text for item in found[name].items if isinstance(item, Line))
