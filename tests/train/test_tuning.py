"""What fine-tuning needs: a classifier's weights, frozen norms, averaged weights, a recipe, a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tconv.cli import main
from tconv.nets.efficientnet_lite import EfficientNetLite0
from tconv.train.checkpoint import load_segmenter, read_checkpoint
from tconv.train.profiling import PARTS, Profiler
from tconv.train.recipe import read_recipe
from tconv.train.run import Run, fit
from tests.train.helpers import SETTINGS, assert_same_end, equal

LITE = {
    "epochs": 2, "batch": 2, "crop": [32, 40], "augment": True, "seed": 3, "backbone": "efficientnet-lite0",
    "head": 4, "backbone_lr": 1e-4, "class_weights": "root", "freeze_norm": True, "ema": 0.9,
    "scales": [0.9, 1.2], "saturation": 0.1, "decay": "poly",
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's file; random weights do."""
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.manual_seed(0)
    torch.save(EfficientNetLite0().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def tuned(folder: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(folder, tmp_path_factory.mktemp("runs") / "tuned", weights=weights, **LITE)


def test_frozen_norms_keep_their_statistics(tuned: Run, weights: Path) -> None:
    state = read_checkpoint(tuned.last)["state_dict"]
    published_state = torch.load(weights, weights_only=True)
    for name in ("running_mean", "running_var"):
        there = f"blocks.3.depthwise.norm.{name}"
        assert torch.equal(state[f"network.backbone.{there}"], published_state[there])
    moved = "blocks.3.depthwise.norm.weight"
    assert not torch.equal(state[f"network.backbone.{moved}"], published_state[moved])


def test_the_average_of_the_weights_is_what_is_kept(tuned: Run) -> None:
    last, best = read_checkpoint(tuned.last), read_checkpoint(tuned.best)
    name = "network.score.s8.score.weight"
    assert not torch.equal(last["state_dict"][name], last["current_model_state"][name])
    assert "current_model_state" not in best
    if tuned.best_row["epoch"] == len(tuned.rows):
        assert equal(best["state_dict"], last["state_dict"])
    assert torch.equal(load_segmenter(tuned.last).state_dict()[name], last["state_dict"][name])


def test_a_tuned_run_resumes_to_the_same_end(folder: Path, tuned: Run, weights: Path, tmp_path: Path) -> None:
    from pytorch_lightning.callbacks import LambdaCallback

    def stop(trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("broken")

    callback = LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(RuntimeError, match="broken"):
        fit(folder, tmp_path / "a", weights=weights, callbacks=[callback], **LITE)
    again = fit(folder, tmp_path / "a", resume=True)
    assert_same_end(again, tuned)
    states = [read_checkpoint(run.last)["current_model_state"] for run in (again, tuned)]
    assert equal(*states)


def test_the_run_keeps_its_recipe(folder: Path, tuned: Run, weights: Path, tmp_path: Path) -> None:
    recipe = read_recipe(tuned.folder / "recipe.toml")
    assert recipe.weights == str(weights)
    assert recipe.settings.items() >= LITE.items()
    again = fit(folder, tmp_path / "again", weights=recipe.weights, **recipe.settings)
    assert_same_end(again, tuned)


def test_a_profile_has_all_parts(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiler = Profiler()
    fit(folder, tmp_path / "x", callbacks=[profiler], **{**SETTINGS, "epochs": 2})
    assert profiler.times.steps == 8 - 3  # 7 pictures in batches of 2, twice; the first three are left out
    assert all(spent > 0 for spent in profiler.times.seconds.values())
    assert tuple(profiler.times.seconds) == PARTS
    said = capsys.readouterr().err
    assert "part of a step (5 steps)" in said
    assert all(f"\n{part}" in said for part in PARTS)


def test_a_recipe_is_printed_and_options_take_precedence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text('net = "fcn16s"\nepochs = 9\nbatch = 2\ncrop = [32, 24]\n')
    words = ["train", str(folder), "--out", str(tmp_path / "x"), "--recipe", str(tmp_path / "r.toml")]
    assert main([*words, "--epochs", "1", "--profile", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:4] == ['net = "fcn16s"', "epochs = 1", "batch = 2", "crop = [32, 24]"]
    kept = read_recipe(tmp_path / "x/recipe.toml").settings
    assert (kept["net"], kept["epochs"], kept["crop"]) == ("fcn16s", 1, [32, 24])
    assert json.loads(printed.out)["profile"]["steps"] == 1
    # Other settings than the run's are refused, the recipe's as well as those of options.
    (tmp_path / "r.toml").write_text('net = "fcn8s"\n')
    assert main([*words, "--resume"]) == 2
    assert "it was started with net=fcn16s, not fcn8s" in capsys.readouterr().err
