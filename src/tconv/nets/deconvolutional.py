"""Deconvolutional networks: layers of sparse maps, the maps of each being the input of the next.

Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional Networks", CVPR 2010.  `SparseLayer` is a layer and
its cost, `infer` finds the maps of a picture, and `learn_filters` moves the
filters for given maps.  An epoch of learning is both, for one layer; it needs no labels, and since layers are
learned one after the other, no gradient passes through a layer.

>>> import numpy as np
>>> first = SparseLayer.random(all_connected(3, 1), kernel=5, strength=2.0)
>>> second = SparseLayer.random(singles_and_pairs(3), kernel=3, strength=2.0)
>>> net = DeconvNet((first, second), Continuation(last=4))
>>> maps = net.infer(np.ones((1, 1, 12, 12), np.float32))
>>> [each.shape for each in maps]
[(1, 3, 16, 16), (1, 6, 18, 18)]
>>> net.rebuild(maps[1], layer=2).shape
(1, 1, 12, 12)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tconv.errors import TconvError
from tconv.nets.sparse_coding import Continuation, Step, alternations, infer, refine
from tconv.nets.sparse_layer import Array, SparseLayer, all_connected, singles_and_pairs
from tconv.ops import conv_transpose

__all__ = [
    "Continuation",
    "DeconvNet",
    "Epoch",
    "SparseLayer",
    "Step",
    "all_connected",
    "alternations",
    "infer",
    "learn_epoch",
    "learn_filters",
    "refine",
    "singles_and_pairs",
]


@dataclass(frozen=True, slots=True, eq=False)
class DeconvNet:
    """Layers from the picture upwards; the channels of each are the maps of the one below."""

    layers: tuple[SparseLayer, ...]
    continuation: Continuation = field(default_factory=Continuation)

    def __post_init__(self) -> None:
        if not self.layers:
            raise TconvError("a deconvolutional network without layers; at least 1 would fit")
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False), 2):
            maps, channels = len(below.filters), above.filters.shape[1]
            if maps != channels:
                raise TconvError(f"layer {number} has {channels} channels; {maps}, the maps below, would fit")

    def infer(self, picture: Array) -> list[Array]:
        """The sparse maps of every layer for pictures (n, channels, h, w), lowest layer first."""
        maps: list[Array] = []
        for layer in self.layers:
            maps.append(infer(layer, maps[-1] if maps else picture, self.continuation))
        return maps

    def rebuild(self, maps: Array, layer: int) -> Array:
        """The pictures that the maps of a layer (counted from 1) stand for, through all layers below it."""
        for each in reversed(self._up_to(layer)):
            maps = each.rebuild(maps)
        return maps

    def projected(self, layer: int) -> Array:
        """What one unit of each map of a layer paints: (maps, channels, h, w) of the picture."""
        top, *below = reversed(self._up_to(layer))
        painted = top.filters
        for each in below:
            painted = np.asarray(conv_transpose(painted, each.filters))
        return painted

    def _up_to(self, layer: int) -> tuple[SparseLayer, ...]:
        if not 1 <= layer <= len(self.layers):
            raise TconvError(f"layer {layer}: this network has layers 1 to {len(self.layers)}")
        return self.layers[:layer]


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """What an epoch of learning leaves, and what its inference found with the filters before it."""

    layer: SparseLayer
    cost: float  #: the mean cost of a picture
    error: float  #: the squared error as a share of the pictures' squares
    density: float  #: numbers of the maps that are not 0, per pixel
    used: int  #: maps that are not 0 in some picture


def learn_filters(layer: SparseLayer, maps: Array, pictures: Array, steps: int) -> SparseLayer:
    """The layer after some steps of gradient descent on its filters, for fixed maps (n, ...) and pictures.

    The step size is the one that minimises the error along the gradient, which is quadratic.  Then the norms
    are brought back to 1.  A step that does not lower the error is not made, and is the last.
    """
    error = _squared(layer.rebuild(maps) - pictures)
    for _ in range(steps):
        gradient = layer.filters_gradient(maps, pictures)
        effect = layer.strength * _squared(_along(layer, gradient, maps))
        size = _squared(gradient) / effect if effect > 0 else 0.0
        moved = layer.with_filters(layer.filters - gradient.dtype.type(size) * gradient)
        after = _squared(moved.rebuild(maps) - pictures)
        if not after < error:
            break
        layer, error = moved, after
    return layer


def learn_epoch(
    layer: SparseLayer,
    pictures: Array,
    continuation: Continuation,
    steps: int,
    *,
    after_picture: Callable[[], None] = lambda: None,
) -> Epoch:
    """Infer the maps of pictures (n, channels, h, w), from zeros, and learn the filters for them.

    The result depends on the layer and the pictures alone, so that learning can go on from stored filters.
    `after_picture` is called after each inference.
    """
    inferred = []
    for picture in pictures:
        inferred.append(infer(layer, picture[None], continuation))
        after_picture()
    maps = np.concatenate(inferred)
    return Epoch(
        layer=learn_filters(layer, maps, pictures, steps),
        cost=float(layer.cost(maps, pictures).mean()),
        error=_squared(layer.rebuild(maps) - pictures) / _squared(pictures),
        density=float(np.count_nonzero(maps) / (pictures.size // pictures.shape[1])),
        used=int(np.count_nonzero(maps.any(axis=(0, 2, 3)))),
    )


def _along(layer: SparseLayer, direction: Array, maps: Array) -> Array:
    padding = tuple(size - 1 for size in direction.shape[2:])
    return np.asarray(conv_transpose(maps, direction, padding=padding))


def _squared(array: Array) -> float:
    return float(np.sum(array**2, dtype=np.float64))
