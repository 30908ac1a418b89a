"""DCGAN's training as a LightningModule: two networks, two Adams, one step of each per batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tconv.demos.dcgan.batches import Bytes, as_bytes
from tconv.files import make_folder, write_aside
from tconv.nets.dcgan import LATENT, Discriminator, Generator

__all__ = ["COLUMNS", "Gan", "Samples", "draw_z", "generated"]

COLUMNS = ("epoch", "discriminator", "generator", "real", "fake", "seconds")
"""Of log.csv: both losses, and the mean probability that real and generated pictures are real."""

RATE, BETAS = 2e-4, (0.5, 0.999)


def draw_z(count: int, *key: int, latent: int = LATENT) -> Tensor:
    """z (count, latent), uniform from -1 to 1 as in the paper, drawn from a key of whole numbers."""
    values = np.random.default_rng(key).uniform(-1, 1, (count, latent))
    return torch.from_numpy(values.astype(np.float32))


@torch.no_grad()
def generated(generator: Generator, z: Tensor, batch: int = 250) -> Bytes:
    """The pictures (n, size, size) of z, with BatchNorm's running statistics, as bytes."""
    was = generator.training
    generator.eval()
    pictures = [as_bytes(generator(part)) for part in torch.split(z, batch)]
    generator.train(was)
    return np.concatenate(pictures)


class Gan(lightning.LightningModule):
    """A generator and a discriminator; every argument is a plain value and stored in the checkpoint.

    ``way`` and ``width``: see `tconv.nets.dcgan.Generator`; ``judge`` is the discriminator's width. ``steps``
    is the number of steps in an epoch, kept for the record like ``batch``.
    """

    def __init__(
        self, *, way: str, size: int, width: float, judge: float, steps: int, batch: int, seed: int
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.seed = seed
        with torch.random.fork_rng(devices=[]):
            # The discriminator first, so that all ways begin with the same one.
            torch.manual_seed(seed)
            self.discriminator = Discriminator(size, 1, width=judge)
            self.generator = Generator(size, 1, width=width, way=way)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        real = batch[0]
        z = draw_z(len(real), self.seed, 1, self.current_epoch, index)
        values = self.step(real, z, self.optimizers(), self.manual_backward)
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(real))

    def step(
        self, real: Tensor, z: Tensor, optimizers: Any, backward: Callable[[Tensor], Any]
    ) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator; returns what the log keeps."""
        judges, makes = optimizers
        fake = self.generator(z)
        of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach())
        loss = _against(of_real, 1) + _against(of_fake, 0)
        judges.zero_grad()
        backward(loss)
        judges.step()
        # The generator's step needs no gradients of the discriminator's weights.
        self.discriminator.requires_grad_(False)
        deceived = _against(self.discriminator(fake), 1)
        makes.zero_grad()
        backward(deceived)
        makes.step()
        self.discriminator.requires_grad_(True)
        return {
            "discriminator": loss.detach(),
            "generator": deceived.detach(),
            "real": of_real.detach().sigmoid().mean(),
            "fake": of_fake.detach().sigmoid().mean(),
        }

    def configure_optimizers(self) -> Any:
        networks = (self.discriminator, self.generator)
        return [torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS) for network in networks]


def _against(scores: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


class Samples(Callback):
    """Writes the pictures of the same z before training and after every epoch: samples/EPOCH.npy."""

    def __init__(self, out: Path, z: Tensor) -> None:
        self.out, self.z = out / "samples", z

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 0:
            self._write(0, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._write(trainer.current_epoch + 1, pl_module)

    def _write(self, epoch: int, gan: lightning.LightningModule) -> None:
        assert isinstance(gan, Gan)
        with write_aside(make_folder(self.out) / f"{epoch:02}.npy") as file:
            np.save(file, generated(gan.generator, self.z))
