"""Evaluation against counting pixel by pixel, and checkpoints that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tconv import TconvError
from tconv.train.checkpoint import load_segmenter, read_checkpoint
from tconv.train.data import open_data
from tconv.train.evaluate import evaluate
from tconv.train.measures import measures
from tconv.train.pictures import IGNORED
from tests.train.helpers import CLASSES, write_folder


def test_the_confusion_matrix_is_counted_pixel_by_pixel(trained: Path, folder: Path) -> None:
    found = evaluate(trained, folder, split="val")
    segmenter, split = load_segmenter(trained), open_data(folder).split("val")
    expected = np.zeros((3, 3), np.int64)
    for index in range(len(split)):
        picture, label = split[index]
        with torch.inference_mode():
            guess = segmenter(segmenter.normalisation(picture)[None])[0].argmax(0).numpy()
        for truth, predicted in zip(label.ravel(), guess.ravel(), strict=True):
            if truth != IGNORED:
                expected[truth, predicted] += 1
    np.testing.assert_array_equal(found.confusion, expected)
    assert (found.split, found.pictures, found.classes) == ("val", 3, CLASSES)
    assert found.measures == measures(expected)
    assert len(np.unique(expected)) > 4  # the net is not a constant


def test_validation_while_training_measured_the_same(trained: Path, folder: Path) -> None:
    rows = read_checkpoint(trained)["callbacks"]["tconv.EpochLog"]["rows"]
    found = evaluate(trained, folder, split="val").measures
    assert rows[-1]["val_mean_iou"] == pytest.approx(found.mean_iou, abs=1e-6)
    assert rows[-1]["val_pixel_accuracy"] == pytest.approx(found.pixel_accuracy, abs=1e-6)


def test_as_text_and_as_plain_values(trained: Path, folder: Path) -> None:
    found = evaluate(trained, folder)
    plain = found.as_dict()
    assert plain["mean_iou"] == found.measures.mean_iou
    assert plain["confusion"] == found.confusion.tolist()
    assert list(plain["iou"]) == list(CLASSES)
    text = str(found)
    assert f"mean IoU                {found.measures.mean_iou:.4f}" in text
    for name, row in zip(CLASSES, found.confusion, strict=True):
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert [int(count) for count in line.split()[2:]] == row.tolist()


def test_data_of_other_classes_are_refused(trained: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other")
    (other / "classes.txt").write_text("ground\ndisc\nbeam\n")
    with pytest.raises(
        TconvError, match="3-channel pictures of ground, disc, beam do not fit the checkpoint"
    ):
        evaluate(trained, other)
    with pytest.raises(TconvError, match="1-channel pictures of background, CSF"):
        evaluate(trained, "brain")


class Malice:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickled_object_is_never_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    torch.save({"state_dict": {}, "hyper_parameters": Malice(touched)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Malice(touched)))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(TconvError, match="not a checkpoint of plain tensors, nothing was loaded"):
            read_checkpoint(tmp_path / name)
    assert not touched.exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04 not really", b"\x80\x04\x95junk", bytes(300)]
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(TconvError, match="not a checkpoint of plain tensors"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_cut_off_checkpoint(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(trained.read_bytes()[:-5000])
    with pytest.raises(TconvError, match="not a checkpoint of plain tensors"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TconvError, match="no such file"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_state_dict_of_another_program(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "x.ckpt")
    with pytest.raises(TconvError, match="not written by 'tconv train'"):
        read_checkpoint(tmp_path / "x.ckpt")
    torch.save({"state_dict": {}, "hyper_parameters": {"lr": 0.1, "net": "unet"}}, tmp_path / "y.ckpt")
    with pytest.raises(TconvError, match=r"not written by 'tconv train' \(it lacks backbone, upsampling,"):
        read_checkpoint(tmp_path / "y.ckpt")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"net": "fcn32s"}, "its weights are not those of a fcn32s small learned"),
        ({"classes": ["a", "b"]}, "its weights are not those of a fcn8s small learned"),
        ({"net": "unet"}, "net='unet' is unknown"),
        ({"width": 3}, "its weights are not those of a fcn8s small learned: .*width"),
    ],
)
def test_a_checkpoint_of_another_net(
    trained: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    content = read_checkpoint(trained)
    content["hyper_parameters"].update(changed)
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(TconvError, match=message) as caught:
        load_segmenter(tmp_path / "x.ckpt")
    assert "\n" not in str(caught.value)


def test_with_flips_probabilities_are_averaged(trained: Path, folder: Path) -> None:
    segmenter, split = load_segmenter(trained), open_data(folder).split("val")
    expected = np.zeros((3, 3), np.int64)
    for index in range(len(split)):
        picture, label = split[index]
        x = segmenter.normalisation(picture)[None]
        with torch.inference_mode():
            both = segmenter(x).softmax(1) + segmenter(x.flip(3)).softmax(1).flip(3)
        counted = label != IGNORED
        np.add.at(expected, (label[counted], both[0].argmax(0).numpy()[counted]), 1)
    found = evaluate(segmenter, folder, split="val", flips=True)
    np.testing.assert_array_equal(found.confusion, expected)
    assert not np.array_equal(expected, evaluate(segmenter, folder, split="val").confusion)
