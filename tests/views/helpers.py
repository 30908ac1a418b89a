"""Plain forms of what the tests compare with: one image, a sliding window, a matrix."""

from __future__ import annotations

import numpy as np

from tconv.geometry import Geometry
from tconv.views import triplets


def plane(values: object) -> np.ndarray:
    """One image, one channel."""
    array = np.asarray(values)
    return array.reshape(1, 1, *array.shape)


def slide(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Sliding sums of window * image with stride 1: correlation, as frameworks' `conv` has it."""
    k = window.shape
    sizes = [n - m + 1 for n, m in zip(image.shape, k, strict=True)]
    made = np.zeros(sizes, np.result_type(image, window))
    for at in np.ndindex(*sizes):
        made[at] = np.sum(image[tuple(slice(a, a + m) for a, m in zip(at, k, strict=True))] * window)
    return made


def dense(kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """C^T of one channel pair as an ordinary matrix."""
    rows, cols, vals = triplets(kernel, geometry)
    matrix = np.zeros((np.prod(geometry.output), np.prod(geometry.input)), vals.dtype)
    matrix[rows, cols] = vals
    return matrix
