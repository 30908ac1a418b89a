"""Is a checkerboard in the pictures? Their power at the frequencies of the strides, against real pictures.

A doubling that treats its phases unequally adds a pattern that repeats every 2 pixels of its own map: every
2 pixels of the picture for the last doubling, every 4 for the one before, whose map is half as fine, every 8
for the first of three. Real pictures have power at these frequencies, too. So each generator's power there
is divided by that of real pictures; and, since a blurred or noisy generator has another power at all high
frequencies, by the same ratio at the frequencies around them. This is the excess: 1 where there is no
pattern.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tconv.demos.dcgan.batches import Bytes

__all__ = ["decibels", "excess", "power"]

Doubles = npt.NDArray[np.float64]

#: Frequencies around a stride's that count as its surroundings: up to this many bins along each axis.
AROUND = 2


def power(pictures: Bytes) -> Doubles:
    """The mean power (N, N) of the discrete Fourier transforms of pictures (n, N, N); [0, 0] is the mean.

    The power of the rounding to bytes is added, so that it is nowhere zero, whatever the pictures are.
    """
    total = np.full(pictures.shape[1:], len(pictures) * pictures[0].size / 12 / 255**2)
    for start in range(0, len(pictures), 1000):
        part = pictures[start : start + 1000].astype(np.float64) / 255
        total += (np.abs(np.fft.fft2(part)) ** 2).sum(0)
    found: Doubles = total / len(pictures)
    return found


def excess(generated: Doubles, real: Doubles, periods: Sequence[int]) -> dict[int, float]:
    """For each period of pixels, how much more power the generated pictures have there than around.

    >>> real = np.ones((8, 8))
    >>> pattern = real.copy()
    >>> pattern[4, 0] = pattern[0, 4] = pattern[4, 4] = 3
    >>> excess(pattern, real, (2, 4))
    {2: 3.0, 4: 1.0}
    """
    size = len(real)
    combs = {period: _comb(size, period) for period in periods}
    every = set().union(*combs.values()) | {(0, 0)}
    found = {}
    for period, at in combs.items():
        own = at - set().union(*(other for p, other in combs.items() if p < period))
        beside = {
            ((u + a) % size, (v + b) % size)
            for u, v in own
            for a in range(-AROUND, AROUND + 1)
            for b in range(-AROUND, AROUND + 1)
        } - every
        ratio = _sum(generated, own) / _sum(real, own)
        found[period] = ratio / (_sum(generated, beside) / _sum(real, beside))
    return found


def decibels(generated: Doubles, real: Doubles) -> Doubles:
    """10 log10 of the ratio, with the frequency 0 in the middle."""
    ratio: Doubles = 10 * np.log10(np.fft.fftshift(generated / real))
    return ratio


def _comb(size: int, period: int) -> set[tuple[int, int]]:
    """The frequencies of what repeats every `period` pixels along both axes, but not the constant."""
    steps = range(0, size, size // period)
    return {(u, v) for u in steps for v in steps} - {(0, 0)}


def _sum(values: Doubles, at: set[tuple[int, int]]) -> float:
    return float(sum(values[place] for place in at))
