"""Tensors with external data: read only from the model's folder, and only if they are complete."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tconv.onnx import read, transposed
from tests.onnx.helpers import layer, refused, saved

WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def outside(folder: Path, location: str, **numbers: object) -> Path:
    """A layer whose weights are at this location."""
    proto = layer()
    held = proto.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **numbers}.items():
        held.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    return saved(proto, folder)


@pytest.mark.parametrize(
    "location",
    [
        *("../secret.bin", "/etc/passwd", "a/../../secret.bin", "", "..", ".", "link.bin"),
        *("folder/link/secret.bin", "\0", "..\\secret.bin", "circle", "x" * 5000),
    ],
)
def test_data_outside_of_the_folder_are_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], location: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (home / "link.bin").symlink_to(tmp_path / "secret.bin")
    (home / "folder" / "link").symlink_to(tmp_path)
    (home / "circle").symlink_to(home / "circle")
    said = refused(outside(home, location), capsys)
    assert "a file in the model's folder would fit" in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"offset": 8}, "end after 432 of 440 bytes"),
        ({"offset": -1}, "offset '-1' of its data"),
        ({"offset": "9" * 40}, "a number of bytes would fit"),
        ({"length": 400}, "its shape takes 432 bytes and its data have 400"),
        ({"length": 10**15}, "its data have 1,000,000,000,000,000"),
        ({"offset": "0x10"}, "a number of bytes would fit"),
    ],
)
def test_data_that_are_not_all_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: dict[str, object], said: str
) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    assert said in refused(outside(tmp_path, "w.bin", **numbers), capsys)


def test_data_in_no_regular_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    assert "not in a regular file" in refused(outside(tmp_path, "pipe"), capsys)
    (tmp_path / "folder").mkdir()
    assert "not in a regular file" in refused(outside(tmp_path, "folder"), capsys)
    assert "No such file" in refused(outside(tmp_path, "missing.bin"), capsys)
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    os.link(tmp_path / "w.bin", tmp_path / "again.bin")
    assert "a hard link" in refused(outside(tmp_path, "again.bin"), capsys)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "link.bin").symlink_to("w.bin")
    (found,) = transposed(read(outside(tmp_path, "link.bin")))
    np.testing.assert_array_equal(found.weight, WEIGHT)
