"""Where the time of training steps goes: data, backbone, upsampling, loss, backward, optimizer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback
from torch import nn

from tconv.documents import Document, Section, Table
from tconv.runs.log import tell
from tconv.train.module import Segmenter

__all__ = ["PARTS", "Profiler", "Times"]

PARTS = ("data", "backbone", "upsampling", "scores and loss", "backward", "optimizer")

WARM = 3
"""Steps that are left out: the first ones allocate memory and make plans."""


@dataclass
class Times:
    """Seconds of each part, over the steps that were counted."""

    steps: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    def document(self) -> Document:
        """Milliseconds of each part in a step, and its share of the step."""
        whole = sum(self.seconds.values())
        rows = [*self.seconds.items(), ("step", whole)]
        cells = tuple(
            (part, f"{1e3 * spent / max(1, self.steps):.1f}", f"{100 * spent / whole if whole else 0:.1f} %")
            for part, spent in rows
        )
        head = (f"part of a step ({self.steps} steps)", "ms", "share")
        table = Table("profile", head, cells, kinds=("name", "number", "number"))
        return Document("", (Section("profile", "", (table,)),))

    def as_dict(self) -> Mapping[str, Any]:
        """Plain values for JSON."""
        return {"steps": self.steps, "seconds": dict(self.seconds)}


class Profiler(Callback):
    """Measures every step but the first `WARM` ones and tells the times at the end, on stderr.

    "data" is the wait for a batch: reading, augmenting, stacking. "backward" has the gradients of all parts,
    "optimizer" the average of the weights, too.
    """

    def __init__(self) -> None:
        self.times = Times()
        self._seen = 0
        self._last = 0.0
        self._inside: dict[str, float] = {}
        self._hooks: list[Any] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, Segmenter)
        network = pl_module.network
        self._watch("backbone", network.backbone)
        for layer in network.upsample.values():
            self._watch("upsampling", layer)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        for hook in self._hooks:
            hook.remove()
        tell(self.times.document())

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._last = time.perf_counter()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._seen += 1
        self.times.steps += self._seen > WARM
        self._spent("data")
        self._inside = {"backbone": 0.0, "upsampling": 0.0}

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Any
    ) -> None:
        inside = self._inside
        self._spent("scores and loss", without=sum(inside.values()))
        if self._seen > WARM:
            for part, spent in inside.items():
                self.times.seconds[part] += spent
        self._inside = {}  # passes of a validation are no part of a step

    def on_after_backward(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._spent("backward")

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._spent("optimizer")

    def _spent(self, part: str, without: float = 0.0) -> None:
        now = time.perf_counter()
        if self._seen > WARM:
            self.times.seconds[part] += now - self._last - without
        self._last = now

    def _watch(self, part: str, layer: nn.Module) -> None:
        started = [0.0]

        def before(*_: Any) -> None:
            started[0] = time.perf_counter()

        def after(*_: Any) -> None:
            if part in self._inside:
                self._inside[part] += time.perf_counter() - started[0]

        self._hooks += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
