"""The demo of deconvolutional networks on a small scale: learning, its state, measurements, and the page."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("matplotlib")
pytest.importorskip("skimage", reason="pip install scikit-image==0.26.0")

from tconv.demos.deconvnet import as_dict, document, run  # noqa: E402
from tconv.demos.deconvnet.crops import (  # noqa: E402
    TEST,
    TRAINING,
    drawn,
    normalised,
    part,
    signal_to_noise,
)
from tconv.demos.deconvnet.found import Found  # noqa: E402
from tconv.demos.deconvnet.learning import Settings, learn  # noqa: E402
from tconv.demos.deconvnet.measuring import NOISY, WAYS  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.nets.deconvolutional import Continuation  # noqa: E402

SMALL = Settings(
    side=40,
    crops=1,
    kernel=5,
    maps=3,
    epochs=(3, 2),
    steps=2,
    continuation=Continuation(first=2, growth=4, last=32, iterations=2, refinement=10),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Path]:
    out = tmp_path_factory.mktemp("deconvnet")
    return run(out, seed=1, settings=SMALL), out


def test_every_layer_is_learned(made: tuple[Found, Path]) -> None:
    found, out = made
    for layer, drawn_layer, rows, epochs in zip(
        found.net.layers,
        replace(SMALL, seed=1).layers(),
        found.learned.rows,
        SMALL.epochs,
        strict=True,
    ):
        assert len(rows) == epochs
        assert rows[-1][0] < rows[0][0]
        assert not np.array_equal(layer.filters, drawn_layer.filters)
        np.testing.assert_allclose(np.sum(layer.filters**2, axis=(1, 2, 3)), 1, rtol=1e-5)
    assert len(found.net.layers[1].filters) == 6
    assert sorted(path.name for path in out.iterdir()) == ["filters.png", "report.html", "state.pt"]


def test_the_measurements_are_those_of_the_pictures(made: tuple[Found, Path]) -> None:
    found, _ = made
    assert [each.name for each in found.rebuilt] == [name for name, _, _ in TEST]
    for each in found.rebuilt:
        first, second = (maps[None] for maps in each.maps)
        layers = found.net.layers
        by_hand = (layers[0].rebuild(first), layers[0].rebuild(layers[1].rebuild(second)))
        for picture, expected, ratio in zip(each.pictures, by_hand, each.ratios, strict=True):
            assert np.array_equal(picture, expected[0, 0])
            assert ratio == signal_to_noise(each.picture, picture)
        assert each.densities[0] == np.mean(first != 0) * first.size / each.picture.size
    for each in found.denoised:
        assert each.ratio == pytest.approx(NOISY, abs=0.4)
        assert each.ratio == signal_to_noise(each.picture, each.noisy)
        assert list(each.ratios) == [signal_to_noise(each.picture, picture) for picture in each.pictures]


def test_a_stronger_error_term_gives_more_numbers_and_less_error(made: tuple[Found, Path]) -> None:
    for points in made[0].curves.values():
        assert [p.density for p in points] == sorted(p.density for p in points)
        assert [p.error for p in points] == sorted((p.error for p in points), reverse=True)


def test_the_table_and_the_json_say_what_was_measured(made: tuple[Found, Path]) -> None:
    found = made[0]
    rows = document(found)["layers"].table("layers").rows
    assert [row[0] for row in rows] == ["noisy picture", *WAYS]
    for row, way in zip(rows[1:], range(len(WAYS)), strict=True):
        assert row[4] == f"{np.mean([each.ratios[way] for each in found.denoised]):.2f}"
    assert [row[1] for row in rows[-2:]] == [3, 6]
    plain = json.loads(json.dumps(as_dict(found)))
    assert plain["denoised"]["camera"]["layer 1"] == found.denoised[0].ratios[2]
    assert plain["settings"]["epochs"] == [3, 2]
    assert [len(rows) for rows in plain["epochs"]] == [3, 2]


def test_the_page_stands_alone(made: tuple[Found, Path]) -> None:
    text = (made[1] / "report.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert not re.search(r"<(script|link|iframe|object|embed)\b|@import", text)
    images = re.findall(r"<img [^>]*>", text)
    # Two mosaics of filters; for each test picture one of maps, three rebuilt and six denoised.
    assert len(images) == 2 + (1 + 3 + 6) * len(TEST)
    assert all('src="data:image/png;base64,' in image and 'alt=""' not in image for image in images)
    assert text.count("<svg") == 3
    assert "NASA" in text
    assert "CC0" in text


def test_resuming_a_finished_run_learns_nothing_and_finds_the_same(made: tuple[Found, Path]) -> None:
    found, out = made
    before = (out / "state.pt").read_bytes()
    again = run(out, seed=1, settings=SMALL)
    assert (out / "state.pt").read_bytes() == before
    assert as_dict(again) == {**as_dict(found), "seconds": again.seconds}


def test_another_seed_or_fewer_minutes_begin_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = drawn(SMALL.side, SMALL.crops, 0)
    short = replace(SMALL, epochs=(1, 1))
    path = tmp_path / "state.pt"
    first = learn(pictures, short, path)
    other = learn(pictures, replace(short, seed=5), path)
    assert "is of other settings: learning begins anew" in capsys.readouterr().err
    assert not np.array_equal(first.layers[0].filters, other.layers[0].filters)
    found = run(tmp_path, minutes=2.0, settings=SMALL)
    assert found.settings.epochs == (1, 1)
    assert "1 and 1 epochs, about 2 minutes" in capsys.readouterr().err


KILLED = """
import sys
from pathlib import Path
from tests.demos.test_deconvnet import SMALL, drawn, learn
learn(drawn(SMALL.side, SMALL.crops, 0), SMALL, Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    pictures = drawn(SMALL.side, SMALL.crops, 0)
    whole = learn(pictures, SMALL, tmp_path / "whole.pt")
    path = tmp_path / "killed.pt"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    done = [len(rows) for rows in torch.load(path, weights_only=True)["rows"]]
    assert sum(done) >= 1
    resumed = learn(pictures, SMALL, path)
    assert resumed.rows == whole.rows
    for one, two in zip(resumed.layers, whole.layers, strict=True):
        assert np.array_equal(one.filters, two.filters)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


@pytest.mark.parametrize("fault", ["cut", "shape", "nan", "rows", "list", "epochs"])
def test_a_state_that_is_not_whole_is_refused_in_one_line(fault: str, tmp_path: Path) -> None:
    pictures = drawn(SMALL.side, SMALL.crops, 0)
    short = replace(SMALL, epochs=(1, 1))
    path = tmp_path / "state.pt"
    learn(pictures, short, path)
    content = torch.load(path, weights_only=True)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    else:
        if fault == "shape":
            content["filters"][0] = content["filters"][0][:2]
        elif fault == "nan":
            content["filters"][1][0] = float("nan")
        elif fault == "rows":
            content["rows"][0][0] = ["many", 1, 2, 3]
        elif fault == "epochs":
            content["rows"][0] *= 2
        torch.save([content] if fault == "list" else content, path)
    with pytest.raises(TconvError, match=r"is not a complete state of this demo: .*; remove it") as caught:
        learn(pictures, short, path)
    assert "\n" not in str(caught.value)


def test_crops_are_of_the_training_pictures_and_the_seed_draws_them() -> None:
    one, two, other = (drawn(50, 2, seed) for seed in (3, 3, 4))
    assert one.shape == (2 * len(TRAINING), 1, 50, 50)
    assert one.dtype == np.float32
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    for name, row, column in TEST:
        assert name not in TRAINING
        assert part(name, row, column, 100).shape == (1, 1, 100, 100)


def test_contrast_is_normalised_as_by_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.random.default_rng(0).random((60, 70)) * np.linspace(0.1, 1, 70)

    def blurred(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, 4.0, mode="reflect", truncate=3.0)

    centred = picture - blurred(picture)
    deviation = np.sqrt(blurred(centred**2))
    expected = centred / np.maximum(deviation, deviation.mean())
    np.testing.assert_allclose(normalised(picture), expected, atol=1e-5)
    assert (
        not normalised(np.full((30, 30), 0.5)).any() or np.abs(normalised(np.full((30, 30), 0.5))).max() < 1
    )


def test_the_ratio_of_signal_to_noise_is_in_decibels() -> None:
    truth = np.full((4, 4), 10.0)
    assert signal_to_noise(truth, truth + 1) == pytest.approx(20)
    assert signal_to_noise(truth, truth * 1.1) == pytest.approx(20)
