"""Measures of generated pictures: how far from real ones they are, and how near to those of the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from tconv.demos.dcgan.batches import Bytes

__all__ = ["Neighbours", "frechet", "neighbours"]

Floats = npt.NDArray[np.float32]


class _Given(nn.Module):
    """Stands for Inception in torchmetrics: the features are computed already."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(real: Floats, other: Floats) -> float:
    """The Frechet distance between normal distributions with the means and covariances of two sets (n, d).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), computed in float64 by torchmetrics.

    >>> points = np.float32([[-1], [1]])
    >>> round(frechet(points, points + 3), 5)
    9.0
    """
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1]))
    metric.update(torch.from_numpy(real.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(other.astype(np.float64)), real=False)
    return max(0.0, float(metric.compute()))


@dataclass(frozen=True)
class Neighbours:
    """The nearest of many pictures to each of a few: its index, and its distance (rms of pixels, 0 to 1)."""

    indices: npt.NDArray[np.int64]
    distances: Floats


def neighbours(pictures: Bytes, among: Bytes, chunk: int = 4096) -> Neighbours:
    """The nearest picture, by the root mean square of the difference of pixels.

    >>> black, grey = np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 51, np.uint8)
    >>> neighbours(grey, np.concatenate([black, grey + 51, grey]))
    Neighbours(indices=array([2]), distances=array([0.], dtype=float32))
    """
    points = _rows(pictures)
    best = np.full(len(points), np.inf)
    indices = np.zeros(len(points), np.int64)
    for start in range(0, len(among), chunk):
        others = _rows(among[start : start + chunk])
        squares = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
        nearest = squares.argmin(1)
        found = squares[np.arange(len(points)), nearest]
        better = found < best
        best[better], indices[better] = found[better], start + nearest[better]
    exact = np.sqrt(((points - _rows(among[indices])) ** 2).mean(1))
    return Neighbours(indices, exact.astype(np.float32))


def _rows(pictures: Bytes) -> Floats:
    rows: Floats = pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)
    return rows
