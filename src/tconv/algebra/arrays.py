"""What the identities have in common: checks of weights and options, and wide sums."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis, per_axis, whole

__all__ = ["Array", "check_room", "checked_groups", "counts", "read_weight", "rounded", "wide"]

Array: TypeAlias = npt.NDArray[Any]

_MOST_VALUES = 2**26  # half a gigabyte of float64


def read_weight(weight: Any) -> Array:
    """`weight` as an array with 1 to 3 kernel axes, none of them empty.

    >>> read_weight([[[1, 2]]]).shape
    (1, 1, 2)
    """
    array = np.asarray(weight)
    if not 3 <= array.ndim <= 5 or 0 in array.shape:
        raise TconvError(
            f"weight has shape {array.shape}; (in, out/groups, *kernel), 1 to 3 kernel axes, none empty, "
            "would fit"
        )
    return array


def counts(name: str, value: PerAxis, axes: int) -> tuple[int, ...]:
    """An option as one int per axis, each at least 1."""
    found = per_axis(name, value, axes)
    if min(found) < 1:
        raise TconvError(f"{name}={value!r}; at least 1 per axis would fit")
    return found


def checked_groups(weight: Array, groups: int) -> int:
    """`groups` as an int that divides the first axis of `weight`."""
    number = whole("groups", groups)
    if number < 1 or weight.shape[0] % number:
        raise TconvError(
            f"{number} groups for a weight of shape {weight.shape}; a divisor of {weight.shape[0]} would fit"
        )
    return number


def check_room(values: int, before: int, most: int = _MOST_VALUES) -> None:
    """Refuse weights of more than `most` values (2^26), if they are more than four times as many as `before`.

    >>> check_room(2**40, 9)
    Traceback (most recent call last):
        ...
    tconv.errors.TconvError: 1,099,511,627,776 weights for 9 now; up to 67,108,864 would fit
    """
    most = max(most, 4 * before)
    if values > most:
        raise TconvError(f"{values:,} weights for {before:,} now; up to {most:,} would fit")


def wide(array: Array) -> Array:
    """`array` in a wider dtype for sums: half precision becomes float64, int8 int64.

    >>> wide(np.float16([1])).dtype, wide(np.int8([1])).dtype, wide(np.complex64([1])).dtype
    (dtype('float64'), dtype('int64'), dtype('complex128'))
    """
    if array.dtype.kind in "iuO":
        return array.astype(np.int64) if array.dtype.itemsize < 8 else array
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def rounded(array: Array, like: Array) -> Array:
    """`array` in the dtype of `like`, or unchanged if that is an integer dtype.

    Raises:
        TconvError: numbers that are too large for that dtype.

    >>> rounded(np.float64([1e5]), np.float16([1]))
    Traceback (most recent call last):
        ...
    tconv.errors.TconvError: new values of up to 1e+05 are beyond float16; a wider dtype would fit
    """
    if like.dtype.kind in "iub":
        return array
    if like.dtype.kind in "fc" and array.size:
        largest = float(np.abs(array).max())
        if np.isfinite(largest) and largest > float(np.finfo(like.dtype).max):
            raise TconvError(
                f"new values of up to {largest:.3g} are beyond {like.dtype}; a wider dtype would fit"
            )
    return array.astype(like.dtype)
