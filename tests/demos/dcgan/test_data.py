"""IDX files: what is read, and that hostile ones are refused in one line, without much work."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tconv.demos.dcgan import data as module
from tconv.demos.dcgan.data import open_data
from tconv.demos.dcgan.idx import read_idx
from tconv.errors import TconvError
from tests.demos.dcgan.helpers import idx, shapes, write


@pytest.mark.parametrize("zipped", [True, False])
def test_pictures_are_padded_around_and_keep_their_labels(tmp_path: Path, zipped: bool) -> None:
    found = open_data(write(tmp_path / "shapes", zipped=zipped))
    pictures, labels = shapes(160, 0)
    assert found.name == "shapes"
    assert found.classes == ("0", "1", "2")
    assert found.train.shape == (160, 32, 32)
    assert np.array_equal(found.train[:, 2:30, 2:30], pictures)
    assert found.train.sum() == pictures.sum()
    assert np.array_equal(found.train_labels, labels)
    assert len(found.test) == len(found.test_labels) == 96


def header(*sizes: int, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes)


HOSTILE = {
    "empty": (b"", "is no IDX file of bytes with 3 axes"),
    "cut header": (header(5, 28, 28)[:9], "is no IDX file of bytes with 3 axes"),
    "labels": (header(5) + bytes(5), "is no IDX file of bytes with 3 axes"),
    "floats": (header(1, 2, 2, kind=13) + bytes(16), "is no IDX file of bytes with 3 axes"),
    "pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "is no IDX file of bytes with 3 axes"),
    "none": (header(0, 28, 28), "is 0x28x28; up to 1000000x64x64 would fit"),
    "too many": (header(2**32 - 1, 28, 28), "is 4294967295x28x28; up to 1000000x64x64 would fit"),
    "too large": (header(1, 2**31, 2**31), "is 1x2147483648x2147483648; up to 1000000x64x64 would fit"),
    "shorter": (header(3, 2, 2) + bytes(11), "is shorter than its sizes 3x2x2 say"),
    "longer": (header(3, 2, 2) + bytes(13), "is longer than its sizes 3x2x2 say"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
def test_other_files_are_refused_in_one_line(content: bytes, said: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(TconvError) as caught:
        read_idx(path, 3)
    assert str(caught.value) == f"{path} {said}"


def test_a_gzip_bomb_is_not_decompressed(tmp_path: Path) -> None:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as file:
        file.write(header(1, 2, 2))
        for _ in range(256):
            file.write(bytes(1 << 20))
    path = tmp_path / "bomb.gz"
    path.write_bytes(made.getvalue())
    tracemalloc.start()
    with pytest.raises(TconvError, match="is longer than its sizes 1x2x2 say"):
        read_idx(path, 3)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 << 20


def test_damaged_gzip_and_strange_places_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(idx(shapes(4, 0)[0]))
    for content in (whole[:-9], whole[:40], whole[:-8] + bytes(8), whole[:20] + b"\xff" * 9 + whole[29:]):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(TconvError) as caught:
            read_idx(tmp_path / "x", 3)
        assert "\n" not in str(caught.value)
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere", "pipe", "."):
        with pytest.raises(TconvError) as caught:
            read_idx(tmp_path / name, 3)
        assert "\n" not in str(caught.value)


def test_parts_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(159, np.uint8)))
    with pytest.raises(TconvError, match=r"has 159 labels for 160 pictures of train-images-idx3-ubyte\.gz"):
        open_data(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(160, np.uint8)))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(96, np.uint8)))
    with pytest.raises(TconvError, match="of 1 classes; at least 64 in each part, of two classes, would fit"):
        open_data(folder)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((160, 28, 40), np.uint8)))
    with pytest.raises(TconvError, match="pictures of 28x40; up to 32x32 would fit"):
        open_data(folder)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(TconvError, match=r"has no train-images-idx3-ubyte\.gz; the four files of MNIST"):
        open_data(folder)


def test_where_there_is_nothing_the_error_is_the_two_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INSTALLED", "usr/share/datasets/no-such-data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(TconvError) as caught:
        open_data()
    assert "apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb" in str(
        caught.value
    )
    assert f"{tmp_path}/tconv" in str(caught.value)
    write(tmp_path / "tconv/usr/share/datasets/no-such-data")
    with pytest.raises(TconvError, match="these are not the files of Fashion-MNIST"):
        open_data()


def test_the_real_files_have_the_pinned_hashes() -> None:
    try:
        found = open_data()
    except TconvError as fault:
        pytest.skip(str(fault))
    assert found.name == "Fashion-MNIST"
    assert found.train.shape == (60_000, 32, 32)
    assert found.test.shape == (10_000, 32, 32)
    assert np.bincount(found.train_labels).tolist() == [6000] * 10
    assert found.classes[found.train_labels[0]] == "ankle boot"
