"""A signal with a handler, such as Ctrl-C, reaches a process that has compiled models."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="runs inside OpenVINO; install tconv[openvino]")

PROGRAM = """
import os, signal
import numpy as np, openvino
from openvino import opset13 as ops
from tconv.openvino import compile_model

def model():
    x, w = ops.parameter([1, 2, 5, 5], np.float32), np.ones((2, 3, 4, 4), np.float32)
    up = ops.convolution_backprop_data(x, ops.constant(w), strides=[2, 2], pads_begin=[0, 0], pads_end=[0, 0],
                                       dilations=[1, 1])
    return openvino.Model([up], [x])

if {own}:  # the program's own core, which it may release at any time
    own = openvino.Core()
    mine = own.compile_model(model(), "CPU")
one = compile_model(model(), seconds=0.5)
two = compile_model(model(), seconds=0.5)
del one
if {own}:
    del own, mine
del two
signal.signal(signal.SIGINT, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("own", [False, True])
def test_ctrl_c_is_handled_when_models_are_gone(own: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{own}", str(own))],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
