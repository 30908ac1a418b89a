"""An exponential moving average of the weights, which is validated and kept in place of the last ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

__all__ = ["Averaging", "averaged"]


class Averaging(WeightAveraging):
    """After each step, average = d * average + (1 - d) * weights, with d = min(decay, (1 + n) / (10 + n)).

    n counts the steps, so that the first, random weights are soon forgotten. Checkpoints and validation have
    the average; Lightning's callback keeps the weights beside it, to go on from.
    """

    def __init__(self, decay: float) -> None:
        # Not a function of a function: several processes get the callback by pickle.
        super().__init__(use_buffers=True, multi_avg_fn=partial(_update, decay))


def _update(decay: float, averages: Any, weights: Any, count: Any) -> None:
    n = int(count)
    share = 1 - min(decay, (1 + n) / (10 + n))
    for average, weight in zip(averages, weights, strict=True):
        if average.is_floating_point():
            average.lerp_(weight.to(average.dtype), share)
        else:
            average.copy_(weight)


def averaged(trainer: lightning.Trainer, module: lightning.LightningModule, content: dict[str, Any]) -> None:
    """Put the average into a checkpoint of weights only, which Lightning saves without its callbacks."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Averaging) and "averaging_state" not in content:
            state: dict[str, Tensor] = content["state_dict"]
            callback.on_save_checkpoint(trainer, module, content)
            del content["current_model_state"], content["averaging_state"]
            assert state.keys() == content["state_dict"].keys()
