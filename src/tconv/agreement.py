"""How far outputs of two models differ, and how far they may, where the model itself amplifies rounding."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["allowed", "difference", "largest"]

Array: TypeAlias = np.ndarray[Any, Any]

#: The multiple of the model's own differences under other rounding that is allowed.
_NOISE = 10


def difference(one: Array, two: Array) -> float:
    """The largest absolute difference; infinite if shapes, dtypes or non-finite values differ.

    >>> difference(np.array([1.0, np.nan]), np.array([1.5, np.nan]))
    0.5
    """
    if one.shape != two.shape or one.dtype != two.dtype:
        return np.inf
    if one.dtype.kind not in "fiubc":
        return 0.0 if bool((one == two).all()) else np.inf
    a, b = _wide(one), _wide(two)
    odd = ~np.isfinite(a)
    if not np.array_equal(odd, ~np.isfinite(b)) or not np.array_equal(a[odd], b[odd], equal_nan=True):
        return np.inf
    return float(np.abs(a[~odd] - b[~odd]).max(initial=0.0))


def largest(array: Array) -> float:
    """The largest absolute value among the finite ones; 0 for what is not a number."""
    if array.dtype.kind not in "fiubc":
        return 0.0
    wide = _wide(array)
    return float(np.abs(wide[np.isfinite(wide)]).max(initial=0.0))


def allowed(share: float, of: float, noise: float) -> float:
    """The difference that is allowed: a share of the largest value, or ten times the model's own, if more.

    `noise` is by how much the outputs of the original differ where only its rounding does. A model that
    amplifies rounding does so whatever computes its layers.

    >>> allowed(1e-4, 2.0, 1e-7), allowed(1e-4, 2.0, 1e-3)
    (0.0002, 0.01)
    """
    return max(share * of, _NOISE * noise if np.isfinite(noise) else 0.0)


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
