"""Plausible layers drawn at random, which no list has."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from math import prod
from random import Random
from typing import TypeVar

from tconv.geometry import Geometry

__all__ = ["draw"]

Item = TypeVar("Item")

_AXES = (1, 1, 2, 2, 2, 2, 3)
#: (kernel, stride): kernels once, one and a half times, twice and three times the stride, and odd ones.
_KERNELS = (
    (2, 2), (3, 2), (4, 2), (5, 2), (6, 2), (7, 2), (9, 2), (3, 3), (5, 3), (9, 3), (4, 4), (7, 4), (8, 4),
    (10, 5), (11, 5), (16, 8), (3, 1),
)  # fmt: skip
_IN = (1, 3, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 512)
_OUT = (1, 2, 3, 4, 6, 8, 12, 16, 21, 24, 32, 48, 64, 96, 128, 256)
_BATCH = (1, 1, 1, 1, 2, 4)
_GROUPS = (2, 4, 8)

#: Multiplications of a layer, as powers of two: 4 to 256 million, of a depthwise one at most 16 million.
#: There are fewer where sides or numbers are limited, and more where that many would leave sides under 3.
_WORK, _DEPTHWISE_WORK = (22, 28), 24
#: Numbers in weights: at most 16 million, 64 MB; in an input or an output rarely more.
_NUMBERS = 1 << 24
#: The longest side, by the number of axes.
_SIDE = {1: 16000, 2: 400, 3: 48}


def draw(count: int, seed: int) -> list[tuple[str, Geometry]]:
    """`count` layers drawn from `seed`, as (name, Geometry); more of them begin with the same ones.

    They have one axis (2 of 7), two (4 of 7) or three (1 of 7), and batches of 1, 2 or 4. A kernel and its
    stride are one of seventeen pairs, the same along every axis, except that one in eight layers of several
    axes has kernel 3 and stride 1 along its first, as those of videos and spectrograms. The channels of each
    side are drawn from numbers usual in networks; 15 % of layers have 2, 4 or 8 groups, 10 % are depthwise.
    Padding is at most half of the kernel; 40 % may have output padding, below the stride. Sizes follow from
    a number of multiplications, drawn on a logarithmic scale, and vary by up to a factor of two.

    Only `Random.random` is called, which Python keeps the same across versions, and integers follow from it
    exactly, so that a seed gives the same layers everywhere.

    >>> for name, layer in draw(3, seed=1):
    ...     print(name, layer)
    r000 n4 c12>16 i12160 k8 s4
    r001 n2 c128>4 i30x46 k2 s2
    r002 n1 c48>48 i106x83 k5 s2 p2 g48
    """
    random = Random(seed)
    return [(f"r{number:03d}", _layer(random)) for number in range(count)]


def _below(random: Random, stop: int) -> int:
    return int(random.random() * stop)


def _pick(random: Random, items: Sequence[Item]) -> Item:
    return items[_below(random, len(items))]


def _layer(random: Random) -> Geometry:
    axes, batch = _pick(random, _AXES), _pick(random, _BATCH)
    kernel, stride = _pick(random, _KERNELS)
    kernels, strides = [kernel] * axes, [stride] * axes
    if axes > 1 and _below(random, 8) == 0:
        kernels[0], strides[0] = 3, 1
    inside, outside, groups = _channels(random)
    while (weights := inside // groups * outside * prod(kernels)) > _NUMBERS:
        inside, outside, groups = _channels(random)
    low, high = _WORK
    work = (16 + _below(random, 16)) << (low - 4 + _below(random, high - low))
    if 1 < groups == inside:
        work = min(work, 1 << _DEPTHWISE_WORK)
    side = min(
        _root(work // (batch * weights), axes),
        _root(_NUMBERS // (batch * max(inside, outside * prod(strides))), axes),
        _SIDE[axes],
    )
    sizes = [max(2, side * (70 + _below(random, 71)) // 100) for _ in range(axes)]
    halves = _below(random, 1 + (kernel - 1) // 2)
    padding = [min(halves, (k - 1) // 2) for k in kernels]
    more = _below(random, stride) if _below(random, 10) < 4 else 0
    return Geometry.make(
        batch=batch,
        in_channels=inside,
        out_channels=outside,
        input=sizes,
        kernel=kernels,
        stride=strides,
        padding=[(p, p) for p in padding],
        output_padding=[min(more, s - 1) for s in strides],
        groups=groups,
    )


def _channels(random: Random) -> tuple[int, int, int]:
    """Input channels, output channels, groups."""
    inside, outside, kind = _pick(random, _IN), _pick(random, _OUT), _below(random, 100)
    if kind < 15:
        groups = _pick(random, _GROUPS)
        return max(inside // groups, 1) * groups, max(outside // groups, 1) * groups, groups
    if kind < 25:
        return inside, inside, inside
    return inside, outside, 1


def _root(value: int, degree: int) -> int:
    """The largest whole number whose power is at most `value`, and at least 3."""
    return max(3, bisect(range(1, max(_SIDE.values()) + 1), value, key=lambda root: root**degree))
