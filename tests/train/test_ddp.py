"""Training on two processes: both take part, and end with the same weights."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback

from tconv import TconvError
from tconv.train.checkpoint import read_checkpoint
from tconv.train.run import fit
from tests.train.helpers import COUNTS, SETTINGS, after_shares


class Witness(Callback):
    """Writes down, in each process, what it trained on and what its weights have become."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seen: list[int] = []
        self.batches: list[int] = []

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(len(batch[0]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.seen.append([index for _, index in trainer.train_dataloader.sampler])

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        digest = hashlib.sha256()
        for value in pl_module.parameters():
            digest.update(value.detach().numpy().tobytes())
        told = {
            "process": os.getpid(),
            "ranks": trainer.world_size,
            "seen": self.seen,
            "batches": self.batches,
            "weights": digest.hexdigest(),
        }
        (self.out / f"rank{trainer.global_rank}.json").write_text(json.dumps(told))


def test_two_processes_share_the_work_and_agree(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {**SETTINGS, "epochs": 2, "batch": 4, "ema": 0.9, "class_weights": "root"}
    run = fit(folder, tmp_path / "run", devices=2, callbacks=[Witness(tmp_path)], **settings)
    told = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert len({os.getpid(), *(t["process"] for t in told)}) == 3
    for t in told:
        assert t["ranks"] == 2
        assert t["batches"] == [2] * 4  # 2 of the 4 pictures of each of 2 steps, for 2 epochs
    for one, two in zip(told[0]["seen"], told[1]["seen"], strict=True):
        assert sorted({*one, *two}) == list(range(COUNTS["train"]))
        assert one != two
    assert told[0]["weights"] == told[1]["weights"]
    digest = hashlib.sha256()
    from tconv.train.checkpoint import load_segmenter

    for value in load_segmenter(run.last).parameters():
        digest.update(value.detach().numpy().tobytes())
    assert digest.hexdigest() == told[0]["weights"]
    assert len(run.rows) == 2
    # Nothing but the shares and the epochs' lines, from one of the processes.
    assert [line.split()[:2] for line in after_shares(capfd.readouterr().err).splitlines()] == [
        ["epoch", "1/2"],
        ["epoch", "2/2"],
    ]

    # One process goes on where two have stopped.
    longer = fit(folder, tmp_path / "run", resume=True, epochs=3)
    assert [row["step"] for row in longer.rows] == [2, 4, 6]
    assert read_checkpoint(longer.last)["hyper_parameters"]["batch"] == 4


class Fault(Callback):
    """Ends the training of the second process."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.global_rank == 1:
            raise TconvError("cannot write x.ckpt: No space left on device")


def test_a_fault_in_one_of_two_processes_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TconvError) as caught:
        fit(folder, tmp_path / "run", devices=2, callbacks=[Fault()], **SETTINGS)
    assert str(caught.value) == "cannot write x.ckpt: No space left on device"
