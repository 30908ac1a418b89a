"""Inference: the sparse maps of a picture under given filters, by continuation.

The sparsity term moves to auxiliary maps x, which a quadratic term ties to the maps z:

    strength/2 |F z - y|^2 + beta/2 |z - x|^2 + |x|^p

Both parts of an alternating minimisation are then easy: x is a shrinkage of z, number by number, and z is
the solution of (strength F'F + beta) z = strength F'y + beta x, by conjugate gradients.  As beta rises, x
and z come together, and x is the result.

The paper stops there, some ten percent above the minimum of the cost.  `refine` goes on from x by proximal
gradient steps with momentum, which converge much faster near the minimum.

Sources: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional Networks", CVPR 2010, section 2; Beck and
Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", 2009; O'Donoghue and Candes, "Adaptive Restart
for Accelerated Gradient Schemes", 2015.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tconv.errors import TconvError
from tconv.nets.shrinkage import shrink
from tconv.nets.sparse_layer import Array, SparseLayer

__all__ = ["Continuation", "Step", "alternations", "infer", "refine"]


@dataclass(frozen=True, slots=True)
class Continuation:
    """How beta rises from `first` by the factor `growth` up to `last`, and the work at each beta.

    `rounds` alternations at each beta, with `iterations` of conjugate gradients each; then `refinement`
    proximal gradient steps.
    """

    first: float = 1.0
    growth: float = 2.0
    last: float = 16.0
    rounds: int = 1
    iterations: int = 3
    refinement: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.last < np.inf or not self.growth > 1:
            raise TconvError(
                f"beta from {self.first} by {self.growth} to {self.last}: it must be positive and rise"
            )
        if min(self.rounds, self.iterations) < 1 or self.refinement < 0:
            raise TconvError(
                f"{self.rounds} rounds of {self.iterations} iterations and {self.refinement} steps of "
                "refinement; at least 1, 1 and 0 would fit"
            )

    def betas(self) -> Iterator[float]:
        """The values of beta, one after the other.

        >>> list(Continuation(first=1, growth=4, last=20).betas())
        [1, 4, 16]
        """
        beta = self.first
        while beta <= self.last:
            yield beta
            beta *= self.growth

    @property
    def applications(self) -> int:
        """How often `rebuild` and `correlate` are computed, counted together."""
        rounds = len(list(self.betas())) * self.rounds
        return 1 + 2 * rounds * (self.iterations + 1) + 2 * self.refinement + (self.refinement > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The state after one alternation at `beta`."""

    beta: float
    maps: Array  #: z, dense
    sparse: Array  #: x, the auxiliary maps that z was solved for

    def cost(self, layer: SparseLayer, picture: Array) -> Array:
        """The cost with the auxiliary maps, of each picture of the batch."""
        error = layer.rebuild(self.maps) - picture
        apart = self.maps - self.sparse
        sparsity = np.sum(np.abs(self.sparse, dtype=np.float64) ** layer.p, axis=(1, 2, 3))
        tied = layer.strength * _sums(error, error) + self.beta * _sums(apart, apart)
        return np.asarray(tied / 2 + sparsity)


def infer(layer: SparseLayer, picture: Array, continuation: Continuation) -> Array:
    """The sparse maps of pictures (n, channels, h, w), as (n, maps, h+, w+) with zeros that are exact.

    Raises:
        TconvError: the pictures do not have the layer's channels.
    """
    step = deque(alternations(layer, picture, continuation), maxlen=1).pop()
    sparse = shrink(step.maps, step.beta, layer.p)
    return refine(layer, picture, sparse, continuation.refinement) if continuation.refinement else sparse


def refine(layer: SparseLayer, picture: Array, maps: Array, steps: int) -> Array:
    """Maps of a cost that is not higher, after some proximal gradient steps with momentum.

    Where a step would raise the cost of a picture, that picture's maps stay and its momentum is dropped.
    """
    bound = layer.strength * layer.largest_gain(picture.shape[2:])
    rebuilt = layer.rebuild(maps)
    cost = layer.cost_of(rebuilt, maps, picture)
    ahead, ahead_rebuilt = maps, rebuilt
    momentum = np.ones(len(maps))
    for _ in range(steps):
        gradient = layer.strength * layer.correlate(ahead_rebuilt - picture)
        after = shrink(ahead - gradient / maps.dtype.type(bound), bound, layer.p)
        after_rebuilt = layer.rebuild(after)
        after_cost = layer.cost_of(after_rebuilt, after, picture)
        falls = after_cost <= cost
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        share = np.where(falls, (momentum - 1) / grown, 0).astype(maps.dtype)[:, None, None, None]
        momentum = np.where(falls, grown, 1.0)
        moved = falls[:, None, None, None]
        after, after_rebuilt = np.where(moved, after, maps), np.where(moved, after_rebuilt, rebuilt)
        ahead, ahead_rebuilt = (
            after + share * (after - maps),
            after_rebuilt + share * (after_rebuilt - rebuilt),
        )
        maps, rebuilt, cost = after, after_rebuilt, np.where(falls, after_cost, cost)
    return maps


def alternations(layer: SparseLayer, picture: Array, continuation: Continuation) -> Iterator[Step]:
    """Every alternation of `infer`, starting with maps of zeros."""
    channels = layer.filters.shape[1]
    if picture.ndim != 4 or picture.shape[1] != channels:
        raise TconvError(
            f"pictures of shape {picture.shape} do not fit a layer of {channels} channels; "
            f"(n, {channels}, h, w) would"
        )
    target = layer.strength * layer.correlate(picture)
    maps = np.zeros_like(target)
    for beta in continuation.betas():
        for _ in range(continuation.rounds):
            sparse = shrink(maps, beta, layer.p)
            maps = _solve(layer, target + beta * sparse, beta, maps, continuation.iterations)
            yield Step(beta, maps, sparse)


def _solve(layer: SparseLayer, right: Array, beta: float, start: Array, iterations: int) -> Array:
    """(strength F'F + beta) z = right, by conjugate gradients, for each picture of the batch by itself."""

    def times(z: Array) -> Array:
        return layer.strength * layer.correlate(layer.rebuild(z)) + beta * z

    z = start.copy()
    rest = right - times(z)
    direction = rest
    size = _sums(rest, rest)
    for _ in range(iterations):
        image = times(direction)
        share = _scaled(size, _sums(direction, image), z)
        z += share * direction
        rest = rest - share * image
        after = _sums(rest, rest)
        direction = rest + _scaled(after, size, z) * direction
        size = after
    return z


def _sums(a: Array, b: Array) -> Array:
    return np.asarray(np.sum(a * b, axis=(1, 2, 3), dtype=np.float64))


def _scaled(above: Array, below: Array, like: Array) -> Array:
    """above / below for each picture, 0 where it is solved exactly."""
    share = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return share[:, None, None, None].astype(like.dtype)
