"""The share of spectral images in a layer's output: copies of the input's spectrum that inserted zeros make.

Inserting s-1 zeros repeats the spectrum X(s w) of the input s times over -pi < w <= pi. The kernel W(w)
should keep the copy around zero and suppress the others, the images, which appear as grain, checkerboards or
a metallic sound. (Crochiere & Rabiner, Multirate Digital Signal Processing, 1983, section 2.3.)

The input is modelled as a stationary signal whose neighbours have correlation rho along each axis, R(n) =
rho^abs(n): rho = 0 is white noise, 1 a constant, and 0.95 the usual model of pictures (Jain, Fundamentals of
Digital Image Processing, 1989). With the autocorrelation a(l) of the kernel, its taps d apart, the mean power
of the output and of its part below pi/s are, up to a common factor,

    P    = sum of a(l) R(l d/s) over the l with l d divisible by s,
    Base = 1/s * sum of a(l) R~(l d/s) over all l,    R~(x) = sum_n R(n) sinc(x - n),

since the integral of S(t) cos(x t) over -pi..pi is R interpolated by sinc. For several axes the factors are
multiplied. The share of images is 1 - Base/P: at rho = 1 it is the square of `ripple`. The input gradient
applies the same kernel and then decimates, so the share at rho = 0 is the aliased part of a white gradient.
"""

from __future__ import annotations

from functools import reduce
from math import ceil, log

import numpy as np

from tconv.algebra.arrays import Array, counts, read_weight, wide
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis

__all__ = ["image_share"]

_SMALLEST = 1e-17  # correlations below it change no digit of a float64


@checked
def image_share(weight: Array, stride: PerAxis, dilation: PerAxis = 1, correlation: float = 0.0) -> float:
    """The share of the output's power that lies in images, 0 to 1, over all channel pairs together.

    Args:
        weight: (in, out/groups, *kernel).
        correlation: rho of neighbouring inputs, 0 to 1.

    Raises:
        TconvError: a correlation outside 0 to 1.

    >>> round(image_share(np.ones((1, 1, 2)), 2), 3)  # nearest upsampling of white noise: 1/2 - 1/pi
    0.182
    >>> round(image_share(np.ones((1, 1, 3)), 2, correlation=1), 3)  # of a constant: gains 2 and 1
    0.1
    """
    if not 0 <= correlation <= 1:
        raise TconvError(f"correlation={correlation!r}; 0 (white noise) to 1 (a constant) would fit")
    array = read_weight(weight)
    axes = array.ndim - 2
    strides, dilations = counts("stride", stride, axes), counts("dilation", dilation, axes)
    lines = [
        _lines(k, s, d, float(correlation))
        for k, s, d in zip(array.shape[2:], strides, dilations, strict=True)
    ]
    power = _autocorrelation(array)
    base = float((power * reduce(np.multiply.outer, [line[0] for line in lines])).sum())
    total = float((power * reduce(np.multiply.outer, [line[1] for line in lines])).sum())
    # A bilinear filter has no images of a constant; rounding may give a tiny value of either sign.
    return min(max(1 - base / total, 0.0), 1.0) if total > 0 else 0.0


def _lines(k: int, s: int, d: int, rho: float) -> tuple[Array, Array]:
    """The factors of a(l) in Base and in P, for l = -(k-1) .. k-1."""
    lags = np.arange(1 - k, k)
    apart = lags * d / s
    if rho == 1:
        between = np.ones(2 * k - 1)
    elif rho == 0:
        between = np.sinc(apart)
    else:
        far = ceil(log(_SMALLEST) / log(rho))
        inputs = np.arange(-far, far + 1)
        powers = rho ** np.abs(inputs)
        between = np.array([float(powers @ np.sinc(x - inputs)) for x in apart])
    meets = lags * d % s == 0
    return between / s, np.where(meets, np.power(rho, np.abs(apart)), 0.0)


def _autocorrelation(weight: Array) -> Array:
    """The sum over pairs and taps of w(t) conj(w(t + l)), for each lag l from -(k-1) to k-1 per axis."""
    axes = tuple(range(1, weight.ndim - 1))
    sizes = [2 * k - 1 for k in weight.shape[2:]]
    spectrum = np.zeros(sizes)
    for of_input in weight:  # one input channel at a time bounds the memory
        values = np.asarray(wide(of_input), np.complex128 if weight.dtype.kind == "c" else np.float64)
        spectrum += (np.abs(np.fft.fftn(values, sizes, axes)) ** 2).sum(0)
    return np.fft.fftshift(np.fft.ifftn(spectrum).real)
