"""One layer of a deconvolutional network: a picture as a sum of sparse maps convolved with filters.

With z the maps, f the filters and y the layer's input, of which channel c is rebuilt from the maps that are
connected with it, the layer's cost is

    strength/2 * sum_c |sum_k f[k, c] * z[k] - y[c]|^2 + sum_k |z[k]|^p        (* is convolution)

Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional Networks", CVPR 2010.  The forward model is
`tconv.conv_transpose` with padding = kernel - 1: a map is larger than the picture by kernel - 1, so that
every pixel, at the border too, is a sum over whole filters.  The gradient in z is `tconv.conv` and the
gradient in f `tconv.conv_weight_gradient`, both of the residual.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.nets.shrinkage import check_exponent
from tconv.ops import conv, conv_transpose, conv_weight_gradient

__all__ = ["Array", "SparseLayer", "all_connected", "singles_and_pairs"]

Array: TypeAlias = npt.NDArray[Any]


def all_connected(maps: int, channels: int) -> Array:
    """Every map reaches every channel of the input: (maps, channels) of True."""
    return np.ones((maps, channels), bool)


def singles_and_pairs(channels: int) -> Array:
    """A map for each channel and one for each pair of channels: (channels (channels + 1) / 2, channels).

    >>> singles_and_pairs(3).astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1],
           [1, 1, 0],
           [1, 0, 1],
           [0, 1, 1]])
    """
    reached = [(c,) for c in range(channels)] + list(combinations(range(channels), 2))
    table = np.zeros((len(reached), channels), bool)
    for row, several in zip(table, reached, strict=True):
        row[list(several)] = True
    return table


@dataclass(frozen=True, slots=True, eq=False)
class SparseLayer:
    """The filters of a layer and its cost.

    `filters` is (maps, channels, h, w); the filters of each map, all channels together, have norm 1, and
    those that `connected`, (maps, channels), leaves out are 0.  `strength` weighs the error against the
    sparsity term, whose exponent is `p`, above 0 and at most 1.

    >>> layer = SparseLayer.random(all_connected(4, 1), kernel=5, strength=2.0, seed=0)
    >>> layer.rebuild(np.zeros((1, *layer.maps_of((20, 30))), np.float32)).shape
    (1, 1, 20, 30)
    """

    filters: Array
    connected: Array
    strength: float
    p: float = 1.0

    def __post_init__(self) -> None:
        check_exponent(self.p)
        if not 0 < self.strength < np.inf:
            raise TconvError(f"strength={self.strength}: must be positive")
        if self.filters.ndim != 4 or self.connected.shape != self.filters.shape[:2]:
            raise TconvError(
                f"filters of shape {self.filters.shape} do not fit connections of shape "
                f"{self.connected.shape}; (maps, channels, h, w) and (maps, channels) would"
            )
        if not self.connected.any(axis=1).all():
            raise TconvError(
                "a map that is connected with no channel has no filter; connect it, or leave it out"
            )

    @classmethod
    def random(
        cls,
        connected: Array,
        *,
        kernel: int,
        strength: float,
        p: float = 1.0,
        seed: int = 0,
        dtype: npt.DTypeLike = np.float32,
    ) -> SparseLayer:
        """A layer with normally distributed filters of norm 1, which `seed` determines."""
        draw = np.random.default_rng(seed)
        filters = draw.normal(size=(*connected.shape, kernel, kernel)).astype(dtype)
        return cls(np.zeros_like(filters), connected, strength, p).with_filters(filters)

    def with_filters(self, filters: Array) -> SparseLayer:
        """The layer with other filters: unconnected ones become 0, then each map's norm becomes 1."""
        masked = filters * self.connected[:, :, None, None]
        norms = np.sqrt(np.sum(masked**2, axis=(1, 2, 3), keepdims=True))
        return replace(self, filters=(masked / np.maximum(norms, np.finfo(norms.dtype).tiny)))

    @property
    def _padding(self) -> tuple[int, int]:
        return self.filters.shape[2] - 1, self.filters.shape[3] - 1

    def maps_of(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """The shape of the maps of a picture of this height and width."""
        (down, across), (height, width) = self._padding, size
        return len(self.filters), height + down, width + across

    def rebuild(self, maps: Array) -> Array:
        """The sum of the maps convolved with the filters: (n, maps, h+, w+) -> (n, channels, h, w)."""
        return np.asarray(conv_transpose(maps, self.filters, padding=self._padding))

    def correlate(self, picture: Array) -> Array:
        """The adjoint of `rebuild`: (n, channels, h, w) -> (n, maps, h+, w+)."""
        return np.asarray(conv(picture, self.filters, padding=self._padding))

    def cost(self, maps: Array, picture: Array) -> Array:
        """The cost of each picture of a batch, (n,)."""
        return self.cost_of(self.rebuild(maps), maps, picture)

    def cost_of(self, rebuilt: Array, maps: Array, picture: Array) -> Array:
        """`cost`, where the maps are already rebuilt."""
        error = rebuilt - picture
        sparsity = np.sum(np.abs(maps, dtype=np.float64) ** self.p, axis=(1, 2, 3))
        squares = np.sum(error**2, axis=(1, 2, 3), dtype=np.float64)
        return np.asarray(self.strength / 2 * squares + sparsity)

    def largest_gain(self, size: tuple[int, ...]) -> float:
        """A bound on the squared norm of `rebuild(maps)` over that of `maps`, for pictures of this size.

        `rebuild` is a part of the circular convolution over the size of the maps, whose largest gain is
        that of its frequencies.
        """
        (down, across), (height, width) = self._padding, size
        spectrum = np.fft.rfft2(self.filters, (height + down, width + across))
        gains = np.einsum("kcuv,kduv->uvcd", spectrum, spectrum.conj())
        return float(np.linalg.eigvalsh(gains)[..., -1].max())

    def maps_gradient(self, maps: Array, picture: Array) -> Array:
        """The gradient of the cost's first term in the maps."""
        return self.strength * self.correlate(self.rebuild(maps) - picture)

    def filters_gradient(self, maps: Array, picture: Array) -> Array:
        """The gradient of the cost's first term, summed over the batch, in the filters that are connected."""
        error = self.rebuild(maps) - picture
        gradient = conv_weight_gradient(maps, error, kernel=self.filters.shape[2:], padding=self._padding)
        return self.strength * np.asarray(gradient) * self.connected[:, :, None, None]
