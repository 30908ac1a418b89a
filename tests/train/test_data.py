"""Data: folders of labelled pictures, what is wrong with them, and the built-in brain."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from tconv import TconvError
from tconv.train import brain as brain_module
from tconv.train.brain import BLOCKS, GAP, Brain
from tconv.train.data import open_data, statistics
from tconv.train.labels import Labelling, read_classes
from tconv.train.log import told_of
from tconv.train.pictures import IGNORED, read_picture, size_of, to_channels
from tests import ROOT
from tests.train.helpers import CLASSES, COUNTS, labelled, write_folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that a test may damage."""
    return write_folder(tmp_path / "own")


@pytest.fixture(scope="module")
def mni() -> Brain:
    return Brain()


def test_a_folder_gives_its_pictures_and_labels(folder: Path) -> None:
    data = open_data(folder)
    assert (data.classes, data.channels, data.name) == (CLASSES, 3, str(folder))
    for name, count in COUNTS.items():
        split = data.split(name)
        assert list(split.names) == [f"p{i}" for i in range(count)]
        for index in range(1, count):  # the first is a JPEG
            picture, label = split[index]
            expected, truth = labelled(name, index)
            assert picture.dtype == np.float32
            np.testing.assert_array_equal(np.rint(picture * 255), expected)
            np.testing.assert_array_equal(label, np.where(truth == 3, IGNORED, truth))


def test_both_ways_to_say_ignored_become_one(folder: Path) -> None:
    split = open_data(folder).split("train")
    for index in (0, 1):
        assert set(np.unique(split[index][1][:, :3])) == {IGNORED}


def test_gray_pictures_stay_gray_and_a_mixture_becomes_rgb(own: Path) -> None:
    images = own / "train/images"
    gray = {path: np.asarray(Image.open(path).convert("L")) for path in images.iterdir()}
    for path, values in gray.items():
        path.unlink()
        Image.fromarray(values).save(path.with_suffix(".png"))
    assert open_data(own).channels == 1
    Image.fromarray(np.dstack([gray[images / "p1.png"]] * 3)).save(images / "p1.png")
    data = open_data(own)
    assert data.channels == 3
    assert data.split("train")[2][0].shape[2] == 3


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("1", 1, [1.0]),
        ("L", 51, [0.2]),
        ("LA", (51, 7), [0.2]),
        ("I;16", 13107, [0.2]),
        ("RGB", (255, 51, 0), [1.0, 0.2, 0.0]),
        ("RGBA", (255, 51, 0, 9), [1.0, 0.2, 0.0]),
    ],
)
def test_picture_modes(tmp_path: Path, mode: str, pixel: object, expected: list[float]) -> None:
    path = tmp_path / "x.png"
    Image.new(mode, (3, 2), pixel).save(path)
    picture = read_picture(path)
    assert picture.shape == (2, 3, len(expected))
    np.testing.assert_allclose(picture[1, 2], expected, rtol=0, atol=1e-7)
    assert size_of(path) == (2, 3, len(expected) == 1)


def test_a_palette_label_is_read_as_indices(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), mode="P")
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    image.save(tmp_path / "x.png")
    assert Labelling(CLASSES).read(tmp_path / "x.png").tolist() == [[0, 1], [2, IGNORED]]


def test_labels_of_colours(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text(
        "sky 128 128 128\ngrey wall 128 0 0\nignored 0 0 0\nignored 224 224 192\n"
    )
    labelling = read_classes(tmp_path / "classes.txt")
    assert labelling.classes == ("sky", "grey wall")
    pixels = np.array([[(128, 0, 0), (0, 0, 0)], [(128, 128, 128), (224, 224, 192)]], np.uint8)
    image = Image.fromarray(pixels)
    for mode in ("RGB", "RGBA", "P"):  # VOC's labels are of palette mode
        image.convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "x.png")
        assert labelling.read(tmp_path / "x.png").tolist() == [[1, 255], [0, 255]]
    Image.fromarray(pixels[:, :, 2]).save(tmp_path / "x.png")  # gray: 0 0, 128 192
    with pytest.raises(TconvError, match=r"colour 192 192 192 at row 1, column 1 is not in classes.txt"):
        labelling.read(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky 1 2 3\nroad\n", "'road' has no colour, but others have"),
        ("sky 1 2 3\nroad 1 2 3\n", "a colour occurs twice"),
        ("sky 1 2 3\nroad 1 2 300\n", "'road 1 2 300': a colour is three numbers from 0 to 255"),
        ("sky 1 2 3\nignored 0 0 0\n", "1 classes; 2 to 255 fit"),
    ],
)
def test_colours_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(TconvError, match=message):
        read_classes(tmp_path / "classes.txt")


@pytest.mark.parametrize("value", [-1, 3.5])
def test_a_label_of_no_class_index(tmp_path: Path, value: float) -> None:
    values = np.full((2, 2), value, np.int32 if value == int(value) else np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(TconvError, match=r"x.tif: (label -1 at row 0|a label has one class index)"):
        Labelling(CLASSES).read(tmp_path / "x.tif")


def test_luma_is_pillows(folder: Path) -> None:
    path = folder / "train/images/p1.png"
    expected = np.asarray(Image.open(path).convert("L"), dtype=np.float64)
    np.testing.assert_allclose(to_channels(read_picture(path), 1)[:, :, 0] * 255, expected, rtol=0, atol=0.51)


def test_statistics_are_those_of_all_pixels(folder: Path) -> None:
    split = open_data(folder).split("train")
    pixels = np.concatenate([split[i][0].reshape(-1, 3) for i in range(len(split))]).astype(np.float64)
    mean, deviation = statistics(split)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(0), rtol=1e-9)


# What is wrong with a folder: how to damage it, which split shows it, and what the line must say.
DAMAGES = {
    "no classes.txt": (lambda f: (f / "classes.txt").unlink(), "classes.txt"),
    "one class": (lambda f: (f / "classes.txt").write_text("sky\n"), "1 classes; 2 to 255 fit"),
    "a class twice": (lambda f: (f / "classes.txt").write_text("sky\nsky\n"), "twice"),
    "no split": (
        lambda f: shutil.rmtree(f / "train"),
        "no split 'train' (train/images is missing); there are: test, val",
    ),
    "no pictures": (lambda f: [p.unlink() for p in (f / "train/images").iterdir()], "no pictures"),
    "no label": (lambda f: (f / "train/labels/p1.png").unlink(), "p1.png is missing"),
    "sizes": (
        lambda f: Image.new("L", (5, 4)).save(f / "train/labels/p1.png"),
        "p1.png is 56x40, but its label",
    ),
    "empty picture": (lambda f: (f / "train/images/p1.png").write_bytes(b""), "p1.png: an empty file"),
    "text": (lambda f: (f / "train/images/p1.png").write_text("hello"), "p1.png: not a readable picture"),
    "cut off": (
        lambda f: (f / "train/images/p1.png").write_bytes((f / "train/images/p1.png").read_bytes()[:900]),
        "p1.png: not a readable picture",
    ),
    "RGB label": (
        lambda f: Image.new("RGB", (56, 40)).save(f / "train/labels/p1.png"),
        "p1.png: a label has one class index per pixel (gray or palette), this is RGB",
    ),
    "one stem": (
        lambda f: shutil.copy(f / "train/images/p0.jpg", f / "train/images/p1.jpeg"),
        "p1.png has the same label; pictures of different stems would fit",
    ),
    "outside": (
        lambda f: Image.new("L", (56, 40), 4).save(f / "train/labels/p1.png"),
        "p1.png: label 4 at row 0, column 0 is outside the 3 classes; 0 to 2 fit, 3 and 255 are ignored",
    ),
}


def read_all(path: Path) -> None:
    split = open_data(path).split("train")
    for index in range(len(split)):
        split[index]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(own: Path, damage: str) -> None:
    damaged, message = DAMAGES[damage]
    damaged(own)
    with pytest.raises(TconvError) as caught:
        read_all(own)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_name(own: Path) -> None:
    (own / "classes.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(CLASSES).encode())
    assert open_data(own).classes == CLASSES


def test_hidden_files_are_skipped(own: Path) -> None:
    for kind, name in (("images", "._p1.png"), ("images", ".DS_Store"), ("labels", "._p1.png")):
        (own / "train" / kind / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (own / ".trash/images").mkdir(parents=True)
    data = open_data(own)
    assert data.splits() == sorted(COUNTS)
    split = data.split("train")
    assert (list(split.names), split.left_out) == ([f"p{i}" for i in range(COUNTS["train"])], [])


def test_what_is_left_out_is_told_in_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c", "d"):
        shutil.copy(own / "train/labels/p1.png", own / f"train/labels/{name}.png")
    (own / "train/images/notes.txt").write_text("x")
    split = open_data(own).split("train")
    told_of(split)
    assert capsys.readouterr().err.splitlines() == [
        f"{own}/train/images: 1 file left out, not .png, .jpg, .jpeg: notes.txt",
        f"{own}/train/labels: 4 files left out, no picture of the same stem: a.png, b.png, c.png and 1 more",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 2048, 4095], [0, 2048 / 4095, 1]), ([0, 4096, 65535], [0, 4096 / 65535, 1])],
)
def test_white_of_16_bits(tmp_path: Path, values: list[int], expected: list[float]) -> None:
    Image.fromarray(np.array([values], np.uint16)).save(tmp_path / "x.png")
    np.testing.assert_allclose(read_picture(tmp_path / "x.png")[0, :, 0], expected, rtol=1e-6)


def test_values_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-7, 70000]], np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(TconvError, match="values from -7 to 70000; 16 bits, 0 to 65535, would fit"):
        read_picture(tmp_path / "x.tif")


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(TconvError, match="did you mean 'brain'"):
        open_data("brian")


def test_brain_blocks_are_contiguous_with_gaps(mni: Brain) -> None:
    blocks = mni.blocks()
    assert len(mni.slices) == 138
    assert {name: len(block) for name, block in blocks.items()} == {"train": 90, "test": 21, "val": 11}
    assert (blocks["test"][0], blocks["test"][-1]) == (55, 75)  # 40 to 55 % of 138
    for name in BLOCKS:
        held = blocks[name]
        assert held == list(range(held[0], held[-1] + 1))
        others = [i for other, block in blocks.items() if other != name for i in block]
        assert min(abs(i - j) for i in held for j in others) > GAP


def test_brain_labels_are_the_largest_tissue(mni: Brain) -> None:
    folder = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets/data"
    t1, gm, wm = (
        np.asarray(nibabel.load(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz").dataobj)
        for kind in ("t1", "gm", "wm")
    )
    split = mni.split("test")
    for index in (0, 20):
        z = int(split.names[index][1:])
        picture, label = split[index]
        draw = np.random.default_rng(index)
        for x, y in zip(draw.integers(0, 197, 3000), draw.integers(0, 233, 3000), strict=True):
            grey, white = int(gm[x, y, z]), int(wm[x, y, z])
            tissue = max((255 - grey - white, -1), (grey, -2), (white, -3))[1]  # the first of equal ones
            assert label[232 - y, x] == (0 if t1[x, y, z] == 0 else -tissue)
            assert picture[232 - y, x, 0] == np.float32(t1[x, y, z]) / np.float32(255)


def test_brain_tissue_shares(mni: Brain) -> None:
    # Known for the whole volume of 189 slices; the 51 that show less brain are counted as background here.
    counts = np.bincount(mni.labels.ravel(), minlength=4) + np.array([(189 - 138) * 233 * 197, 0, 0, 0])
    np.testing.assert_allclose(counts / counts.sum() * 100, [78.3, 1.8, 12.6, 7.3], atol=0.15)


def test_brain_without_nilearn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TconvError, match=r"nilearn.*pip install tconv\[train\]"):
        Brain()


def test_brain_files_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(brain_module.FILES, "t1", "0" * 64)
    with pytest.raises(TconvError, match=r"sha256 421a10e8.* is not the expected 0000"):
        Brain()


def test_brain_has_no_other_split(mni: Brain) -> None:
    with pytest.raises(TconvError, match="no split 'tset'; there are: train, test, val"):
        mni.split("tset")


CAMVID = ROOT.resolve().parent / "shared/data/camvid"


@pytest.mark.skipif(not CAMVID.is_dir(), reason=f"the CamVid pictures are not at {CAMVID}")
def test_camvid() -> None:
    data = open_data(CAMVID)
    assert (len(data.classes), data.channels, len(data.split("train")), len(data.split("val"))) == (
        11,
        3,
        367,
        101,
    )
    picture, label = data.split("val")[0]
    assert (picture.shape, label.shape) == ((360, 480, 3), (360, 480))
    assert set(np.unique(label)) <= {*range(11), IGNORED}


@pytest.mark.parametrize("kind", [2, 6])  # RGB and RGBA of PNG
def test_colours_of_16_bits_are_refused(tmp_path: Path, kind: int) -> None:
    """Pillow would keep their upper 8 bits: of a camera's 12 bits that is almost black."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    depth = {2: 3, 6: 4}[kind]
    rows = (b"\0" + np.full(4 * depth, 4000, ">u2").tobytes()) * 4
    head = struct.pack(">2L5B", 4, 4, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    for read in (read_picture, size_of):
        with pytest.raises(TconvError, match="16 bits for each colour; 8, or gray of 16, would fit"):
            read(tmp_path / "deep.png")
