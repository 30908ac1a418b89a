"""The views on exact numbers of any length: they compute in 64 bits, so long numbers go through in pieces."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from tconv.explanation.numbers import Array, Exact, Numbers
from tconv.geometry import Geometry

__all__ = ["carried"]


def carried(view: Callable[..., Array], numbers: Numbers, geometry: Geometry) -> Exact:
    """What `view` makes of these numbers, exactly.

    >>> from tconv.explanation.numbers import read
    >>> from tconv.views import scatter
    >>> g = Geometry.parse("n1 c1>1 i1 k2")
    >>> made = carried(scatter, read(g, "123456789123.5", "1000000000001,0.1"), g)
    >>> [str(made[0, 0, o]) for o in range(2)]
    ['246913578247246913578247/2', '246913578247/20']
    """
    # A sum of `terms` products of two pieces stays below 2^62.
    terms = geometry.in_channels // geometry.groups * prod(geometry.kernel)
    bits = (62 - terms.bit_length()) // 2
    total = np.zeros(geometry.output_shape, object)
    # Each map is linear in both of its arrays, so the pieces' answers add up to the whole one.
    for i, x in enumerate(_pieces(numbers.x.whole, bits)):
        for j, weight in enumerate(_pieces(numbers.weight.whole, bits)):
            total += view(x, weight, geometry).astype(object) << bits * (i + j)
    return Exact(total, numbers.x.over * numbers.weight.over)


def _pieces(whole: Array, bits: int) -> list[Array]:
    """Arrays of 64-bit integers below 2^bits that, each shifted by `bits` more, add up to `whole`."""
    pieces = []
    signs = np.where(whole < 0, -1, 1)
    rest = np.abs(whole)
    while True:
        pieces.append(signs * (rest & (1 << bits) - 1).astype(np.int64))
        rest = rest >> bits
        if not rest.any():
            return pieces
