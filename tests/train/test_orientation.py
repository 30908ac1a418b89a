"""Pictures and labels that are turned by their EXIF orientation, against an arrow written out."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tconv import TconvError
from tconv.train.data import open_data
from tconv.train.labels import Labelling
from tconv.train.pictures import read_picture, size_of
from tconv.train.predict import predict
from tests.train.helpers import CLASSES

# What is upright: 2 rows, 3 columns.
UPRIGHT = [[0, 1, 2], [2, 2, 0]]
# What a file of each orientation stores: its "0th row" and "0th column" are where the standard says,
# e.g. orientation 6: the first row stored is the right side of the picture, the first column its top.
STORED = {
    1: [[0, 1, 2], [2, 2, 0]],
    2: [[2, 1, 0], [0, 2, 2]],
    3: [[0, 2, 2], [2, 1, 0]],
    4: [[2, 2, 0], [0, 1, 2]],
    5: [[0, 2], [1, 2], [2, 0]],
    6: [[2, 0], [1, 2], [0, 2]],
    7: [[0, 2], [2, 1], [2, 0]],
    8: [[2, 0], [2, 1], [0, 2]],
}


def save(path: Path, values: np.ndarray, orientation: int, *, mode: str = "L") -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values.astype(np.uint8)).convert(mode).save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", STORED)
def test_pictures_and_labels_are_read_upright(orientation: int, tmp_path: Path) -> None:
    stored = np.array(STORED[orientation])
    label = save(tmp_path / "x.png", stored, orientation)
    assert Labelling(CLASSES).read(label).tolist() == UPRIGHT
    assert np.rint(read_picture(label)[:, :, 0] * 255).tolist() == UPRIGHT
    assert size_of(label) == (2, 3, True)
    photo = save(tmp_path / "x.jpg", (stored * 100).repeat(16, 0).repeat(16, 1), orientation, mode="RGB")
    picture = read_picture(photo)
    assert picture.shape == (32, 48, 3)
    np.testing.assert_allclose(picture[8::16, 8::16, 0] * 255, np.array(UPRIGHT) * 100, atol=6)
    assert size_of(photo) == (32, 48, False)
    with Image.open(photo) as image:
        viewed = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(np.rint(picture * 255), viewed)


@pytest.mark.parametrize("orientation", STORED)
def test_a_png_whose_orientation_follows_its_pixels(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.array(STORED[orientation], np.uint8)).save(path)
    exif = (
        b"eXIf"
        + b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
        + struct.pack(">HHL", orientation, 0, 0)
    )
    chunk = struct.pack(">L", len(exif) - 4) + exif + struct.pack(">L", zlib.crc32(exif))
    content = path.read_bytes()
    path.write_bytes(content[:-12] + chunk + content[-12:])
    assert Labelling(CLASSES).read(path).tolist() == UPRIGHT
    assert size_of(path) == (2, 3, True)


@pytest.mark.parametrize("exif", [b"", b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"\x00" * 50])
def test_damaged_exif_data_turn_nothing(exif: bytes, tmp_path: Path) -> None:
    for name in ("x.png", "x.jpg"):
        Image.new("L", (3, 2), 255).save(tmp_path / name, exif=exif)
        assert read_picture(tmp_path / name).tolist() == [[[1.0]] * 3] * 2
        assert size_of(tmp_path / name) == (2, 3, True)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(value: int, tmp_path: Path) -> None:
    assert size_of(save(tmp_path / "x.jpg", np.zeros((2, 3)), value)) == (2, 3, True)
    assert read_picture(tmp_path / "x.jpg").shape == (2, 3, 1)


def test_a_turned_photo_fits_its_upright_label(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    save(tmp_path / "train/images/x.png", np.array(STORED[6]), 6)
    save(tmp_path / "train/labels/x.png", np.array(UPRIGHT), 1)
    picture, label = open_data(tmp_path).split("train")[0]
    assert label.tolist() == np.rint(picture[:, :, 0] * 255).tolist() == UPRIGHT
    save(tmp_path / "train/labels/x.png", np.array(STORED[6]), 1)
    with pytest.raises(TconvError, match=r"x.png is 3x2, but its label .*x.png is 2x3"):
        open_data(tmp_path).split("train")


def test_predictions_lie_over_the_upright_photo(trained: Path, folder: Path, tmp_path: Path) -> None:
    with Image.open(folder / "val/images/p1.png") as image:
        upright = image.copy()
    upright.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 8  # stored a quarter turn clockwise, to be turned back
    upright.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=exif)
    plain, turned = predict(trained, [tmp_path / "plain.png", tmp_path / "turned.png"], tmp_path / "out")
    for kind in ("label", "overlay"):
        with Image.open(getattr(plain, kind)) as one, Image.open(getattr(turned, kind)) as two:
            assert two.getexif().get(0x0112, 1) == 1
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
