"""A name that means harm, thrown at every command that prints names from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tconv.cli import main
from tests.documents.test_documents import HOSTILE, OBEYED

#: In a path there is no slash; a class name is one line.
FILE = HOSTILE.replace("/", "")
ONE_LINE = HOSTILE.replace("\n", "")
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object, status: int) -> str:
        """What a command printed, both streams, after a look for what a terminal would obey."""
        try:
            ended = main([str(word) for word in words])
        except SystemExit as stop:
            ended = int(stop.code or 0)
        printed = "".join(capsys.readouterr())
        assert ended == status, printed
        assert OBEYED.search(printed) is None, repr(printed)
        return printed

    return run


def test_explain(run: Run) -> None:
    for words in ([HOSTILE], ["c1>1 i3 k3", "--only", HOSTILE], ["c1>1 i3 k3", "--values", HOSTILE, "ones"]):
        assert run("explain", *words, status=2).count("\n") == 1
    run("explain", "c1>1 i3 k3", HOSTILE, status=2)
    call = f"nn.ConvTranspose2d(3, 8, 3, {HOSTILE}=2)"
    run("explain", "--from", "pytorch", call, "--input", "5x5", "--channels", "3", status=2)


def test_draw_and_bench(run: Run, tmp_path: Path) -> None:
    words = ["--weights", FILE, "--out", tmp_path / "x.svg"]
    assert run("draw", "c1>1 i3x3 k3", *words, status=2).count("\n") == 1
    run("draw", "c1>1 i3x3 k3", "--out", tmp_path / FILE, status=0)
    assert (tmp_path / FILE).is_file()
    assert run("bench", "--from", tmp_path / FILE, status=2).count("\n") == 1
    assert run("bench", "c1>1 i3 k3", "--peers", HOSTILE, status=2).count("\n") == 1


def test_diagnose(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / f"{FILE}.npy", np.random.default_rng(0).normal(size=(2, 3, 4, 4)))
    page = tmp_path / f"{FILE}.html"
    words = ["--problem", "n1 c2>3 i8x8 k4 s2 p1", "--html", page, "--fix", tmp_path / f"{FILE}2.npy"]
    assert r"up\x1b]0;mine\x07" in run("diagnose", tmp_path / f"{FILE}.npy", *words, status=1)
    assert OBEYED.search(page.read_text()) is None
    assert "<script" not in page.read_text()
    run("diagnose", tmp_path / FILE, status=2)


def test_diagnose_what_pytorch_saved(run: Run, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="state dicts are PyTorch's")
    torch.save(
        {f"{HOSTILE}.weight": torch.randn(2, 3, 4, 4), "down.weight": torch.ones(2, 2, 3)}, tmp_path / "m.pt"
    )
    layer = f"{HOSTILE}=n1 c2>3 i8x8 k4 s2 p1"
    assert r"up\x1b]0;mine\x07" in run("diagnose", tmp_path / "m.pt", "--layer", layer, status=1)
    for words in ([], ["--layer", "u=n1 c2>3 i8x8 k4 s2 p1"], ["--layer", HOSTILE]):
        assert run("diagnose", tmp_path / "m.pt", *words, status=2).count("\n") == 1
    name = ONE_LINE.encode("ascii", "ignore").decode()
    held = type(name, (), {"__module__": __name__})
    globals()[name] = held
    torch.save({"up": held()}, tmp_path / "whole.pt")  # of which PyTorch's own message tells
    assert run("diagnose", tmp_path / "whole.pt", status=2).count("\n") == 1


def test_onnx(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="rewriting is checked in ONNX Runtime")
    import onnx
    from onnx import helper

    from tests.onnx.helpers import model_proto

    node = helper.make_node("ConvTranspose", [HOSTILE, "w"], ["y"], name=HOSTILE, group=2, strides=[2, 2])
    weights = {"w": np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)}
    path, page = tmp_path / f"{FILE}.onnx", tmp_path / "page.html"
    onnx.save(model_proto([node], {HOSTILE: [1, 4, HOSTILE, 6]}, weights=weights), path)
    told = r"up\x1b]0;mine\x07\x1b[2J\n\u202egnp<script>"
    assert told in run("diagnose", path, status=1)
    assert told in run("inspect", path, "--html", page, status=0)
    assert OBEYED.search(page.read_text()) is None
    assert "<script" not in page.read_text()
    assert told in run("rewrite", path, tmp_path / f"{FILE}2.onnx", "--for", "no-groups", status=0)
    for command, words in (
        ("inspect", ["--size", "x=3"]),
        ("inspect", ["--input", f"{HOSTILE}x=1x2x3x4"]),
        ("diagnose", ["--input", "x=1x2x3x4"]),
        ("diagnose", ["--layer", "x"]),
    ):
        assert run(command, path, *words, status=2).count("\n") == 1
    for other in (
        [path, tmp_path / "o.onnx", "--for", "speed", "--input", "x=1x2x3x4"],
        [FILE, "o", "--for", HOSTILE],
    ):
        assert run("rewrite", *other, status=2).count("\n") == 1


def test_classes_and_pictures(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning", reason="networks need tconv[train]")
    from tconv.train.run import fit
    from tests.train.helpers import SETTINGS, write_folder

    data = write_folder(tmp_path / "data")
    (data / "classes.txt").write_text(f"ground\n{ONE_LINE}\nbar\n", encoding="utf-8", newline="\n")
    picture = data / "test" / "images" / f"{FILE}.png"
    net = fit(data, tmp_path / "run", **{**SETTINGS, "epochs": 1}).last
    assert r"\x1b]0;mine\x07" in run("evaluate", net, data, status=0)
    picture.write_bytes((data / "test" / "images" / "p1.png").read_bytes())
    assert r"\x1b]0;mine\x07" in run("predict", net, picture, "--out", tmp_path / "out", status=0)
    assert run("predict", net, tmp_path / FILE, "--out", tmp_path / "out", status=2).count("\n") == 1
    (data / "classes.txt").write_text(f"{ONE_LINE}\nx\ny\n", encoding="utf-8", newline="\n")
    assert run("evaluate", net, data, status=2).count("\n") == 1


def test_the_error_line_is_cleaned_whatever_was_raised(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tconv.errors import TconvError

    def raises(*_: object, **__: object) -> None:
        raise TconvError(HOSTILE)

    monkeypatch.setattr("tconv.explanation.explain", raises)
    printed = run("explain", "c1>1 i3 k3", status=2)
    assert re.fullmatch(r"tconv explain: up\\x1b.*\n", printed)
