"""The demo on tiny pictures: from a command to a page, killed and resumed, refused where it does not fit."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("matplotlib")
pytest.importorskip("torchmetrics")

from tconv.cli import main  # noqa: E402
from tconv.demos import dcgan  # noqa: E402
from tconv.demos.dcgan.comparison import EPOCHS, Comparison, Plan, compare  # noqa: E402
from tconv.demos.dcgan.data import open_data  # noqa: E402
from tconv.demos.dcgan.module import draw_z, generated  # noqa: E402
from tconv.demos.dcgan.report import TERMS  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.nets.dcgan import WAYS, Generator  # noqa: E402
from tests.demos.dcgan.helpers import write  # noqa: E402

SMALL = Plan(24, seed=5, width=2, judge=2, batch=8)
PAIR = ("transposed5", "nearest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("idx") / "shapes")


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    out = tmp_path_factory.mktemp("whole")
    return compare(open_data(folder), out, SMALL, ways=PAIR, rounds=1), out


def weights(out: Path, name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(out / name / "last.ckpt", weights_only=True)["state_dict"]
    return found


def test_all_ways_share_what_they_can(whole: tuple[Comparison, Path]) -> None:
    found, out = whole
    assert [v.way for v in found.variants] == list(PAIR)
    for v in found.variants:
        assert [row["epoch"] for row in v.rows] == list(range(1, EPOCHS + 1))
        assert len(v.by_epoch) == EPOCHS + 1
        assert not np.array_equal(v.by_epoch[0], v.by_epoch[-1])
        assert 0.9 < v.parameters / found.variants[0].parameters < 1.1
        rows = list(csv.DictReader((out / v.way / "log.csv").read_text().splitlines()))
        assert [float(row["generator"]) for row in rows] == [row["generator"] for row in v.rows]
    assert not list(out.rglob("*.part"))


def test_the_samples_are_those_of_the_checkpoint(whole: tuple[Comparison, Path]) -> None:
    found, out = whole
    for v in found.variants:
        generator = Generator(32, 1, width=v.width, way=v.way)
        prefix = "generator."
        state = {k.removeprefix(prefix): w for k, w in weights(out, v.way).items() if k.startswith(prefix)}
        generator.load_state_dict(state)
        assert np.array_equal(generated(generator, draw_z(64, SMALL.seed, 0)), v.samples)


KILLED = """
import os, signal, sys
from pathlib import Path
from tconv.demos.dcgan import module
from tests.demos.dcgan.test_run import PAIR, SMALL, compare, open_data
write, name, epoch = module.Samples._write, sys.argv[3], int(sys.argv[4])
def kill(self, number, gan):
    write(self, number, gan)
    if number == epoch and self.out.parent.name == name:
        os.kill(os.getpid(), signal.SIGKILL)
module.Samples._write = kill
compare(open_data(Path(sys.argv[1])), Path(sys.argv[2]), SMALL, ways=PAIR, rounds=1)
"""


def test_killed_twice_it_ends_equal(
    whole: tuple[Comparison, Path], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = whole
    for name, epoch in ((PAIR[0], 4), (PAIR[1], 1)):
        words = [sys.executable, "-c", KILLED, str(folder), str(tmp_path), name, str(epoch)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert len((tmp_path / PAIR[0] / "log.csv").read_text().splitlines()) == 1 + EPOCHS
    again = compare(open_data(folder), tmp_path, SMALL, ways=PAIR, rounds=1)
    for name in ("classifier", *PAIR):
        one, other = weights(out, name), weights(tmp_path, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    for a, b in zip(found.variants, again.variants, strict=True):
        assert (a.frechet, a.excess, a.usual) == (b.frechet, b.excess, b.usual)
        assert all(map(np.array_equal, a.by_epoch, b.by_epoch))


def test_other_settings_and_broken_files_are_refused(
    whole: tuple[Comparison, Path], folder: Path, tmp_path: Path
) -> None:
    data = open_data(folder)
    out = tmp_path / "run"
    shutil.copytree(whole[1], out)
    with pytest.raises(TconvError, match=r"classifier holds a run with seed=5, not 6; another --out would"):
        compare(data, out, Plan(24, seed=6, width=2, judge=2, batch=8), ways=PAIR, rounds=1)
    with pytest.raises(TconvError, match=r"transposed5 holds a run with judge=2, not 3; another --out would"):
        compare(data, out, Plan(24, seed=5, width=2, judge=3, batch=8), ways=PAIR, rounds=1)
    path = out / PAIR[0] / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {"generator.x": torch.zeros(1)}
    for broken in (b"", b"PK", b"\x80\x04cos\nsystem\n(S'true'\ntR.", content):
        if isinstance(broken, bytes):
            path.write_bytes(broken)
        else:
            torch.save(broken, path)
        with pytest.raises(TconvError) as caught:
            compare(data, out, SMALL, ways=PAIR, rounds=1)
        assert "another --out would fit" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_command_writes_a_page_that_stands_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "dcgan", "--data", str(folder), "--steps", "12", "--out", str(tmp_path / "x")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["ways"]) == list(WAYS)
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["way", *" ".join(name for name, _ in TERMS).split()]
    for way in WAYS:
        assert f"{found['ways'][way]['frechet']:.2f}" in out
    assert "epoch" not in err  # a second call trains nothing
    page = (tmp_path / "x/report.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert not re.search(r"<script|<link|<iframe|@import|url\(\s*['\"]?(?!#)", page)
    images = re.findall(r'<img src="([^"]*)" alt="([^"]*)">', page)
    # Samples and real pictures, epochs, walks, neighbours, spectra; no sums: there are no such classes.
    assert len(images) == 5 + 4 + 4 + 4 + 4
    assert all(src.startswith("data:image/png;base64,") and alt for src, alt in images)


def test_minutes_become_steps_and_a_stopped_run_keeps_its_own(
    folder: Path, whole: tuple[Comparison, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tconv.demos.dcgan.steps import chosen

    data = open_data(folder)
    assert chosen(tmp_path, data, 0, None, None, 2400) == 2400
    assert chosen(tmp_path, data, 0, None, 7, 2400) == 7
    short = chosen(tmp_path, data, 0, 1e-6, None, 2400)
    assert short == EPOCHS
    assert f"{short} steps of each way, reckoned for 1e-06 minutes" in capsys.readouterr().err
    assert chosen(tmp_path, data, 0, 1e6, None, 2400) == 2400
    assert chosen(whole[1], data, 5, 3.0, None, 2400) == 24
    with pytest.raises(TconvError, match="--steps and --minutes both say how long; one of them would fit"):
        chosen(tmp_path, data, 0, 1.0, 5, 2400)
    with pytest.raises(TconvError, match="steps=0: must be at least 1"):
        dcgan.run(tmp_path, steps=0, data=folder)
