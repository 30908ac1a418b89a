"""What a model of one input gets of a file, and how the command refuses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tconv.cli import main
from tconv.onnx.rewriting.media import candidates


def value(shape: list[Any], kind: str = "FLOAT") -> ir.Value:
    return ir.val("x", ir.DataType[kind], shape)


def first(path: Path, shape: list[Any], kind: str = "FLOAT", pixels: str = "") -> tuple[str, np.ndarray]:
    return next(candidates(path, value(shape, kind), pixels))


def one_line(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    out = path.with_name("never.onnx")
    assert main(["rewrite", str(path), str(out), "--for", "no-transposed", *more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert not out.exists()
    assert lines[-1].startswith("tconv rewrite: ")
    assert "Traceback" not in "".join(lines)
    return lines[-1]
