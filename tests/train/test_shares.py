"""Shares of pixels before training: counted by hand, and labels from which nothing can be learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tconv import TconvError
from tconv.cli import main
from tconv.train.checkpoint import load_segmenter, read_checkpoint
from tconv.train.data import open_data
from tconv.train.evaluate import evaluate
from tconv.train.measures import measures
from tconv.train.pictures import IGNORED
from tconv.train.run import fit
from tconv.train.shares import count

QUICK: dict[str, Any] = {"epochs": 1, "net": "fcn32s"}


def write(root: Path, classes: str, train: Any, val: Any = None) -> Path:
    """A folder of one picture of noise per split, under the labels that are given."""
    for split, label in (("train", train), ("val", train if val is None else val)):
        label = np.asarray(label, np.uint8).repeat(8, 0).repeat(8, 1)
        noise = np.random.default_rng(0).integers(0, 256, label.shape[:2], np.uint8)
        for kind, values in (("images", noise), ("labels", label)):
            (root / split / kind).mkdir(parents=True)
            Image.fromarray(values).save(root / split / kind / "a.png")
    (root / "classes.txt").write_text(classes)
    return root


def test_shares_are_counted_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "d", "a\nb\n", [[0, 0, 0, 1]], [[0, 1, 255, 2]])
    data = open_data(folder)
    shares = count({name: data.split(name) for name in ("train", "val")}, data.classes)
    assert {name: found.tolist() for name, found in shares.counts.items()} == {
        "train": [192, 64, 0],  # 8 x 8 pixels each
        "val": [64, 64, 128],
    }
    fit(folder, tmp_path / "run", **QUICK)
    told = capsys.readouterr().err.splitlines()
    assert [line.split() for line in told if line[:1] in "ab("] == [
        ["a", "75.0", "%", "25.0", "%"],
        ["b", "25.0", "%", "25.0", "%"],
        ["(ignored)", "none", "50.0", "%"],
    ]
    assert told[-1].startswith("epoch 1/1")


REFUSED = {
    "masks of 0 and 255": (
        [[0, 255]],
        "a\nb\n",
        {},
        "no pixel of train is labelled b; 255 is ignored; if it is a class,"
        " the lines 'a 0 0 0' and 'b 255 255 255' in classes.txt say so",
    ),
    "labels from 1": (
        [[1, 2]],
        "a\nb\n",
        {},
        "no pixel of train is labelled a; the labels begin at 1, and 2 is ignored;"
        " one more name, before the first in classes.txt, and --ignore 0 would fit",
    ),
    "a line short": (
        [[0, 1, 2, 2, 2]],
        "a\nb\n",
        {},
        "60.0 % of the pixels of train are ignored; 2, the number of classes, is ignored;"
        " one more name in classes.txt makes it a class, and --ignore 2 says that it is meant",
    ),
    "a line too many": (
        [[0, 1]],
        "a\nb\nc\n",
        {},
        "no pixel of train is labelled c; the labels hold 0, 1;"
        " its line in classes.txt can go if it is the last, else --ignore 2 leaves it out",
    ),
    "mostly ignored": (
        [[0, 1, 255, 255, 255]],
        "a\nb\n",
        {},
        "60.0 % of the pixels of train are ignored; if that is meant, --ignore 255 says so;"
        " for a class of 255, give colours in classes.txt",
    ),
    "another value ignored": ([[0, 1, 255]], "a\nb\n", {"ignore": 7}, "label 255 at row 0, column 16"),
    "a colour that never occurs": (
        [[0, 255]],
        "a 0 0 0\nb 255 255 255\nc 9 9 9\n",
        {},
        "no pixel of train is labelled c; remove its line from classes.txt",
    ),
    "ignore and colours": ([[0, 255]], "a 0 0 0\nb 255 255 255\n", {"ignore": 0}, "a line 'ignored r g b'"),
    "ignore out of range": ([[0, 1]], "a\nb\n", {"ignore": 256}, "ignore=256: must be an int from 0 to 255"),
    "ignore of a wrong type": ([[0, 1]], "a\nb\n", {"ignore": "0"}, "ignore='0': must be an int"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_is_refused_with_the_fix(case: str, tmp_path: Path) -> None:
    label, classes, given, message = REFUSED[case]
    with pytest.raises(TconvError) as caught:
        fit(write(tmp_path / "d", classes, label), tmp_path / "run", **QUICK, **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("label", "classes", "given"),
    [
        ([[0, 255]], "a 0 0 0\nb 255 255 255\n", {}),
        ([[1, 2]], "void\na\nb\n", {"ignore": 0}),
        ([[0, 1, 2, 2, 2]], "a\nb\nc\n", {}),
        ([[0, 1, 2, 2, 2]], "a\nb\n", {"ignore": 2}),
        ([[0, 1, 255, 255, 255]], "a\nb\n", {"ignore": 255}),
    ],
)
def test_the_fix_fits(label: Any, classes: str, given: dict[str, Any], tmp_path: Path) -> None:
    folder = write(tmp_path / "d", classes, label)
    run = fit(folder, tmp_path / "run", **QUICK, **given)
    assert read_checkpoint(run.last)["hyper_parameters"]["ignore"] == given.get("ignore")
    # Resuming and evaluating ignore what the run ignored.
    again = fit(folder, tmp_path / "run", resume=True, epochs=2)
    assert len(again.rows) == 2
    truth = np.bincount(np.ravel(label), minlength=256) * 64
    kept = [n for value, n in enumerate(truth) if n and value != given.get("ignore")]
    rows = evaluate(again.last, folder, split="val").confusion.sum(1)
    assert rows[rows > 0].tolist() == kept


def test_a_mean_iou_over_classes_without_pixels_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "d", "a\nb\nc\n", [[0, 1, 2]], [[0, 1, 255]])
    code = main(["train", str(folder), "--out", str(tmp_path / "run"), "--epochs", "1"])
    printed = capsys.readouterr()
    assert code == 0
    for line in (printed.err.splitlines()[-1], printed.out.splitlines()[-1]):
        assert "(no pixels of c)" in line.partition("val mean IoU")[2]
    best = tmp_path / "run/best.ckpt"
    found = evaluate(best, folder, split="val")
    assert found.as_dict()["classes_without_pixels"] == ["c"]
    assert "No pixel of val is labelled c" in str(found)
    assert "No pixel" not in str(evaluate(best, folder, split="train"))
    assert fit(folder, tmp_path / "run", resume=True).absent == ("c",)
    assert measures([[3, 0, 1], [0, 0, 0], [1, 0, 2]]).absent == (1,)


def test_a_checkpoint_without_the_setting_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", "a\nb\n", [[0, 1]])
    run = fit(folder, tmp_path / "run", **QUICK)
    content = read_checkpoint(run.last)
    del content["hyper_parameters"]["ignore"]
    torch.save(content, run.last)
    assert load_segmenter(run.last).hparams["ignore"] is None
    assert len(fit(folder, tmp_path / "run", resume=True, epochs=2).rows) == 2


def test_median_frequency_balancing() -> None:
    """A class's frequency counts only the pictures that show it."""

    class Three:
        names = ("a", "b", "c")

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            rows = [[0, 0, 0, 1], [0, 0, 2, 2], [0, 0, IGNORED, 1]]
            label = np.array([rows[index]], np.uint8)
            return np.zeros((1, 4, 1), np.float32), label

    shares = count({"train": Three()}, ("much", "one", "half", "none"))
    frequency = np.array([7 / 11, 2 / 7, 2 / 4])
    weights = np.append(np.median(frequency) / frequency, 1.0)
    np.testing.assert_allclose(shares.weights("median"), weights)
    np.testing.assert_allclose(shares.weights("root"), np.sqrt(weights))
    assert shares.weights("none") is None
