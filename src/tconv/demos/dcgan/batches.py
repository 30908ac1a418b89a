"""Batches of pictures whose order is drawn from (seed, epoch), so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

__all__ = ["Bytes", "as_bytes", "as_pictures", "batches"]

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def as_pictures(values: Bytes) -> Tensor:
    """Bytes (n, h, w) as pictures (n, 1, h, w) from -1 to 1, the range of tanh."""
    return torch.from_numpy(values[:, None].astype(np.float32) / 127.5 - 1)


def as_bytes(pictures: Tensor) -> Bytes:
    """Pictures (n, 1, h, w) from -1 to 1 as bytes (n, h, w), as the real ones are stored."""
    values = (pictures.detach()[:, 0].numpy() + 1) * 127.5
    return np.rint(values).clip(0, 255).astype(np.uint8)


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Pictures and their labels, a batch of indices at a time."""

    def __init__(self, pictures: Bytes, labels: Bytes) -> None:
        self.pictures, self.labels = pictures, labels

    def __getitem__(self, indices: Indices) -> tuple[Tensor, Tensor]:
        return as_pictures(self.pictures[indices]), torch.from_numpy(self.labels[indices].astype(np.int64))


class Order(Sampler[Indices]):
    """`steps` batches of an epoch, without repetition within it where there are enough pictures.

    A generator: on resuming, Lightning asks for the iterator before it tells the epoch.
    """

    def __init__(self, count: int, *, steps: int, batch: int, seed: int) -> None:
        self.count, self.steps, self.batch, self.seed = count, steps, batch, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Indices]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        yield from np.resize(order, (self.steps, self.batch))

    def __len__(self) -> int:
        return self.steps


def batches(
    pictures: Bytes, labels: Bytes, *, steps: int, batch: int, seed: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """`steps` batches per epoch; Lightning tells the sampler the epoch."""
    order = Order(len(pictures), steps=steps, batch=batch, seed=seed)
    return DataLoader(Pairs(pictures, labels), sampler=order, batch_size=None)
