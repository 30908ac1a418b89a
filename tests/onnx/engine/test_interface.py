"""The library meets the installed runtime, and refuses others in one line."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import tconv.onnx
from tconv import _core
from tconv.errors import TconvError
from tconv.onnx.engine import planner
from tests.onnx.engine.helpers import answer, one_layer, opened, whole

_GetApi = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
_Version = ctypes.CFUNCTYPE(ctypes.c_void_p)


class _Base(ctypes.Structure):
    _fields_ = (("get", _GetApi), ("version", _Version))


@pytest.fixture
def runtime() -> Any:
    """The functions of the runtime's shared library, as its header names them."""
    (path,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*.*")
    base = ctypes.CDLL(str(path)).OrtGetApiBase
    base.restype = ctypes.POINTER(_Base)
    return base().contents


def registered(base: _Base) -> str:
    """What RegisterCustomOps says to a runtime; no operator is added to real options."""
    library = planner.install()
    library.RegisterCustomOps.restype = ctypes.c_void_p
    library.RegisterCustomOps.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    status = library.RegisterCustomOps(None, ctypes.byref(base))
    if not status:
        return ""
    table = ctypes.cast(base.get(1), ctypes.POINTER(ctypes.c_void_p))
    said = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(table[2])(status)
    return said.decode()


@pytest.mark.parametrize("version", [b"1.15.1", b"1.9.0", b"2.0.0", b"", b"nightly"])
def test_unknown_runtimes_are_refused(runtime: Any, version: bytes) -> None:
    text = ctypes.create_string_buffer(version)
    said = registered(_Base(runtime.get, _Version(lambda: ctypes.addressof(text))))
    assert said == f"tconv: ONNX Runtime {version.decode()} is not known; 1.16 or a later 1.x would fit"


def test_a_runtime_without_version_16_is_refused(runtime: Any) -> None:
    def older(version: int) -> Any:
        return runtime.get(version) if version < 16 else None

    assert "is not known" in registered(_Base(_GetApi(older), runtime.version))


def _session_with(runtime: Any, get: Callable[[int], Any]) -> str:
    """RegisterCustomOps with real options: slots 10 and 100 create and release them."""
    table = ctypes.cast(runtime.get(16), ctypes.POINTER(ctypes.c_void_p))
    options = ctypes.c_void_p()
    ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p))(table[10])(ctypes.byref(options))
    library = planner.install()
    library.RegisterCustomOps.restype = ctypes.c_void_p
    base = _Base(_GetApi(get), runtime.version)
    status = library.RegisterCustomOps(options, ctypes.byref(base))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(table[100])(options)
    return "refused" if status else ""


def test_versions_16_and_later_are_taken(runtime: Any) -> None:
    assert _session_with(runtime, runtime.get) == ""
    assert _session_with(runtime, lambda version: runtime.get(version) if version <= 16 else None) == ""


def test_sizes_are_inferred() -> None:
    weight = whole((3, 4, 3, 3))
    known = opened(one_layer(weight, [2, 3, 5, 7], strides=[2, 1], pads=[1, 0, 0, 1]))
    assert known.get_outputs()[0].shape == [2, 4, 10, 8]
    assert known.get_outputs()[0].type == "tensor(float)"
    half = opened(one_layer(weight, [2, 3, 5, 7], auto_pad="SAME_UPPER", strides=[2, 2], kind="float16"))
    assert (half.get_outputs()[0].shape, half.get_outputs()[0].type) == ([2, 4, 10, 14], "tensor(float16)")


def test_the_planner_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def recorded(question: Any) -> Any:
        asked.append(tuple(question.input))
        return planned(question)

    planned = planner._planned
    monkeypatch.setattr(planner, "_planned", recorded)
    session = opened(one_layer(whole((3, 4, 3, 3)), ["n", 3, "h", "w"], strides=[2, 2]))
    for height in (5, 6, 5, 6, 5):
        session.run(None, {"x": whole((1, 3, height, 4))})
    assert asked == [(1, 5, 4), (1, 6, 4)]  # once a shape


def test_what_the_planner_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(question: Any) -> Any:
        raise TconvError("no plan\nfor " + "x" * 600)

    monkeypatch.setattr(planner, "_planned", refuse)
    session = opened(one_layer(whole((3, 4, 3, 3)), [1, 3, 5, 5]))
    with pytest.raises(Exception, match="Message: tconv::ConvTranspose: no plan for xxx") as caught:
        session.run(None, {"x": whole((1, 3, 5, 5))})
    assert "\n" not in str(caught.value)


def test_a_library_of_another_build_is_refused() -> None:
    plan = tconv.plan(tconv.Geometry.parse("n1 c1>1 i3 k2"), isa="baseline").core
    assert planner.install().tconv_ort_give(0, _core.plan_address(plan), _core.PLAN_BYTES + 8) == 1


def test_an_installation_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planner, "LIBRARY", tmp_path / "gone.so")
    planner.install.cache_clear()
    with pytest.raises(TconvError, match="is missing"):
        tconv.onnx.library()
    monkeypatch.undo()
    planner.install.cache_clear()
    assert Path(tconv.onnx.library()).is_file()
    assert answer(one_layer(whole((1, 1, 2)), [1, 1, 3]), {"x": whole((1, 1, 3))}).shape == (1, 1, 4)


def test_a_program_may_end_while_sessions_exist(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(one_layer(whole((3, 4, 3, 3)), ["n", 3, 5, 5]).SerializeToString())
    code = (
        "import sys, numpy, onnxruntime, tconv.onnx\n"
        "options = onnxruntime.SessionOptions()\n"
        "tconv.onnx.register(options)\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], options)\n"
        "print(session.run(None, {'x': numpy.ones((1, 3, 5, 5), 'float32')})[0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1, 4, 7, 7)\n", "")


def test_the_library_alone(tmp_path: Path) -> None:
    """A process that never imports tconv: it plans by its own rules."""
    path = tmp_path / "m.onnx"
    weight, x = whole((3, 4, 3, 3)), whole((1, 3, 5, 5), 1)
    path.write_bytes(one_layer(weight, ["n", 3, "h", "w"], strides=[2, 2]).SerializeToString())
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy, onnxruntime\n"
        "options = onnxruntime.SessionOptions()\n"
        "options.register_custom_ops_library(sys.argv[1])\n"
        "session = onnxruntime.InferenceSession(sys.argv[2] + '/m.onnx', options)\n"
        "y = session.run(None, {'x': numpy.load(sys.argv[2] + '/x.npy')})[0]\n"
        "numpy.save(sys.argv[2] + '/y.npy', y)\n"
        "assert 'tconv' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tconv.onnx.library(), str(tmp_path)], check=True)
    expected = answer(one_layer(weight, x.shape, strides=[2, 2]), {"x": x})
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
