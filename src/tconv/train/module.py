"""An FCN as a LightningModule: loss, optimiser and measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from tconv.errors import TconvError
from tconv.nets.classifier import read_vgg16
from tconv.nets.fcn import FCN
from tconv.train.batches import Normalisation
from tconv.train.measures import Measures, measures
from tconv.train.palette import palette
from tconv.train.pictures import IGNORED

__all__ = ["Segmenter"]


class Segmenter(lightning.LightningModule):
    """A network and its training; every argument is a plain value and stored in the checkpoint.

    ``net``, ``backbone``, ``upsampling``: see `tconv.nets.fcn.FCN`. ``classes``: their names;
    ``colours``: [r, g, b] of each, in labels and in predictions; None for `palette`'s. ``mean`` and
    ``deviation``: the normalisation of pictures (0..1). ``lr``: the first learning rate of AdamW; it
    rises linearly over the first twentieth of the steps and then falls to 0 along half a cosine over
    ``epochs``. ``batch``, ``crop``, ``augment`` and ``ignore`` are kept for the record and for ``--resume``.
    """

    def __init__(
        self,
        *,
        net: str,
        backbone: str,
        upsampling: str,
        classes: list[str],
        in_channels: int,
        mean: list[float],
        deviation: list[float],
        epochs: int,
        batch: int,
        lr: float,
        crop: int | None,
        augment: bool,
        seed: int,
        ignore: int | None = None,
        colours: list[list[int]] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.classes = tuple(classes)
        self.colours = np.array(colours, np.uint8) if colours else palette(classes)
        self.in_channels = in_channels
        self.normalisation = Normalisation(tuple(mean), tuple(deviation))
        self.lr, self.seed = lr, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = FCN(
                len(classes), net=net, backbone=backbone, upsampling=upsampling, in_channels=in_channels
            )
        self.confusion = MulticlassConfusionMatrix(len(classes), ignore_index=IGNORED, validate_args=False)
        self.val_loss = MeanMetric()
        self.absent: tuple[str, ...] = ()

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (n, channels, h, w) to scores (n, classes, h, w)."""
        scores: Tensor = self.network(pictures)
        return scores

    def load_classifier(self, path: str | Path) -> str:
        """Start with the weights of a local VGG16 classifier file, and report what was copied.

        Raises:
            TconvError: the backbone is not vgg16, or the file does not fit; see `tconv.nets.classifier`.
        """
        if self.hparams["backbone"] != "vgg16":
            raise TconvError(f"weights {path}: backbone={self.hparams['backbone']} has none; vgg16 would fit")
        weights = read_vgg16(path, self.normalisation.mean, self.normalisation.deviation)
        copied = self.network.init_from({f"backbone.{name}": value for name, value in weights.items()})
        return f"{len(copied.copied)} tensors copied"

    def load_other(self, state_dict: Mapping[str, Tensor]) -> str:
        """Start with the matching tensors of another network's weights, and report what was copied."""
        prefix = "network."
        names = {
            key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)
        }
        return str(self.network.init_from(names))

    @property
    def measured(self) -> Measures:
        """The measures of the last validation or test."""
        return measures(self.confusion.compute().cpu().numpy())

    def on_train_batch_start(self, _: Any, batch_idx: int) -> None:
        # Dropout draws from PyTorch's own generator, so each step and rank gets its own seed. (Not each
        # epoch: Lightning skips on_train_epoch_start in the first epoch after a resume.)
        key = [self.seed, self.current_epoch, batch_idx, self.global_rank]
        state = np.random.SeedSequence(key).generate_state(1)
        torch.manual_seed(int(state[0]))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        loss, counted = _pixel_loss(self(batch[0]), batch[1])
        self.log(
            "train_loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=max(1, counted),
            prog_bar=True,
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        scores = self(batch[0])
        loss, counted = _pixel_loss(scores, batch[1])
        self.val_loss.update(loss, counted)
        self.confusion.update(scores.argmax(1), batch[1].long())

    def on_validation_epoch_start(self) -> None:
        self.confusion.reset()
        self.val_loss.reset()

    def on_validation_epoch_end(self) -> None:
        found = self.measured
        self.absent = tuple(self.classes[index] for index in found.absent)
        self.log("val_loss", self.val_loss.compute(), sync_dist=True)
        self.log("val_mean_iou", found.mean_iou, prog_bar=True, sync_dist=True)
        self.log("val_pixel_accuracy", found.pixel_accuracy, sync_dist=True)

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.validation_step(batch, index)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _pixel_loss(scores: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Cross-entropy averaged over the pixels that are not ignored, and their number; 0 if there are none."""
    counted = int((labels != IGNORED).sum())
    total = cross_entropy(scores, labels.long(), ignore_index=IGNORED, reduction="sum")
    return total / max(1, counted), counted


def _rise_and_fall(steps: int) -> Callable[[int], float]:
    """Share of the learning rate at a step: a linear rise over a twentieth of the steps, then half a
    cosine down.

    A function, not an object: a checkpoint would keep an object's ``steps``, and a run that is resumed
    for more epochs needs the new ones.
    """
    rise = max(1, steps // 20)

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    return share
