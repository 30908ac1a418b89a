"""An FCN as a LightningModule: loss, optimiser and measures."""

from __future__ import annotations

from collections.abc import Mapping
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
from tconv.nets.efficientnet_lite import features_from
from tconv.nets.fcn import FCN
from tconv.nets.published import PACKAGES
from tconv.train.averaging import averaged
from tconv.train.batches import Normalisation
from tconv.train.measures import Measures, measures
from tconv.train.palette import palette
from tconv.train.pictures import IGNORED
from tconv.train.schedule import optimiser, shares

__all__ = ["Segmenter"]


class Segmenter(lightning.LightningModule):
    """A network and its training; every argument is a plain value and stored in the checkpoint.

    ``net``, ``backbone``, ``upsampling``: see `tconv.nets.fcn.FCN`. ``classes``: their names;
    ``colours``: [r, g, b] of each, in labels and in predictions; None for `palette`'s. ``mean`` and
    ``deviation``: the normalisation of pictures (0..1). ``lr``, ``backbone_lr``, ``weight_decay``,
    ``warmup``, ``decay``: see `tconv.train.schedule`. With ``freeze_norm`` the backbone's norms keep their
    statistics. ``class_weights``: see `weigh`. The other settings are kept for the record and for
    ``--resume``.
    """

    class_weight: Tensor | None

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
        head: int = 0,
        backbone_lr: float | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
        decay: str = "cosine",
        class_weights: str = "none",
        freeze_norm: bool = False,
        ema: float = 0.0,
        scales: list[float] | None = None,
        light: float = 0.1,
        saturation: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.classes = tuple(classes)
        self.colours = np.array(colours, np.uint8) if colours else palette(classes)
        self.in_channels = in_channels
        self.normalisation = Normalisation(tuple(mean), tuple(deviation))
        self.seed = seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = FCN(
                len(classes),
                net=net,
                backbone=backbone,
                upsampling=upsampling,
                in_channels=in_channels,
                head=head,
            )
        if freeze_norm:
            self.network.backbone.frozen = True
            self.network.train()  # Lightning keeps the mode that each module has now
        self.register_buffer("class_weight", None, persistent=False)
        self.flips = False
        self.confusion = MulticlassConfusionMatrix(len(classes), ignore_index=IGNORED, validate_args=False)
        self.val_loss = MeanMetric()
        self.absent: tuple[str, ...] = ()

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (n, channels, h, w) to scores (n, classes, h, w)."""
        scores: Tensor = self.network(pictures)
        return scores

    def load_classifier(self, path: str | Path) -> str:
        """Start with the weights of a local classifier file, and report what was copied.

        "auto" is the file of an installed package (`tconv.nets.published`).

        Raises:
            TconvError: the backbone has no such weights, the package is missing, or the file does not fit;
                see `tconv.nets.classifier` and `tconv.nets.efficientnet_lite`.
        """
        backbone = self.hparams["backbone"]
        if backbone not in PACKAGES:
            raise TconvError(
                f"weights {path}: backbone={backbone} has none; {' or '.join(PACKAGES)} would fit"
            )
        if str(path) == "auto":
            package = PACKAGES[backbone]
            found = package.found()
            if found is None:
                raise TconvError(
                    f"weights auto: those of {backbone} are in a package that is not installed: "
                    f"{package.command} ({package.size}); a file's name would fit, too"
                )
            path = found
        if backbone == "vgg16":
            weights = read_vgg16(path, self.normalisation.mean, self.normalisation.deviation)
        else:
            weights = features_from(path, self.in_channels)
        copied = self.network.init_from({f"backbone.{name}": value for name, value in weights.items()})
        return f"{len(copied.copied)} tensors copied"

    def weigh(self, weights: list[float] | None) -> None:
        """Weigh the classes in the training loss; None: all alike."""
        self.class_weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)

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
        loss, counted = _pixel_loss(self(batch[0]), batch[1], self.class_weight)
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
        scores = self._validated(batch[0])
        loss, counted = _pixel_loss(scores, batch[1])
        self.val_loss.update(loss, counted)
        self.confusion.update(scores.argmax(1), batch[1].long())

    def _validated(self, pictures: Tensor) -> Tensor:
        """The scores; with `flips` the logarithm of the probabilities of a picture and its mirror image."""
        scores: Tensor = self(pictures)
        if not self.flips:
            return scores
        mirrored = self(pictures.flip(3)).flip(3)
        return torch.stack([scores, mirrored]).log_softmax(2).logsumexp(0)

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        averaged(self.trainer, self, checkpoint)

    def configure_optimizers(self) -> Any:
        rates = ("lr", "backbone_lr", "weight_decay")
        optimizer = optimiser(self.network, **{name: self.hparams[name] for name in rates})
        steps = int(self.trainer.estimated_stepping_batches)
        share = shares(steps, warmup=self.hparams["warmup"], decay=self.hparams["decay"])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _pixel_loss(scores: Tensor, labels: Tensor, weight: Tensor | None = None) -> tuple[Tensor, int]:
    """Cross-entropy averaged over the pixels that are not ignored, and their number; 0 if there are none."""
    labels = labels.long()
    counted = int((labels != IGNORED).sum())
    if weight is not None and counted:
        return cross_entropy(scores, labels, weight, ignore_index=IGNORED), counted
    total = cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
    return total / max(1, counted), counted
