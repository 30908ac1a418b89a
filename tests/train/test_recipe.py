"""Recipes: what comes with the package, what is written, and files that are refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconv.train.recipe import RECIPES, read_recipe, written
from tconv.train.settings import DEFAULTS, Settings, checked
from tests.helpers import refused_in_one_line


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_the_package(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(name)
    assert checked(recipe.settings, ranks=1)["net"] == "fcn8s"


def test_streets_starts_from_a_classifier() -> None:
    recipe = read_recipe("streets")
    assert (recipe.settings["backbone"], recipe.weights) == ("efficientnet-lite0", "auto")
    assert recipe.settings["backbone_lr"] < recipe.settings["lr"]


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    settings = checked({"crop": [3, 4], "augment": True, "backbone_lr": 1e-5}, ranks=1)
    (tmp_path / "r.toml").write_text(written(settings, "auto"))
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.weights == "auto"
    assert checked(recipe.settings, ranks=1) == settings
    assert set(Settings.__annotations__) == {*DEFAULTS, "batch", "lr"}


@given(st.text())
def test_any_file_name_survives(weights: str) -> None:
    import tomllib

    kept = weights.encode("utf-8", "replace").decode()
    assert tomllib.loads(written({}, weights)) == {"weights": kept}


@pytest.mark.parametrize(("text", "said"), [
    ("epoch = 3", "key 'epoch' is unknown; did you mean 'epochs'?"),
    ("[net]\nname = 'x'", "net={'name': 'x'}; one of fcn32s"),
    ("net = 'fcn9s'", "net='fcn9s' is unknown; did you mean 'fcn8s'?"),
    ("backbone = ['small']", "backbone=['small']; one of small"),
    ("epochs = '3'", "epochs='3': must be an int"),
    ("epochs = 0", "epochs=0: must be at least 1"),
    ("lr = inf", "lr=inf: must be above 0 and finite"),
    ("backbone_lr = 0", "backbone_lr=0: must be above 0"),
    ("ema = 1.0", "ema=1.0: must be a number from 0 to below 1"),
    ("warmup = nan", "warmup=nan: must be a number from 0 to 1"),
    ("decay = 'cos'", "decay='cos' is unknown; did you mean 'cosine'?"),
    ("decay = 1", "decay=1: a name would fit: cosine, poly"),
    ("class_weights = 'mean'", "class_weights='mean' is unknown; did you mean 'median'?"),
    ("augment = 1", "augment=1: true or false would fit"),
    ("crop = [1]", "crop=[1]: SIZE or [HEIGHT, WIDTH] would fit"),
    ("crop = [0, 5]", "crop=0: must be at least 1"),
    ("scales = [2, 1]", "scales=[2, 1]: [SMALLEST, LARGEST] from 0.1 to 10 would fit"),
    ("scales = 1.0", "scales=1.0: [SMALLEST, LARGEST]"),
    ("weights = 3", "weights=3; a file or 'auto' would fit"),
    ("net = ", "not TOML: Invalid value (at end of document)"),
    ("a = " + "[" * 5000, "not TOML"),
    ("#" * 70_000, "more than 64 KiB"),
])  # fmt: skip
def test_a_recipe_that_does_not_fit(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    refused_in_one_line(lambda: read_recipe(tmp_path / "r.toml"), ["recipe ", said])


def test_other_things_than_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, said in {"fifo": "", "bytes": "no readable TOML file", ".": "", "none.toml": "unknown"}.items():
        refused_in_one_line(lambda name=name: read_recipe(tmp_path / name), [said])  # type: ignore[misc]
