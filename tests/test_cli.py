"""The command line: help, results on stdout, notes on stderr, and faults in one line."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tconv
from tconv.cli import MODULES, main, make_parser
from tconv.planning import isas
from tests.helpers import PATIENCE, started
from tests.train.helpers import CLASSES, after_shares, folder

__all__ = ["folder"]

COMMANDS = make_parser().commands


def run(*words: object) -> int:
    """The exit status of a command line, whichever way it ends."""
    try:
        return main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "x"
    assert run("train", folder, "--out", out, "--epochs", 2, "--batch", 2, "--crop", 40, "--lr", 0.01) == 0
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "example:"
    assert f"{second} ".startswith(f"  tconv {command} ")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_the_help_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(command, "--help")
    parser = make_parser()
    examples = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  tconv ")]
    for example in examples:
        words = shlex.split(example, comments=True)
        assert parser.parse_args(words[1:]).command == command


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("example:\n  tconv ")
    for command in COMMANDS:
        assert f"\n    {command} " in text
    assert {"train", "evaluate", "predict"} <= set(COMMANDS)


def test_the_command_line_loads_no_framework() -> None:
    program = (
        "import sys; from tconv.cli import make_parser; make_parser();"
        "print({'torch', 'pytorch_lightning', 'rich', 'PIL', 'matplotlib', 'nilearn'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
    assert len(MODULES) == len(set(MODULES))


def test_no_command_prints_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("example:")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        version = importlib.metadata.version("tconv")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tconv is on the path, but not installed: it has no version")
    assert run("--version") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"tconv {version} ({platform.machine()}, instruction sets {isas()[0]}")
    assert told.endswith(f"; {tconv.get_num_threads()} threads)\n")


# A wrong command line, and what the one line on stderr must say.
WRONG = [
    ("trian", "'trian' is unknown; did you mean 'train'?"),
    ("train x --out y --net fcn9s", "'fcn9s' is unknown; did you mean 'fcn8s'?"),
    ("train x --out y --backbone vgg", "'vgg' is unknown; did you mean 'vgg16'?"),
    ("train x --out y --upsampling lerned", "'lerned' is unknown; did you mean 'learned'?"),
    ("train x --out y --epoch 3", "argument '--epoch' is unknown; did you mean '--epochs'?"),
    ("train x", "the following arguments are required: --out"),
    ("train x --out y --batch many", "argument --batch: invalid int value: 'many'"),
    ("train brian --out y", "is unknown as a folder or a built-in data set; did you mean 'brain'?"),
    ("train brain --out y --batch 0", "batch=0: must be at least 1"),
    ("train brain --out y --recipe street", "is unknown as a file or a recipe; did you mean 'streets'?"),
    ("train brain --out y --epochs 0", "epochs=0: must be at least 1"),
    ("train brain --out y --devices 0", "devices=0: must be at least 1"),
    ("train brain --out y --init-from nowhere.ckpt", "checkpoint nowhere.ckpt: no such file"),
    ("train brain --out y --weights nowhere.pth", "weights nowhere.pth: backbone=small has none"),
    ("evaluate nowhere.ckpt brain", "checkpoint nowhere.ckpt: no such file"),
    ("evaluate {file} brain", "not a checkpoint of plain tensors"),
    ("predict {file} x.png --out y", "not a checkpoint of plain tensors"),
    ("predict nowhere.ckpt --out y", "the following arguments are required: IMAGE"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
def test_a_fault_is_one_line_and_exit_2(
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("hello")
    assert run(*line.format(file="file").split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tconv")
    assert os.listdir(tmp_path) == ["file"]


def test_too_little_memory_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", folder, "--out", tmp_path / "x", "--crop", 2_000_000) == 2
    told = after_shares(capsys.readouterr().err)
    assert told == "tconv train: not enough memory for 48000000000000 bytes; a smaller problem would fit\n"


def test_train_prints_its_result_on_stdout_and_the_rest_on_stderr(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", folder, "--out", trained, "--resume", "--epochs", 3) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{trained / 'best.ckpt'}  epoch ")
    assert captured.out.count("\n") == 1
    assert after_shares(captured.err).startswith("epoch 3/3  loss ")
    assert run("train", folder, "--out", trained, "--resume", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["epochs"], result["last"]) == (3, str(trained / "last.ckpt"))
    assert 0 <= result["val_mean_iou"] <= 1


def test_evaluate_as_text_and_json(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", trained / "best.ckpt", folder, "--split", "val", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found["classes"] == list(CLASSES)
    assert run("evaluate", trained / "best.ckpt", folder, "--split", "val") == 0
    assert f"mean IoU                {found['mean_iou']:.4f}\n" in capsys.readouterr().out
    assert run("evaluate", trained / "best.ckpt", folder, "--split", "tset") == 2
    assert "no split 'tset' (tset/images is missing); there are: test, train, val" in capsys.readouterr().err


def test_predict_as_text_and_json(
    trained: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((folder / "test/images").iterdir())
    options = ("--out", tmp_path, "--probabilities", "--tile", 16)
    assert run("predict", trained / "best.ckpt", *images, *options, "--json") == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["image"] for result in results] == [str(image) for image in images]
    for result in results:
        assert sum(result["shares"]) == pytest.approx(1)
        for kind in ("label", "overlay", "probabilities"):
            assert Path(result[kind]).is_file()
    assert run("predict", trained / "best.ckpt", *images, "--out", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{images[0]}  {tmp_path / 'p0-label.png'}  {tmp_path / 'p0-overlay.png'}"


def test_a_reader_that_leaves_is_no_fault(trained: Path, folder: Path) -> None:
    program = [sys.executable, "-m", "tconv", "evaluate", str(trained / "best.ckpt"), str(folder)]
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_second_run_into_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    words = [sys.executable, "-m", "tconv", "train", str(folder), "--out", str(out), "--epochs", "400"]
    first = subprocess.Popen([*words, "--crop", "40"], stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    shares = [first.stderr.readline() for _ in range(len(CLASSES) + 3)]
    assert after_shares("".join(shares)) == ""
    assert first.stderr.readline().startswith("epoch 1/400 ")
    for more in ([], ["--resume"]):
        second = subprocess.run([*words, *more], capture_output=True, text=True, check=False)
        said = f"tconv train: {out} is in use by another process; wait for it, or take another folder\n"
        assert (second.returncode, second.stdout, second.stderr) == (2, "", said)
    first.kill()
    first.communicate()
    free = subprocess.run([*words, "--crop", "41", "--resume"], capture_output=True, text=True, check=False)
    assert "it was started with crop=40, not 41" in free.stderr  # let in, it reads what the first one left


def test_a_full_disk_is_one_line_and_promises_nothing(folder: Path, tmp_path: Path) -> None:
    """The second checkpoint is larger than what the system allows, as if the disk were full."""
    out = tmp_path / "x"
    words = ["train", str(folder), "--out", str(out), "--epochs", "4", "--batch", "2", "--crop", "40"]
    code = (
        "import resource, sys; from tconv.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)); sys.exit(main(sys.argv[1:]))"
    )
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    said = f"tconv train: cannot write {out / 'last.ckpt'}: File too large\n"
    assert (found.returncode, found.stdout, after_shares(found.stderr)) == (2, "", said)
    assert os.listdir(out) == ["recipe.toml"]


def test_ctrl_c_before_an_epoch_promises_none(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    words = ["train", str(folder), "--out", str(out), "--epochs", "4", "--batch", "2"]
    code = (
        "import os, signal, sys; from tconv.cli import main; from tconv.runs.log import EpochLog\n"
        "EpochLog.on_train_batch_end = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    with started("-c", code, *words) as program:
        _, notes = program.communicate(timeout=PATIENCE)
    said = f"stopped before the first epoch was finished; --resume starts {out} anew"
    assert (program.returncode, notes.splitlines()[-1]) == (130, said)


def test_ctrl_c_is_one_line_and_the_run_can_be_resumed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    words = ["train", str(folder), "--out", str(out), "--epochs", "400", "--batch", "2", "--crop", "40"]
    with started("-m", "tconv", *words) as program:
        assert program.stderr is not None
        shares = [program.stderr.readline() for _ in range(len(CLASSES) + 3)]
        assert after_shares("".join(shares)) == ""
        for epoch in (1, 2):
            assert program.stderr.readline().startswith(f"epoch {epoch}/400 ")
        program.send_signal(signal.SIGINT)
        _, notes = program.communicate(timeout=PATIENCE)
    assert program.returncode == 130
    assert (
        notes.splitlines()[-1] == f"stopped; the finished epochs are in {out}, --resume continues from them"
    )
    assert sorted(os.listdir(out)) == ["best.ckpt", "last.ckpt", "log.csv", "recipe.toml"]
