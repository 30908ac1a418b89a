"""A program in C++, in a process without Python: the library stands alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import tconv.onnx
from tests.onnx.engine.helpers import answer, one_layer, whole

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
RUNTIMES = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))


@pytest.mark.skipif(COMPILER is None or not RUNTIMES, reason="no C++ compiler, or no shared runtime")
def test_a_program_without_python(tmp_path: Path) -> None:
    model = one_layer(
        whole((3, 4, 4, 4)), (1, 3, "h", "w"), strides=[2, 2], pads=[1, 1, 1, 1], activation="Relu"
    )
    x = whole((1, 3, 5, 6), 1)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "x").write_bytes(x.tobytes())
    assert COMPILER is not None
    source, program = Path(__file__).with_name("host.cpp"), tmp_path / "host"
    subprocess.run([COMPILER, "-std=c++17", "-O1", source, "-o", program, "-ldl"], check=True)
    names = [tmp_path / name for name in ("m.onnx", "x", "y")]
    done = subprocess.run(
        [program, RUNTIMES[0], tconv.onnx.library(), *names], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = np.fromfile(names[2], np.float32).reshape(1, 4, 10, 12)
    np.testing.assert_array_equal(found, answer(model, {"x": x}))
    linked = subprocess.run(["ldd", tconv.onnx.library()], capture_output=True, text=True, check=True)
    assert "python" not in linked.stdout
