"""Every option of every command, with odd values: one line and exit status 2, or a result."""

from __future__ import annotations

import argparse
import os
import signal
import socketserver
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tconv.cli import main, make_parser

ODD = (
    "", "0", "-1", "1.5", "nan", "-inf", "1e999", "9" * 30, "9" * 5000, "2147483647", "4294967296", "x", "\0",
    "a\0b", "\udce9", "\ud800", "é" * 300, "a" * 5000, "=", ",", "x=", "=x", ":", "1x1", "0x0", "x=1x2x3x4",
    "99999999x99999999", "999999999,999999999", "1,2;3", "[" * 300, "[" * 100_000, "(1,)", "\n",
    "\x1b[2J\u202e",
    "folder", "pipe", "null", "zero", "no/such/place", "empty", "text", ".", "~",
    "folder/pipe.svg", "folder.onnx", "pipe.png", "pipe.npy", "pipe.pt", "pipe.onnx", "pipe.ckpt",
    "n1 c1>1 i3 k3", "c1>1 i2147483647 k3", "c99999999>1 i3 k3", "c1>1 i3 k2147483647",
)  # fmt: skip

#: Command -> a line of it that is answered, or refused at the last moment where an answer would take long.
LINES: dict[str, tuple[dict[str, list[str]], list[str]]] = {
    "explain": ({"problem": ["n1 c1>1 i3 k3"]}, []),
    "draw": ({"problem": ["n1 c1>1 i3 k3"]}, []),
    "diagnose": ({"what": ["w.npy"], "--problem": ["n1 c1>1 i4 k4 s2 p1"]}, []),
    "inspect": ({"model": ["m.onnx"]}, []),
    "rewrite": (
        {"model": ["m.onnx"], "out": ["out.onnx"], "--for": ["no-groups"]},
        ["--no-check"],
    ),
    "page": ({}, ["--no-open"]),
    "bench": ({"--suite": ["empty"]}, []),
    "tune": ({"--suite": ["empty"]}, []),
    "train": ({"data": ["no/such/data"], "--out": ["run"]}, []),
    "evaluate": ({"checkpoint": ["text"], "data": ["no/such/data"]}, []),
    "predict": ({"checkpoint": ["text"], "images": ["p.png"], "--out": ["run"]}, []),
    "demo": ({"--out": ["text/no"], "--epochs": ["0"]}, []),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of things that the odd names mean."""
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "folder.onnx"):
        Path(folder).mkdir()
    for suffix in ("", ".png", ".npy", ".pt", ".onnx", ".ckpt"):
        os.mkfifo(f"pipe{suffix}")
    os.mkfifo("folder/pipe.svg")
    for device in ("null", "zero"):  # as links, so that no test can replace a device
        Path(device).symlink_to(f"/dev/{device}")
    Path("empty").touch()
    Path("text").write_text("some text\n")
    np.save("w.npy", np.ones((1, 1, 4)))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, "h", 4]) for name in "xy")
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=2, strides=[2, 2])
    w = numpy_helper.from_array(np.ones((2, 1, 2, 2), np.float32), "w")
    graph = helper.make_graph([up], "g", [x], [y], [w])
    opset = [helper.make_opsetid("", 21)]
    Path("m.onnx").write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=opset).SerializeToString()
    )

    def stop(self: Any, *_: Any) -> None:
        raise KeyboardInterrupt  # as Ctrl-C, as soon as a server listens

    def late(*_: Any) -> None:
        raise RuntimeError("no answer within the time")

    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", stop)
    before = signal.signal(signal.SIGALRM, late)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _lines(command: str) -> Iterator[list[str]]:
    """The command's line with each value of each option exchanged."""
    given, flags = LINES[command]
    for action in make_parser().commands[command]._actions:
        if action.nargs == 0:
            continue
        count = action.nargs if isinstance(action.nargs, int) else 1
        for odd in ODD:
            values = {**given, _name(action): [odd] * count}
            named = {name: each for name, each in values.items() if name.startswith("-")}
            words = [word for name, each in named.items() for word in (name, *each)]
            if count == 1:
                words = [f"{name}={each[0]}" for name, each in named.items()]
            places = [word for name, each in values.items() if name not in named for word in each]
            yield [command, *words, *flags, "--", *places]


def _held(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_every_command_is_here() -> None:
    assert set(LINES) == set(make_parser().commands)


@pytest.mark.parametrize("command", LINES)
def test_odd_values_are_refused_in_one_line(
    command: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    faults, refused = [], 0
    for words in _lines(command):
        shown = f"{words!r:.200}"
        before = _held(place)
        signal.alarm(120)
        try:
            status = main(words)
        except SystemExit as stop:
            status = int(stop.code or 0)
        except BaseException as fault:
            faults.append(f"{shown}: {type(fault).__name__}: {fault!s:.200}")
            continue
        finally:
            signal.alarm(0)
        told = capfd.readouterr().err
        if status == 2:
            refused += 1
            if told.count("\n") != 1 or len(told) > 2000 or "Traceback" in told:
                faults.append(f"{shown}: {told!r:.300} ({len(told)})")
            if _held(place) != before:
                faults.append(f"{shown}: wrote {set(_held(place)) ^ set(before)}")
        elif status not in (0, 1):
            faults.append(f"{shown}: {status}")
    assert faults == []
    assert refused > len(ODD) // 2
