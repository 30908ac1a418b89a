"""benchmarks/camvid.py on a tiny folder: its runs, its page, and what it calls significant."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")

from tests import ROOT
from tests.bench.test_scripts import script
from tests.train.helpers import CLASSES, write_folder


@pytest.fixture
def camvid(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return script("camvid")


def test_runs_are_kept_and_told(camvid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camvid, "keep_memory", lambda: True)  # the other tests of this process need it not
    data = write_folder(tmp_path / "data")
    (tmp_path / "r.toml").write_text('backbone = "small"\nepochs = 3\ncrop = 32\nlr = 1e-3\n')
    common = ["--data", str(data), "--out", str(tmp_path / "runs"), "--recipe", str(tmp_path / "r.toml")]
    page = tmp_path / "camvid.md"
    common += ["--compare-epochs", "1", "--page", str(page), "--cases", "1"]
    seeds = [f"{name}-seed{seed}" for name in ("fixed", "fcn8s") for seed in (1, 2)]
    assert camvid.main(["main", *common]) == 0
    for name in ("fcn8s", "fcn32s", "fixed", *seeds):
        assert camvid.main(["run", name, *common]) == 0
    found = json.loads((tmp_path / "runs/fixed/val.json").read_text())
    assert (found["settings"]["upsampling"], found["settings"]["seed"], len(found["rows"])) == ("fixed", 0, 1)
    sums = np.sum(list(found["confusions"].values()), 0)
    assert sums.tolist() == found["measures"]["confusion"]
    assert found["flips"]["pictures"] == 3
    assert len(list((tmp_path / "runs/main/cases").glob("*.png"))) == 2
    before = (tmp_path / "runs/fixed/val.json").read_text()
    assert camvid.main(["run", "fixed", *common]) == 0  # it is there already
    assert (tmp_path / "runs/fixed/val.json").read_text() == before
    assert camvid.main(["report", *common]) == 0
    text = page.read_text()
    assert all(f"| {name} | " in text for name in (*CLASSES, "fcn8s", "fcn32s", "fixed"))
    assert "3 epochs" in text
    assert "| nearest |" not in text
    assert "3 seeds of the closest pair: fixed 0." in text


def test_the_closest_is_chosen_by_its_mean_iou(camvid: ModuleType) -> None:
    values = {"fcn8s": 0.6, "fcn16s": 0.7, "fixed": 0.59, "nearest": 0.5}
    results = {name: {"measures": {"mean_iou": value}} for name, value in values.items()}
    assert camvid.closest(results) == "fixed"


def test_an_interval_holds_what_the_pictures_allow(
    camvid: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = script("camvid_report")
    random = np.random.default_rng(1)
    one = {str(i): random.integers(1, 50, (3, 3)).tolist() for i in range(20)}
    better = {name: (np.array(matrix) + 40 * np.eye(3, dtype=int)).tolist() for name, matrix in one.items()}
    assert page.interval(one, one) == (0.0, 0.0)
    low, high = page.interval(one, better)
    gap = page.mean_iou(np.sum(list(better.values()), 0)) - page.mean_iou(np.sum(list(one.values()), 0))
    assert 0 < low < gap < high


def test_pairs_that_scatter_are_not_significant(camvid: ModuleType) -> None:
    page = script("camvid_report")
    assert page.paired([0.6, 0.7, 0.5], [0.7, 0.6, 0.6]).endswith("not significant)")
    assert page.paired([0.60, 0.61, 0.60], [0.70, 0.72, 0.71]) == "+0.107 (t 32.0, significant)"
