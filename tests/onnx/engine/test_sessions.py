"""Several sessions, several threads, forks, and files with data beside them."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import tconv.onnx
from tconv.errors import TconvError
from tests.onnx.engine.helpers import answer, one_layer, opened, whole
from tests.onnx.helpers import model_proto

WEIGHT = whole((16, 8, 4, 4))
OPTIONS = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
DYNAMIC = one_layer(WEIGHT, ["n", 16, "h", "w"], **OPTIONS)


def expected(x: np.ndarray) -> np.ndarray:
    plain = one_layer(WEIGHT, ["n", 16, "h", "w"], engine=False, **OPTIONS).SerializeToString()
    return onnxruntime.InferenceSession(plain).run(None, {"x": x})[0]


def test_eight_threads_and_two_sessions_at_once() -> None:
    sessions = [opened(DYNAMIC), opened(DYNAMIC)]
    feeds = [whole((1, 16, 4 + size % 5, 9 + size), size) for size in range(12)]
    answers = [expected(x) for x in feeds]

    def work(thread: int) -> bool:
        order = np.random.default_rng(thread).permutation(np.repeat(np.arange(12), 4))
        return all(
            np.array_equal(sessions[(thread + i) % 2].run(None, {"x": feeds[at]})[0], answers[at])
            for i, at in enumerate(order)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def _child(queue: Any, x: np.ndarray) -> None:
    queue.put(answer(DYNAMIC, {"x": x}))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if an earlier test has imported it
def test_a_session_after_a_fork() -> None:
    x = whole((1, 16, 6, 7), 3)
    first = answer(DYNAMIC, {"x": x})  # the parent has used the library
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue, x))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), first)
    child.join(timeout=60)
    assert child.exitcode == 0


def decoder(**more: Any) -> onnx.ModelProto:
    """conv, then a layer with an activation, twice; plain operators."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("ConvTranspose", ["a", "w1"], ["b"], strides=[2, 2], name="up1"),
        helper.make_node("Relu", ["b"], ["c"], name="relu"),
        helper.make_node("ConvTranspose", ["c", "w2", "b2"], ["y"], strides=[2, 2], name="up2"),
    ]
    weights = {
        "w0": whole((8, 3, 3, 3)),
        "w1": whole((8, 8, 2, 2)),
        "w2": whole((8, 2, 4, 4)),
        "b2": whole((2,)),
    }
    return model_proto(nodes, {"x": ["n", 3, "h", "w"]}, weights=weights, **more)


def test_session_takes_any_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(decoder().SerializeToString())
    before = path.read_bytes()
    session = tconv.onnx.session(path)
    x = whole((1, 3, 6, 5))
    np.testing.assert_array_equal(
        session.run(None, {"x": x})[0], onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0]
    )
    assert path.read_bytes() == before
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = tconv.onnx.session(path, options, ["CPUExecutionProvider"])
    session.run(None, {"x": x})
    profile = Path(session.end_profiling()).read_text()
    assert "Relu" not in profile  # it became part of the layer
    # A file that was rewritten is opened as it is.
    tconv.onnx.rewrite(path, tmp_path / "out.onnx", goal="engine", seconds=0)
    again = tconv.onnx.session(tmp_path / "out.onnx")
    np.testing.assert_array_equal(again.run(None, {"x": x})[0], session.run(None, {"x": x})[0])


def test_options_may_be_used_again(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(decoder().SerializeToString())
    options = onnxruntime.SessionOptions()
    tconv.onnx.register(options)
    x = whole((1, 3, 6, 5))
    first, second = (tconv.onnx.session(path, options).run(None, {"x": x})[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(TconvError, match=r"3 is no onnxruntime\.SessionOptions"):
        tconv.onnx.register(3)


def test_a_constant_input_is_folded() -> None:
    """ONNX Runtime runs the node once, while the session is made."""
    nodes = [
        helper.make_node("ConvTranspose", ["c", "w"], ["t"], domain="tconv", **OPTIONS),
        helper.make_node("Add", ["t", "x"], ["y"]),
    ]
    weights = {"c": whole((1, 16, 4, 5)), "w": WEIGHT}
    model = model_proto(nodes, {"x": [1]}, weights=weights, domains=["tconv"])
    found = answer(model, {"x": np.zeros(1, np.float32)})
    np.testing.assert_array_equal(found, expected(weights["c"]))


def test_data_beside_the_file(tmp_path: Path) -> None:
    big = decoder()
    big.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(whole((8, 3, 3, 3)), "w0"))
    onnx.save(big, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    x = whole((1, 3, 6, 5))
    plain = onnxruntime.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"x": x})[0]
    np.testing.assert_array_equal(tconv.onnx.session(tmp_path / "m.onnx").run(None, {"x": x})[0], plain)
    tconv.onnx.rewrite(tmp_path / "m.onnx", tmp_path / "out.onnx", goal="engine", seconds=0)
    np.testing.assert_array_equal(answer(str(tmp_path / "out.onnx"), {"x": x}), plain)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(TconvError, match=r"gone\.onnx"):
        tconv.onnx.session(tmp_path / "gone.onnx")
    path = tmp_path / "m.onnx"
    path.write_bytes(one_layer(WEIGHT, [1, 16, 4, 4], auto_pad="NEVER").SerializeToString())
    with pytest.raises(TconvError, match="auto_pad='NEVER' is unknown"):
        tconv.onnx.session(path)
