"""What tests of tconv.jax share: problems, arrays, and the same maps by XLA."""

from __future__ import annotations

import random
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import integer_arrays

#: Every option once: groups, dilation, pairs, negative padding, output padding; one to three axes.
MIXED = [
    Geometry.parse(problem)
    for problem in (
        "n2 c4>6 i5x4 k3x2 s2x3 p1:0x-1:2 o1x0 d1x2 g2",
        "n2 c3>2 i6 k4 s2 p1",
        "n1 c2>4 i3x2x3 k2x3x2 s2x1x2 p0:1x1x0 g2",
        "n3 c2>3 i4 k3 o1 d2",  # dilation over stride: several inputs reach one output
        "n2 c5>5 i4x5 k4 s2 p1 g5",
    )
]


def arrays(geometry: Geometry, dtype: Any = np.float32, seed: int = 0) -> list[Array]:
    """x, weight, bias, y: small whole numbers, so that every order of summation gives the same."""
    return [jnp.asarray(array) for array in integer_arrays(geometry, dtype, seed)]


def lax_conv_transpose(x: Any, weight: Any, g: Geometry) -> Array:
    """Zeros between the inputs, the turned kernel, groups: all that XLA needs for the transposed layer."""
    recipe = g.zero_insertion()
    split = weight.reshape(g.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    turned = jnp.flip(split.reshape(g.out_channels, -1, *g.kernel), range(2, 2 + g.axes))
    return lax.conv_general_dilated(
        x,
        turned,
        (1,) * g.axes,
        recipe.around,
        lhs_dilation=g.stride,
        rhs_dilation=g.dilation,
        feature_group_count=g.groups,
    )


def lax_conv(y: Any, weight: Any, g: Geometry) -> Array:
    """The convolution that `g` transposes."""
    made = lax.conv_general_dilated(
        y, weight, g.stride, g.padding, rhs_dilation=g.dilation, feature_group_count=g.groups
    )
    return made[(..., *(slice(size) for size in g.input))]


def random_geometries(count: int, seed: int) -> list[Geometry]:
    """Small ones of every option."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        axes, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 1, 2, 3])
        stride = [rng.randint(1, 4) for _ in range(axes)]
        dilation = [rng.choice([1, 1, 2, 3]) for _ in range(axes)]
        try:
            geometry = Geometry.make(
                batch=rng.randint(1, 3),
                in_channels=groups * rng.randint(1, 3),
                out_channels=groups * rng.randint(1, 3),
                input=[rng.randint(2, 5) for _ in range(axes)],  # XLA aborts on some inputs of size 1
                kernel=[rng.randint(1, 5) for _ in range(axes)],
                stride=stride,
                padding=[(rng.randint(-2, 3), rng.randint(-2, 3)) for _ in range(axes)],
                output_padding=[rng.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True)],
                dilation=dilation,
                groups=groups,
            )
        except TconvError:  # cropped to nothing
            continue
        found.append(geometry)
    return found
