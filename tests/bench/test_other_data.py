"""benchmarks/another_head.py and benchmarks/pupils.py: their parts on made-up data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tconv import TconvError
from tests.bench.test_scripts import NO_TORCH, script
from tests.helpers import refused_in_one_line

SESSIONS = {"a 1": 0, "b": 0, "c": 1, "d": 2}


def test_matching_gives_the_other_histogram() -> None:
    module = script("another_head")
    random = np.random.default_rng(0)
    dark = np.where(random.random(40_000) < 0.5, 0, random.integers(5, 130, 40_000)).astype(np.uint8)
    like = np.where(random.random(50_000) < 0.2, 0, random.normal(160, 20, 50_000)).astype(np.uint8)
    found = module.matched(dark, like)
    assert np.array_equal(found == 0, dark == 0)
    order = np.argsort(dark[dark > 0], kind="stable")
    assert (np.diff(found[dark > 0][order].astype(int)) >= 0).all()
    shares = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(
        np.quantile(found[found > 0], shares), np.quantile(like[like > 0], shares), atol=3
    )


def test_clusters_find_three_tissues() -> None:
    module = script("another_head")
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 30_000)
    values = np.where(truth == 0, 0, np.array([0, 40, 90, 120])[truth] + random.normal(0, 4, truth.size))
    found = module.clusters(values.round().clip(0, 255).astype(np.uint8))
    assert (found == truth).mean() > 0.99


def test_another_file_is_refused(tmp_path: Path) -> None:
    module = script("another_head")
    for content in (None, b"other"):
        if content is not None:
            (tmp_path / "aal.nii.gz").write_bytes(content)
        refused_in_one_line(lambda: module.read(tmp_path, "aal"), ["not the file of Debian's mricron-data"])


def sample(root: Path) -> Path:
    for number, name in enumerate(SESSIONS):
        for kind in ("images", "masks"):
            folder = root / "labeled_frames" / name / kind
            folder.mkdir(parents=True)
            pixels = np.zeros((40, 40, 3), np.uint8)
            pixels[10 : 20 + number, 12:26] = 1 if kind == "masks" else 200
            image = Image.fromarray(pixels[..., 0] if kind == "masks" else pixels)
            image.save(folder / f"{name} frame.png")
    told = [{"session": name, "fold": fold} for name, fold in SESSIONS.items()]
    (root / "training_data_split.json").write_text(json.dumps({"sessions": told}))
    return root


@NO_TORCH
def test_each_fold_is_trained_on_the_other_sessions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("pupils")
    monkeypatch.setattr(module, "keep_memory", lambda: True)
    monkeypatch.setattr(module, "SETTINGS", {"epochs": 1})
    words = [str(sample(tmp_path / "sample")), "--out", str(tmp_path / "out"), "--epochs", "1"]
    assert module.main(words) == 0
    said = capsys.readouterr().out
    assert [line.split(" | ")[1:3] for line in said.splitlines()[2:5]] == [["2", "2"], ["1", "1"], ["1", "1"]]
    assert "over 3 folds" in said
    for number, held in enumerate((["a_1", "b"], ["c"], ["d"]), 1):
        data = tmp_path / f"out/data{number}"
        assert sorted(path.stem.removesuffix("_frame") for path in (data / "val/images").iterdir()) == held
        assert len(list((data / "train/labels").iterdir())) == 4 - len(held)
    assert module.main(words) == 0  # the results are there
    assert capsys.readouterr().out == said


def test_a_sample_without_folds_is_refused(tmp_path: Path) -> None:
    module = script("pupils")
    (tmp_path / "training_data_split.json").write_text("[]")
    with pytest.raises(TconvError, match="no folds"):
        module.folds_of(tmp_path)
