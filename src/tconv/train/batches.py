"""From a split to batches: order, crops and augmentation, each drawn from (seed, epoch, picture).

Nothing depends on earlier draws, so epoch 7 is the same whether epochs 0 to 6 ran in this process or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torch.utils.data import DataLoader, Dataset, Sampler

from tconv.train.data import Split
from tconv.train.pictures import IGNORED, Picture

__all__ = [
    "Augmentation",
    "Batches",
    "Normalisation",
    "TrainingPictures",
    "WholePictures",
    "collate",
    "whole_pictures",
]

Pair = tuple[Tensor, Tensor]
Key = tuple[int, int]

Crop = int | Sequence[int]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a picture: left-right flips, a scale from ``scales`` (log-uniform), contrast and
    brightness by up to ``light``, and saturation by up to ``saturation``."""

    scales: tuple[float, float] = (0.75, 1.5)
    light: float = 0.1
    saturation: float = 0.0

    def __call__(self, x: Tensor, y: Tensor, draw: np.random.Generator) -> Pair:
        if draw.random() < 0.5:
            x, y = x.flip(2), y.flip(1)
        scale = float(np.exp(draw.uniform(*np.log(self.scales))))
        size = [max(1, round(edge * scale)) for edge in y.shape]
        x = interpolate(x[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
        y = interpolate(y[None, None].float(), size, mode="nearest-exact")[0, 0].to(y.dtype)
        contrast, light = 1 + self._drawn(draw), self._drawn(draw)
        if self.saturation:
            gray = x.mean(0, keepdim=True)
            x = gray + (x - gray) * (1 + float(draw.uniform(-self.saturation, self.saturation)))
        return x * contrast + light, y

    def _drawn(self, draw: np.random.Generator) -> float:
        return float(draw.uniform(-self.light, self.light))


@dataclass(frozen=True)
class Normalisation:
    """(value - mean) / deviation, per channel; values are 0..1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, picture: Picture) -> Tensor:
        """A picture (height, width, channels) as a normalised tensor (channels, height, width)."""
        mean, deviation = (np.asarray(values, np.float32) for values in (self.mean, self.deviation))
        return torch.from_numpy(np.ascontiguousarray(((picture - mean) / deviation).transpose(2, 0, 1)))


class TrainingPictures(Dataset[Pair]):
    """Pictures for training, indexed by (epoch, index); each is augmented, then cropped to ``crop`` x
    ``crop``, or to the height and width in ``crop``."""

    def __init__(
        self,
        split: Split,
        normal: Normalisation,
        *,
        crop: Crop | None,
        augment: Augmentation | None,
        seed: int,
    ) -> None:
        self.split, self.normal, self.crop, self.augment, self.seed = split, normal, crop, augment, seed

    @classmethod
    def of(cls, split: Split, normal: Normalisation, settings: Mapping[str, Any]) -> TrainingPictures:
        """As the settings of a run say."""
        augment = Augmentation(tuple(settings["scales"]), settings["light"], settings["saturation"])
        chosen = augment if settings["augment"] else None
        return cls(split, normal, crop=settings["crop"], augment=chosen, seed=settings["seed"])

    def __getitem__(self, key: Key) -> Pair:
        epoch, index = key
        draw = np.random.default_rng([self.seed, epoch, index])
        picture, label = self.split[index]
        x, y = self.normal(picture), torch.from_numpy(np.ascontiguousarray(label))
        if self.augment is not None:
            x, y = self.augment(x, y, draw)
        return _cropped(x, y, self.crop, draw) if self.crop else (x, y)


class WholePictures(Dataset[Pair]):
    """Unchanged pictures; index None is a picture of ignored pixels, to make the ranks' shares equal."""

    def __init__(self, split: Split, normal: Normalisation) -> None:
        self.split, self.normal = split, normal

    def __getitem__(self, index: int | None) -> Pair:
        picture, label = self.split[index or 0]
        y = torch.from_numpy(np.ascontiguousarray(label))
        return self.normal(picture), torch.full_like(y, IGNORED) if index is None else y


class EpochOrder(Sampler[Key]):
    """(epoch, index) keys of one rank's share of an epoch, shuffled by (seed, epoch).

    Every batch is full, on every rank, so that each step is an average over equally many pictures: the order
    starts again from the beginning where the count does not divide.
    Lightning calls `set_epoch` before each epoch.
    """

    def __init__(self, count: int, *, batch: int, seed: int, rank: int, ranks: int) -> None:
        self.count, self.batch, self.seed, self.rank, self.ranks = count, batch, seed, rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Key]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        share = np.resize(order, len(self) * self.ranks)[self.rank :: self.ranks]
        return iter([(self.epoch, int(index)) for index in share])

    def __len__(self) -> int:
        return -(-self.count // self.batch) * (self.batch // self.ranks)


class WholeOrder(Sampler[int | None]):
    """One rank's share of a split in its own order, padded with None so that all ranks get equally many."""

    def __init__(self, count: int, *, rank: int, ranks: int) -> None:
        self.count, self.rank, self.ranks = count, rank, ranks

    def __iter__(self) -> Iterator[int | None]:
        share: list[int | None] = list(range(self.rank, self.count, self.ranks))
        return iter(share + [None] * (len(self) - len(share)))

    def __len__(self) -> int:
        return -(-self.count // self.ranks)


def collate(pairs: list[Pair]) -> Pair:
    """Stack pictures of any sizes: smaller ones are padded, at the bottom and right, with ignored pixels.

    >>> x, y = collate([(torch.ones(1, 2, 3), torch.ones(2, 3)), (torch.ones(1, 4, 1), torch.ones(4, 1))])
    >>> x.shape, y[1, 0].tolist()
    (torch.Size([2, 1, 4, 3]), [1.0, 255.0, 255.0])
    """
    height, width = (max(y.shape[axis] for _, y in pairs) for axis in (0, 1))
    filled = [_filled(x, y, height, width) for x, y in pairs]
    return torch.stack([x for x, _ in filled]), torch.stack([y for _, y in filled])


def whole_pictures(pictures: WholePictures, *, rank: int = 0, ranks: int = 1) -> DataLoader[Pair]:
    """This rank's share of the pictures, one at a time, so that each keeps its size."""
    order = WholeOrder(len(pictures.split), rank=rank, ranks=ranks)
    return DataLoader(pictures, batch_size=1, sampler=order, collate_fn=collate)


class Batches(lightning.LightningDataModule):
    """The data that each rank trains and validates on; ``batch`` pictures per step over all ranks."""

    def __init__(self, training: TrainingPictures, validation: WholePictures, *, batch: int) -> None:
        super().__init__()
        self.training, self.validation, self.batch = training, validation, batch

    def _share(self) -> dict[str, int]:
        assert self.trainer is not None
        return {"rank": self.trainer.global_rank, "ranks": self.trainer.world_size}

    def train_dataloader(self) -> DataLoader[Pair]:
        """Batches in the epoch's own order."""
        share = self._share()
        order = EpochOrder(len(self.training.split), batch=self.batch, seed=self.training.seed, **share)
        size = self.batch // share["ranks"]
        return DataLoader(self.training, batch_size=size, sampler=order, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Pair]:
        """Whole pictures, one at a time."""
        return whole_pictures(self.validation, **self._share())


def _filled(x: Tensor, y: Tensor, height: int, width: int) -> Pair:
    fill = (0, max(0, width - x.shape[2]), 0, max(0, height - x.shape[1]))
    return pad(x, fill), pad(y, fill, value=IGNORED)


def _cropped(x: Tensor, y: Tensor, crop: Crop, draw: np.random.Generator) -> Pair:
    height, width = (crop, crop) if isinstance(crop, int) else crop
    x, y = _filled(x, y, height, width)
    top, left = (
        int(draw.integers(0, has - size + 1)) for has, size in zip(y.shape, (height, width), strict=True)
    )
    return x[:, top : top + height, left : left + width], y[top : top + height, left : left + width]
