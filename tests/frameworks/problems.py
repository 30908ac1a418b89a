"""Seeded problems, small enough that hundreds of them run in seconds in a framework."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import load_cases

T = TypeVar("T")


def axes_of(rng: random.Random, axes: int, draw: Callable[[], T]) -> tuple[T, ...]:
    """One draw for all axes, or one an axis."""
    if rng.random() < 0.4:
        return (draw(),) * axes
    return tuple(draw() for _ in range(axes))


def geometries(count: int, seed: int, axes: tuple[int, ...] = (1, 2, 2, 2, 3)) -> list[Geometry]:
    """The small problems of tconv's own list, then random ones: every option, sides and signs of padding."""
    found = [g for _, g in load_cases() if g.axes in axes and g.batch and g.macs < 200_000]
    rng = random.Random(seed)
    while len(found) < count:
        a, groups = rng.choice(axes), rng.choice([1, 1, 1, 2, 3])
        stride = axes_of(rng, a, lambda: rng.randint(1, 4))
        dilation = axes_of(rng, a, lambda: rng.choice([1, 1, 1, 2, 3]))
        one_sided = rng.random() < 0.5
        try:
            geometry = Geometry.make(
                batch=rng.choice([1, 1, 2]),
                in_channels=groups * rng.randint(1, 3),
                out_channels=groups * rng.randint(1, 3),
                input=axes_of(rng, a, lambda: rng.randint(1, 5)),
                kernel=axes_of(rng, a, lambda: rng.randint(1, 5)),
                stride=stride,
                padding=[
                    (rng.randint(-3, 4), rng.randint(-4, 4)) if one_sided else (side, side)
                    for side in axes_of(rng, a, lambda: rng.randint(0, 3))
                ],
                output_padding=[rng.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True)],
                dilation=dilation,
                groups=groups,
            )
        except TconvError:  # cropped to nothing
            continue
        found.append(geometry)
    return found[:count]
