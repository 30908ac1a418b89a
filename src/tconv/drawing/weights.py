"""Weights to draw: from a file, by a filter's name, or an array; checked and normalized."""

from __future__ import annotations

import os.path
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv import filters
from tconv.arguments import checked
from tconv.drawing.picture import sizes
from tconv.errors import TconvError, unknown
from tconv.files import read_npy
from tconv.geometry import Geometry

__all__ = ["load", "pairs"]

_LARGEST = 1e100  # sums of products must stay finite


@checked
def load(name: str, geometry: Geometry) -> npt.NDArray[Any]:
    """The filter of `tconv.filters` of that name for the stride, or the array of a .npy file.

    Raises:
        TconvError: no such filter or file, a filter of another size than the kernel, or a file without array.
    """
    if name in filters.FILTERS:
        kernel = tuple(filters.options(name, s)["kernel"] for s in geometry.stride)
        if kernel != geometry.kernel:
            raise TconvError(
                f"{geometry}: the {name} filter for stride {sizes(geometry.stride)} has a kernel of "
                f"{sizes(kernel)}; k{sizes(kernel)} would fit"
            )
        result: npt.NDArray[Any] = reduce(
            np.multiply.outer, [filters.make(name, s, 1) for s in geometry.stride]
        )
        return result
    path = Path(name)
    if not path.suffix and not os.path.exists(path):
        raise unknown("weights", name, [*filters.FILTERS, "FILE.npy"], " as a filter or file")
    return read_npy(path)


def pairs(weights: npt.ArrayLike, geometry: Geometry) -> npt.NDArray[np.float64]:
    """The weights as (pairs of channels, *kernel), from the layer's whole shape or from one kernel.

    Raises:
        TconvError: another shape, numbers that are not real, or values that are NaN, infinite or too large.
    """
    given = np.asarray(weights)
    if given.shape not in (geometry.weight_shape, geometry.kernel):
        raise TconvError(
            f"{geometry}: weights of shape {given.shape}; {geometry.weight_shape}, "
            f"or {geometry.kernel} for one pair of channels, would fit"
        )
    if given.dtype.kind not in "biuf":
        raise TconvError(f"{geometry}: weights of dtype {given.dtype}; real numbers would fit")
    numbers = given.astype(np.float64).reshape(-1, *geometry.kernel)
    bad = np.count_nonzero(~np.isfinite(numbers))
    if bad:
        raise TconvError(
            f"{geometry}: {bad} of {numbers.size} weights are NaN or infinite; finite ones would fit"
        )
    if np.abs(numbers).max() > _LARGEST:
        raise TconvError(
            f"{geometry}: weights of {np.abs(numbers).max():.0e}; up to {_LARGEST:.0e} would fit"
        )
    return numbers
