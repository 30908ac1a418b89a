"""The log of any run: its columns are the caller's, and a resumed run repeats no epoch."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
lightning = pytest.importorskip("pytorch_lightning")

from tconv.runs.checkpoints import Movable, WholeFiles  # noqa: E402
from tconv.runs.log import EpochLog, quiet  # noqa: E402

COLUMNS = ("epoch", "step", "error", "seconds")


class Line(lightning.LightningModule):
    """Learns y = 2x; logs a metric of its own name."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        (x,) = batch
        error = (self.slope * x - 2 * x).square().mean()
        self.log("error", error, on_step=False, on_epoch=True)
        return error

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(out: Path, epochs: int, *, resume: bool = False) -> tuple[EpochLog, Line]:
    log, module = EpochLog(out, COLUMNS), Line()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(1.0, 4.0)))
    with quiet():
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=[
                log,
                Movable(
                    dirpath=out, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
                ),
            ],
            plugins=[WholeFiles()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, data, ckpt_path=out / "last.ckpt" if resume else None, weights_only=True)
    return log, module


def rows(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "log.csv").read_text().splitlines()))


def test_columns_are_the_callers_and_a_resumed_run_ends_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    _, whole = fit(tmp_path / "whole", 3)
    noted = capsys.readouterr().err.splitlines()
    assert [line.partition("  ")[0] for line in noted] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    fit(tmp_path / "parts", 1)
    moved = (tmp_path / "parts").rename(tmp_path / "moved")
    log, parts = fit(moved, 3, resume=True)
    assert torch.equal(whole.slope, parts.slope)
    found, wanted = rows(moved), rows(tmp_path / "whole")
    assert list(wanted[0]) == list(COLUMNS)
    assert [{**row, "seconds": ""} for row in found] == [{**row, "seconds": ""} for row in wanted]
    assert sorted(os.listdir(moved)) == ["last.ckpt", "log.csv"]
    assert log.whole()


@pytest.mark.parametrize(
    "held",
    [None, 3, [3], [{"epoch": 1}], [{"epoch": 1, "step": 3, "error": "0", "seconds": 0.1}]],
)
def test_rows_of_another_program_are_not_whole(held: object, tmp_path: Path) -> None:
    log = EpochLog(tmp_path, COLUMNS)
    log.load_state_dict({"rows": held})
    assert not log.whole()


def test_what_is_noted_names_every_metric(tmp_path: Path) -> None:
    log = EpochLog(tmp_path, ("epoch", "step", "loss_of_one", "seconds"))
    assert log.line({"epoch": 1, "step": 2, "loss_of_one": 0.5, "seconds": 1}) == "loss of one 0.5000"
