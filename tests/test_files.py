"""Files that are whole or absent, on a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tconv import TconvError
from tconv.files import make_folder, write_aside


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with write_aside(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_fault_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def write_half() -> None:
        with write_aside(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_half()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(TconvError) as caught, write_aside(path) as file:
        file.write(b"new")
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert os.listdir(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


LIMITED = """
import resource, sys, torch
from pathlib import Path
from tconv.files import write_aside
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with write_aside(Path(sys.argv[1])) as file:
        torch.save({"weight": torch.zeros(200_000)}, file)
except ValueError as fault:
    print(fault)
"""


def test_a_checkpoint_that_the_system_stops_half_way(tmp_path: Path) -> None:
    # A real fault of the kernel's, in the midst of torch.save, which must not take the process down.
    path = tmp_path / "a.ckpt"
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"cannot write {path}: File too large\n"
    assert os.listdir(tmp_path) == []


def test_torch_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with write_aside(path) as file:
        torch.save({"weight": torch.arange(5)}, file)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(TconvError, match="cannot make the folder"):
        make_folder(tmp_path / "a" / "b")
    assert make_folder(tmp_path / "c" / "d").is_dir()


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    """A renamed file would replace a device or a pipe, which for root may be /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        held = os.lstat(tmp_path / name)
        with (
            pytest.raises(TconvError, match=r"it is no regular file$"),
            write_aside(tmp_path / name) as file,
        ):
            file.write(b"x")
        assert os.lstat(tmp_path / name) == held
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]
