"""Shrinkage: the minimiser of weight/2 (x - v)^2 + |x|^p for each number v, with 0 < p <= 1.

It is closed for p = 1 (soft thresholding).  For p < 1 the minimiser is 0 up to a threshold and beyond it the
larger root of weight (x - v) + p x^(p-1) = 0.  The left side is convex and rises between that root and v,
so Newton's method from x = v falls to the root and cannot overshoot.

Source: Krishnan and Fergus, "Fast Image Deconvolution using Hyper-Laplacian Priors", NIPS 2009, who use a
table where this module uses Newton's method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError

__all__ = ["shrink", "threshold"]

_STEPS = 6  # Newton's error is below the spacing of float64 after five, from the worst v on


def threshold(weight: float, p: float) -> float:
    """The largest |v| whose minimiser is 0.

    >>> threshold(2.0, 1.0)
    0.5
    """
    if p == 1:
        return 1 / weight
    smallest = (2 * (1 - p) / weight) ** (1 / (2 - p))  # the smallest minimiser that is not 0
    return float(smallest + p / weight * smallest ** (p - 1))


def shrink(values: npt.NDArray[Any], weight: float, p: float) -> npt.NDArray[Any]:
    """The minimiser of weight/2 (x - v)^2 + |x|^p for each v of `values`, of their shape and dtype.

    Raises:
        TconvError: `weight` is not positive, or p is not above 0 and at most 1.

    >>> shrink(np.array([-3.0, 0.4, 1.0]), weight=2.0, p=1.0)
    array([-2.5,  0. ,  0.5])
    """
    check_exponent(p)
    if not weight > 0:
        raise TconvError(f"weight={weight}: a shrinkage needs a positive weight")
    if p == 1:
        return np.asarray(np.sign(values) * np.maximum(np.abs(values) - values.dtype.type(1 / weight), 0))
    result = np.zeros_like(values)
    kept = np.abs(values) > threshold(weight, p)
    far = np.abs(values[kept])
    root = far.copy()
    for _ in range(_STEPS):
        slope = p / weight * root ** (p - 2)
        root -= (root - far + slope * root) / (1 + (p - 1) * slope)
    result[kept] = np.copysign(root, values[kept])
    return result


def check_exponent(p: float) -> None:
    """Raise `TconvError` for an exponent that the minimiser is not known for."""
    if not 0 < p <= 1:
        raise TconvError(f"p={p}: the exponent of the sparsity term must be above 0 and at most 1")
