"""A small classifier, trained beside the generators: its features are what their pictures are compared by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tconv.demos.dcgan.batches import Bytes, as_pictures

__all__ = ["COLUMNS", "FEATURES", "Classifier"]

COLUMNS = ("epoch", "loss", "accuracy", "seconds")

FEATURES = 64

WIDTHS = (16, 32, 64)


class Classifier(lightning.LightningModule):
    """Pictures (n, 1, 32, 32) to scores (n, classes): three convolutions with pooling, 64 features, scores.

    ``steps`` and ``batch`` are kept for the record.
    """

    def __init__(self, *, classes: int, steps: int, batch: int, seed: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.features = nn.Sequential(*_layers())
            self.scores = nn.Linear(FEATURES, classes)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        scores = self.scores(self.features(batch[0]))
        loss = cross_entropy(scores, batch[1])
        right = (scores.argmax(1) == batch[1]).float().mean()
        self.log_dict({"loss": loss, "accuracy": right}, on_step=False, on_epoch=True, batch_size=len(scores))
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    @torch.no_grad()
    def look(
        self, pictures: Bytes, batch: int = 500
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features (n, 64) and probabilities (n, classes) of pictures (n, 32, 32)."""
        self.eval()
        features, probabilities = [], []
        for start in range(0, len(pictures), batch):
            of_part = self.features(as_pictures(pictures[start : start + batch]))
            features.append(of_part.numpy())
            probabilities.append(self.scores(of_part).softmax(1).numpy())
        return np.concatenate(features), np.concatenate(probabilities)


def _layers() -> Iterator[nn.Module]:
    for inside, out in zip((1, *WIDTHS), WIDTHS, strict=False):
        yield nn.Conv2d(inside, out, 3, padding=1)
        yield nn.ReLU()
        yield nn.MaxPool2d(2)
    yield nn.Flatten()
    yield nn.Linear(WIDTHS[-1] * 4 * 4, FEATURES)
    yield nn.ReLU()
