"""The fixed interpolations as kernels of a transposed convolution: nearest, bilinear, bicubic.

A filter for factor f has stride f and a padding that makes the output exactly input * f, with half-pixel
centres (`align_corners=False`).  Learned upsampling starts from these, and is compared with them.

At the borders they differ from a resize, which repeats the edge; a transposed convolution sees zeros there.

>>> import numpy as np
>>> from tconv.geometry import Geometry
>>> from tconv.views import scatter
>>> g = Geometry.make(in_channels=1, out_channels=1, input=3, **options("bilinear", 2))
>>> scatter(np.array([[[1.0, 2.0, 3.0]]]), bilinear(2, 1)[None, None], g)[0, 0]  # a resize begins 1, ends 3
array([0.75, 1.25, 1.75, 2.25, 2.75, 2.25])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt

from tconv.arguments import checked
from tconv.errors import TconvError, unknown
from tconv.geometry.normalize import whole

__all__ = ["FILTERS", "bicubic", "bilinear", "make", "nearest", "options"]

Samples = npt.NDArray[np.float64]

CUBIC = -0.75  # the free parameter of Keys' kernel, as PyTorch and OpenCV set it
_MOST = 2**26  # taps: half a gigabyte


class Filter(NamedTuple):
    """An interpolation: its length for a factor, and its value at a distance in input pixels."""

    length: Callable[[int], int]
    value: Callable[[Samples], Samples]


def _cubic(distance: Samples) -> Samples:
    """Cubic convolution (Keys 1981) with its parameter a left free: cubics on [0, 1] and [1, 2]."""
    x, a = np.abs(distance), CUBIC
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


#: Name -> interpolation. Lengths have the parity of the factor, so that both sides are cropped equally.
FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        "nearest": Filter(lambda f: f, np.ones_like),
        "bilinear": Filter(lambda f: 2 * f - f % 2, lambda distance: 1 - np.abs(distance)),
        "bicubic": Filter(lambda f: 4 * f - f % 2, _cubic),
    }
)


def _filter(name: str, factor: SupportsIndex) -> tuple[Filter, int]:
    if name not in FILTERS:
        raise unknown("filter", name, FILTERS)
    whole_factor = whole("factor", factor)
    if whole_factor < 1:
        raise TconvError(f"{name} filter for factor {whole_factor}; the factor must be at least 1")
    return FILTERS[name], whole_factor


@checked
def options(name: str, factor: SupportsIndex) -> dict[str, int]:
    """The kernel, stride and padding with which the filter `name` makes the output input * factor.

    Bilinear, as FCN's code has it: k = 2f - f mod 2, s = f, p = ceil((f-1)/2).

    >>> options("bilinear", 2), options("nearest", 3), options("bicubic", 2)
    ({'kernel': 4, 'stride': 2, 'padding': 1}, {'kernel': 3, 'stride': 3, 'padding': 0}, \
{'kernel': 8, 'stride': 2, 'padding': 3})
    """
    found, f = _filter(name, factor)
    kernel = found.length(f)
    return {"kernel": kernel, "stride": f, "padding": (kernel - f) // 2}


@checked
def make(name: str, factor: SupportsIndex, rank: SupportsIndex) -> npt.NDArray[np.float64]:
    """The filter `name` for whole `factor` >= 1 and `rank` 1 to 3 axes, of shape (k,) * rank.

    The product of one line per axis; the taps of each phase sum to 1, those of all phases to factor**rank.
    """
    found, f = _filter(name, factor)
    axes = whole("rank", rank)
    if not 1 <= axes <= 3:
        raise TconvError(f"{name} filter of rank {axes}; 1, 2 or 3 would fit")
    if found.length(f) ** axes > _MOST:
        raise TconvError(
            f"{name} filter for factor {f} and {axes} axes: {found.length(f) ** axes:,} taps; "
            f"up to {_MOST:,} would fit"
        )
    taps = np.arange(found.length(f))
    line = found.value((taps - (len(taps) - 1) / 2) / f)
    return reduce(np.multiply.outer, [line] * axes)


@checked
def nearest(factor: SupportsIndex, rank: SupportsIndex) -> npt.NDArray[np.float64]:
    """Repeat every value `factor` times along each of `rank` axes: ones of shape (factor,) * rank.

    >>> nearest(2, 2)
    array([[1., 1.],
           [1., 1.]])
    """
    return make("nearest", factor, rank)


@checked
def bilinear(factor: SupportsIndex, rank: SupportsIndex) -> npt.NDArray[np.float64]:
    """Linear interpolation along each of `rank` axes, of shape (2*factor - factor % 2,) * rank.

    The filter that FCN's layers start from (Long, Shelhamer, Darrell 2015).

    >>> bilinear(2, 1)
    array([0.25, 0.75, 0.75, 0.25])
    >>> bilinear(3, 1) * 3
    array([1., 2., 3., 2., 1.])
    """
    return make("bilinear", factor, rank)


@checked
def bicubic(factor: SupportsIndex, rank: SupportsIndex) -> npt.NDArray[np.float64]:
    """Cubic convolution (Keys 1981, a = -0.75) along each of `rank` axes, (4*factor - factor % 2,) * rank.

    >>> bicubic(2, 1)[:4] * 256
    array([ -9., -27.,  67., 225.])
    """
    return make("bicubic", factor, rank)
