"""Files and folders that several processes want at once, and what is no file at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tconv import TconvError
from tconv.cli import main
from tconv.files import alone, check_file, write_aside

WRITER = """
import sys
from pathlib import Path
from tconv.files import write_aside
path, letter = Path(sys.argv[1]), sys.argv[2].encode()
for i in range(300):
    with write_aside(path) as file:
        for _ in range(4):
            file.write(letter * (50_000 + i))
"""


def start(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_of_two_writers_every_reader_sees_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 200_000)
    writers = [start(WRITER, path, letter) for letter in "ab"]
    reads = set()
    while any(writer.poll() is None for writer in writers):
        found = path.read_bytes()
        assert len(set(found)) == 1
        assert len(found) >= 200_000
        assert len(found) % 4 == 0
        reads.add(found[:1])
    for writer in writers:
        assert writer.communicate() == ("", "")
        assert writer.returncode == 0
    assert reads >= {b"a", b"b"}
    assert os.listdir(tmp_path) == ["a.bin"]


HALF = """
import sys
from pathlib import Path
from tconv.files import write_aside
with write_aside(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write(b"whole")
"""


def test_what_a_kill_leaves_is_removed_by_the_next_writer_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    living, killed = start(HALF, path), start(HALF, path)
    for writer in (living, killed):
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
    killed.kill()
    killed.communicate()
    (tmp_path / "a.bin.0123456789ab.part.txt").write_text("mine")
    (tmp_path / "a.bin.part").write_text("mine, too")
    assert len(os.listdir(tmp_path)) == 4
    with write_aside(path) as file:
        file.write(b"other")
    assert len(os.listdir(tmp_path)) == 4  # without the killed one's, with the new one
    assert path.read_bytes() == b"other"
    assert living.communicate("\n") == ("", "")
    assert path.read_bytes() == b"halfwhole"
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.bin.0123456789ab.part.txt", "a.bin.part"]


def test_long_names_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "\u00e4" * 127):
        with write_aside(tmp_path / name) as file:
            file.write(b"whole")
        assert (tmp_path / name).read_bytes() == b"whole"
    assert len(os.listdir(tmp_path)) == 2


ALONE = """
import sys
from pathlib import Path
from tconv.files import alone
with alone(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_is_free_again_when_its_process_ends(tmp_path: Path, killed: bool) -> None:
    process = start(ALONE, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    with pytest.raises(TconvError, match="is in use by another process"), alone(tmp_path):
        pass
    if killed:
        process.kill()
    process.communicate("" if killed else "\n")
    with alone(tmp_path):
        assert os.listdir(tmp_path) == []


PROBLEM = "n1 c1>1 i2x2 k2 s2"
#: Where a command reads a file that it is given.
READERS: dict[str, tuple[str, ...]] = {
    "predict": ("predict", "@run.ckpt", "@pipe.png", "--out", "@out"),
    "predict's net": ("predict", "@pipe.ckpt", "@pipe.png", "--out", "@out"),
    "evaluate's net": ("evaluate", "@pipe.ckpt", "brain"),
    "diagnose npy": ("diagnose", "@pipe.npy", "--problem", PROBLEM),
    "diagnose pt": ("diagnose", "@pipe.pt", "--layer", f"up={PROBLEM}"),
    "diagnose pt2": ("diagnose", "@pipe.pt2"),
    "diagnose onnx": ("diagnose", "@pipe.onnx"),
    "inspect": ("inspect", "@pipe.onnx"),
    "rewrite": ("rewrite", "@pipe.onnx", "@out.onnx", "--for", "speed"),
    "explain": ("explain", PROBLEM, "--values", "@pipe.npy", "ones"),
    "draw": ("draw", PROBLEM, "--view", "filter", "--weights", "@pipe.npy", "--out", "@out.svg"),
    "bench": ("bench", "--suite", "@pipe.txt"),
    "train's data": ("train", "@data", "--out", "@out"),
    "train's weights": (
        *("train", "@labelled", "--out", "@out"),
        *("--backbone", "vgg16", "--weights", "@pipe.pt"),
    ),
}


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="nets are PyTorch's")
    from tests.train.helpers import write_folder

    folder = tmp_path_factory.mktemp("pipes")
    (folder / "data").mkdir()
    for ending in ("png", "ckpt", "npy", "pt", "pt2", "onnx", "txt", "pth"):
        os.mkfifo(folder / f"pipe.{ending}")
    os.mkfifo(folder / "data" / "classes.txt")
    write_folder(folder / "labelled")
    from tconv.train.module import Segmenter
    from tconv.train.settings import checked

    described = {"classes": ["a", "b"], "in_channels": 1, "mean": [0.5], "deviation": [0.5]}
    segmenter = Segmenter(**described, **checked({}, 1))
    content = {"hyper_parameters": dict(segmenter.hparams), "state_dict": segmenter.state_dict()}
    torch.save(content, folder / "run.ckpt")
    return folder


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(
    name: str, pipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(pipes / word[1:]) if word[0] == "@" else word for word in READERS[name]]
    signal.alarm(120)  # ends the whole run of tests, which would else wait for ever
    status = main(words)
    signal.alarm(0)
    printed = capsys.readouterr()
    assert status == 2
    assert "pipes and devices are not read" in printed.err
    assert printed.err.count("\n") == 1


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [1])
    check_file(tmp_path / "a.npy")
    check_file(tmp_path / "absent")
    with pytest.raises(TconvError, match=r"is a folder; a file would fit"):
        check_file(tmp_path)
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(TconvError, match="is no regular file; pipes and devices are not read"):
            check_file(Path(device))
