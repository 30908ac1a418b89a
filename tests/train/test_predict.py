"""Prediction: any size, tiles with the answer of the whole, and the files that are written."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tconv import TconvError
from tconv.cli import main
from tconv.nets import NETS, UPSAMPLINGS
from tconv.train.legend import with_legend
from tconv.train.module import Segmenter
from tconv.train.palette import palette
from tconv.train.pictures import read_picture, to_channels
from tconv.train.predict import Predicted, overlay, predict, scores
from tconv.train.run import fit
from tests.train.helpers import CLASSES, SETTINGS, fill_disk, write_folder


def lively(**dials: Any) -> Segmenter:
    """A net of random weights whose scores differ from pixel to pixel."""
    described = {"classes": ["background", "b", "c"], "in_channels": 1, "mean": [0.5], "deviation": [0.3]}
    settings = {"epochs": 1, "batch": 1, "lr": 1e-3, "crop": None, "augment": False, "seed": 0}
    dials = {"net": "fcn8s", "backbone": "small", "upsampling": "learned", **dials}
    segmenter = Segmenter(**described, **settings, **dials)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for score in segmenter.network.score.values():
            score.weight.normal_(generator=generator)
        # What batch norm would have learned from pictures.
        segmenter(segmenter.normalisation(noise(160, 160))[None])
    return segmenter.eval()


def noise(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng([height, width]).random((height, width, channels), np.float32)


@pytest.mark.parametrize(
    ("net", "upsampling"),
    [(net, "learned") for net in NETS] + [("fcn8s", kind) for kind in UPSAMPLINGS if kind != "learned"],
)
def test_tiles_give_the_answer_of_the_whole(
    net: str, upsampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = lively(net=net, upsampling=upsampling)
    picture = noise(40, 1501)
    whole = scores(segmenter, picture, tile=0)
    widths: list[int] = []
    forward = segmenter.forward
    monkeypatch.setattr(segmenter, "forward", lambda x: widths.append(x.shape[3]) or forward(x))
    tiled = scores(segmenter, picture, tile=300)
    assert len(widths) == 6
    assert max(widths) < 1501
    assert float(whole.std()) > 0.1
    assert torch.equal(tiled.argmax(0), whole.argmax(0))
    # In float32 the order of sums differs with the size; in float64 a missing pixel of margin would show.
    largest = float(whole.abs().max())
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5 * largest)
    segmenter.double()
    exact = [scores(segmenter, picture, tile=tile) for tile in (0, 300)]
    torch.testing.assert_close(exact[0], exact[1], rtol=0, atol=1e-13 * largest)


def test_a_smaller_margin_would_not_do() -> None:
    # The check above can fail: a window that is cut just at its tile gives other scores.
    segmenter = lively()
    picture = noise(40, 300)
    whole = scores(segmenter, picture, tile=0)
    cut = scores(segmenter, picture[:, :160], tile=0)
    assert not torch.allclose(cut, whole[:, :, :160], atol=1e-3)


@pytest.mark.parametrize("tile", [1, 7, 33])
def test_tiles_in_both_axes_of_any_size(tile: int) -> None:
    segmenter = lively(net="fcn32s")
    picture = noise(tile * 2 + 3, tile * 3 - 1)
    whole = scores(segmenter, picture, tile=0)
    largest = float(whole.abs().max())
    torch.testing.assert_close(scores(segmenter, picture, tile=tile), whole, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (31, 33), (64, 64)])
def test_any_size(height: int, width: int) -> None:
    found = scores(lively(), noise(height, width))
    assert found.shape == (3, height, width)
    assert found.isfinite().all()


def test_a_tile_below_zero_is_refused() -> None:
    with pytest.raises(TconvError, match="tile=-1: must be at least 1, or 0 for the whole picture"):
        scores(lively(), noise(4, 4), tile=-1)


def test_gray_and_rgb_go_either_way(trained: Path) -> None:
    gray, rgb = noise(20, 20), noise(20, 20, 3)
    one = lively()
    assert torch.equal(scores(one, rgb), scores(one, to_channels(rgb, 1)))
    from tconv.train.checkpoint import load_segmenter

    three = load_segmenter(trained)
    assert torch.equal(scores(three, gray), scores(three, np.repeat(gray, 3, axis=2)))


def predict_all(checkpoint: Path, folder: Path, out: Path, **options: Any) -> list[Predicted]:
    images = sorted((folder / "val/images").iterdir())
    return list(predict(checkpoint, images, out, **options))


def test_the_files_written(trained: Path, folder: Path, tmp_path: Path) -> None:
    results = predict_all(trained, folder, tmp_path / "out", probabilities=True)
    assert len(os.listdir(tmp_path / "out")) == 9
    for result in results:
        picture = read_picture(result.image)
        with Image.open(result.label) as image:
            assert image.mode == "P"
            labels = np.asarray(image)
            colours = np.asarray(image.convert("RGB"))
        assert labels.shape == picture.shape[:2]
        assert result.shares == tuple((labels == index).mean() for index in range(3))
        np.testing.assert_array_equal(colours, palette(CLASSES)[labels])
        probabilities = np.load(result.probabilities)
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (3, *labels.shape)
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-6)
        np.testing.assert_array_equal(probabilities.argmax(0), labels)
        with Image.open(result.overlay) as image:
            drawn = np.asarray(image).astype(float)
        height, width = labels.shape
        np.testing.assert_allclose(drawn[:height, :width], (picture * 255 + colours) / 2, atol=0.51)
        assert result.classes == tuple(CLASSES[index] for index in np.unique(labels))
        # The legend below has a square in the colour of each class that occurs, and letters beside it.
        legend = drawn[height:].reshape(-1, 3)
        for index, colour in enumerate(palette(CLASSES)):
            assert (legend == colour).all(1).any() == (index in labels)
        assert len(np.unique(legend, axis=0)) > 5


def test_without_probabilities_none_are_written(trained: Path, folder: Path, tmp_path: Path) -> None:
    results = predict_all(trained, folder, tmp_path)
    assert [result.probabilities for result in results] == [None] * 3
    assert len(os.listdir(tmp_path)) == 6


def test_an_overlay_leaves_the_background_alone() -> None:
    picture = noise(4, 4)
    labels = np.array([[0, 1]] * 2 + [[1, 0]] * 2, np.uint8).repeat(2, axis=1)
    drawn = overlay(picture, labels, ["background", "thing"])
    gray = np.rint(np.repeat(picture, 3, axis=2) * 255)
    np.testing.assert_array_equal(drawn[labels == 0], gray[labels == 0])
    assert (drawn[labels == 1] != gray[labels == 1]).any(axis=1).all()


def test_a_legend_holds_every_name_on_pictures_of_any_width() -> None:
    names = [f"a class with a long name {index}" for index in range(9)] + ["\x1b[2J", "\u9053" * 99]
    colours = palette([f"class {index}" for index in range(11)])
    for width in (1, 120, 1000):
        picture = np.full((5, width, 3), 77, np.uint8)
        drawn = with_legend(picture, names, colours)
        assert drawn.shape[1] >= width
        np.testing.assert_array_equal(drawn[:5, :width], picture)
        for colour in colours:
            assert (drawn[5:] == colour).all(2).sum() == 64  # 10 x 10 pixels with a border of one


def test_one_class_everywhere_is_said(
    folder: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained, weights_only=True)
    weights = content["state_dict"]
    for name in weights:
        if name.startswith("network.score.") and name.endswith("weight"):
            weights[name].zero_()
        elif name.startswith("network.score.") and name.endswith("bias"):
            weights[name].copy_(torch.tensor([0.0, 1.0, 0.0]))
    for name in weights:
        if ".up.weight" in name:
            weights[name].abs_()
            for a in range(3):
                for b in range(3):
                    weights[name][a, b] *= a == b
    torch.save(content, tmp_path / "one.ckpt")
    picture = str(folder / "val/images/p1.png")
    for checkpoint, said in ((tmp_path / "one.ckpt", True), (trained, False)):
        assert main(["predict", str(checkpoint), picture, "--out", str(tmp_path / "out")]) == 0
        assert ("only disc is predicted" in capsys.readouterr().out) == said
        assert main(["evaluate", str(checkpoint), str(folder)]) == 0
        assert ("Only disc is predicted." in capsys.readouterr().out) == said


def test_colours_are_all_different() -> None:
    colours = palette([f"class {index}" for index in range(40)]).astype(int)
    assert len(np.unique(colours, axis=0)) == 40
    assert all(np.abs(a - b).sum() > 60 for a, b in pairwise(colours))


def test_two_pictures_of_one_name_are_refused(trained: Path, folder: Path, tmp_path: Path) -> None:
    images = [folder / "val/images/p1.png", folder / "train/images/p1.png"]
    with pytest.raises(TconvError, match="another picture is called p1, too"):
        list(predict(trained, images, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_unreadable_picture_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TconvError, match=r"nowhere.png: no such picture"):
        list(predict(trained, [tmp_path / "nowhere.png"], tmp_path / "out"))


def test_a_full_disk_leaves_no_half_file(
    trained: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, 2)
    with pytest.raises(TconvError, match=r"cannot write .*p0-overlay.png: No space left on device"):
        predict_all(trained, folder, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["p0-label.png"]


def test_classes_are_drawn_in_the_colours_of_their_labels(tmp_path: Path) -> None:
    """From classes.txt into the checkpoint, and from there into labels, overlay and legend."""
    own = np.array([[10, 20, 30], [200, 60, 5], [0, 90, 160]], np.uint8)
    data = write_folder(tmp_path / "data")
    lines = [f"{name} {' '.join(map(str, colour))}" for name, colour in zip(CLASSES, own, strict=True)]
    (data / "classes.txt").write_text("\n".join([*lines, "ignored 255 255 255"]) + "\n")
    table = np.full((256, 3), 255, np.uint8)
    table[:3] = own
    for path in data.glob("*/labels/*.png"):
        Image.fromarray(table[np.asarray(Image.open(path))]).save(path)
    net = fit(data, tmp_path / "run", **{**SETTINGS, "epochs": 1}).last
    picture = data / "test" / "images" / "p1.png"
    (found,) = predict(net, [picture], tmp_path / "out")
    with Image.open(found.label) as image:
        labels, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(colours, own[labels])
    drawn, below = np.asarray(Image.open(found.overlay).convert("RGB")), np.asarray(Image.open(picture))
    height, width = labels.shape
    half = (below.astype(np.float32) + own[labels]) / 2
    np.testing.assert_allclose(drawn[:height, :width], half, atol=0.51)
    for index in np.unique(labels):
        assert (drawn[height:] == own[index]).all(-1).any()
