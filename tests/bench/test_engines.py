"""The engines of `tconv bench`: each, in whatever way it is called, is the definition."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import TconvError
from tconv.bench.activations import activate
from tconv.bench.task import TOLERANCE, Task
from tconv.bench.worker import ENGINES, NEEDS
from tconv.cli import main
from tconv.geometry import Geometry
from tconv.planning.activations import ACTIVATIONS
from tconv.testing import Arrays, load_cases
from tconv.views import scatter

QUICK = ["--turns", "1", "--seconds", "0.001", "--threads", "1"]
ALL = {
    name: pytest.param(
        name,
        marks=pytest.mark.skipif(
            any(find_spec(package) is None for package in NEEDS.get(name, ())),
            reason=f"a package of the engine {name} is not installed",
        ),
    )
    for name in ENGINES
}
OURS = [name for name in ENGINES if name.startswith("tconv")]


def answers(engine: str, task: Task) -> list[Any]:
    arrays = task.arrays()
    work = ENGINES[engine](task, arrays)
    assert work.note
    return work.answers(work.call(work.native(arrays.x)))


@pytest.fixture(autouse=True)
def _own_threads() -> Any:
    """An engine called in this process sets its runtime's threads and processors for good."""
    import os

    before, cpus = tconv.get_num_threads(), os.sched_getaffinity(0)
    threads = None
    if find_spec("torch"):
        import torch

        threads = torch.get_num_threads()
    yield
    tconv.set_num_threads(before)
    os.sched_setaffinity(0, cpus)
    if threads is not None:
        torch.set_num_threads(threads)


def definition(task: Task) -> Any:
    arrays = task.arrays()
    if task.dtype in ("float16", "bfloat16"):
        arrays = Arrays(*(array.astype(np.float32) for array in arrays))
    expected = scatter(arrays.x, arrays.weight, task.geometry)
    expected += arrays.bias.reshape(-1, *(1,) * task.geometry.axes)
    return activate(expected, task.activation)


@pytest.mark.parametrize("engine", ALL.values())
def test_every_engine_is_the_definition(engine: str) -> None:
    refused = 0
    for name, geometry in load_cases()[::7]:
        task = Task(geometry)
        try:
            (actual,) = answers(engine, task)
        except Exception:
            assert not engine.startswith("tconv"), name
            refused += 1
            continue
        np.testing.assert_array_equal(actual, definition(task), err_msg=name)
    assert refused < (15 if engine == "litert" else 5)


#: What each peer lacks, as far as it is not all that a layer may be.
LACKS = {
    "mnn": (
        ("n1 c2>2 i4 k3 s2 p-1", "negative padding"),
        ("n0 c2>2 i4 k3 s2", "an empty batch"),
        ("n1 c4>4 i3x3x2 k4 s2 p1 g4", "wrong with groups or dilation along three axes"),
        ("n1 c4>4 i3x3x2 k3 d2", "wrong with groups or dilation along three axes"),
    ),
    "ncnn": (("n1 c2>2 i4 k3 s2 p-1", "no negative padding"), ("n0 c2>2 i4 k3 s2", "no empty batch")),
    "litert": (
        ("n1 c2>2 i3x3x2 k3", "no three axes"),
        ("n1 c2>2 i3x3 k3 g2", "no groups"),
        ("n1 c2>2 i3 k3 d2", "no dilation"),
        ("n1 c2>2 i4 k3 s2 p-2", "no negative padding"),
        ("n1 c2>2 i1 k2 s3", "crashes where an output is smaller than the stride"),
    ),
}


@pytest.mark.parametrize("peer", [ALL[name] for name in LACKS])
def test_what_a_peer_lacks_is_refused_in_a_line(peer: str) -> None:
    for problem, why in LACKS[peer]:
        with pytest.raises(TconvError, match=why) as refused:
            answers(peer, Task(Geometry.parse(problem)))
        assert "\n" not in str(refused.value)


#: Padding and output padding in every combination that a runtime may express in its own way.
PADDED = (
    "n1 c3>5 i5x4 k3 s2 p1",
    "n1 c3>5 i5x4 k3 s2 p1 o1",
    "n2 c8>4 i5x4 k4x3 s2x3 p1:0x0 o0x2",
    "n3 c6>4 i9 k4 s2 p1 o1",
    "n1 c3>20 i7x6 k9x5 s2 p0:3x2:1",
    "n1 c17>33 i12x11 k2 s2",
    "n1 c5>3 i6x5 k3 p1",
    "n2 c3>4 i1x1 k4",
    "n1 c4>3 i40 k16 s8 p4",
)


@pytest.mark.parametrize("peer", [ALL[name] for name in LACKS])
@pytest.mark.parametrize("problem", PADDED)
def test_padding_is_the_definition_s(peer: str, problem: str) -> None:
    task = Task(Geometry.parse(problem), threads=2)
    (actual,) = answers(peer, task)
    np.testing.assert_array_equal(actual, definition(task))


@pytest.mark.parametrize("peer", [ALL["mnn"], ALL["ncnn"]])
@pytest.mark.parametrize(
    "problem", ["n2 c3>4 i4x3x5 k3x2x4 s2x2x3 p1:0x0x1 o1x0x0", "n1 c8>4 i3x4 k3 s2 d2 g4"]
)
def test_three_axes_dilation_and_groups_are_the_definition_s(peer: str, problem: str) -> None:
    task = Task(Geometry.parse(problem))
    (actual,) = answers(peer, task)
    np.testing.assert_array_equal(actual, definition(task))


CURVES = [
    *("relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "hardswish", "mish", "elu", "softplus"),
    *(("leaky_relu", 0.2), ("clamp", -1.0, 6.0), ("elu", 0.5), ("softplus", 2.0, 1.5), ("prelu", 0.25)),
    ("prelu", *np.linspace(-1, 1, 6).tolist()),
]
#: The only ones that an engine is compared in.
KNOWN = {
    "mnn": {*ACTIVATIONS} - {"mish"},
    "litert": {"relu", "tanh", "sigmoid", "hardswish", "leaky_relu", "clamp", "prelu"},
    "ncnn": {"relu", "tanh", "sigmoid", "mish", "silu", "leaky_relu", "clamp"},
}


def refuses(engine: str, activation: Any) -> bool:
    name = activation if isinstance(activation, str) else activation[0]
    # ONNX has neither beta nor threshold.
    by_onnx = engine in ("onnxruntime", "openvino", "mnn") and activation == ("softplus", 2.0, 1.5)
    return by_onnx or name not in KNOWN.get(engine, ACTIVATIONS)


def test_every_activation_is_compared() -> None:
    assert {each if isinstance(each, str) else each[0] for each in CURVES} == {*ACTIVATIONS}


@pytest.mark.parametrize("activation", CURVES)
@pytest.mark.parametrize("engine", ALL.values())
def test_every_engine_applies_the_activation(engine: str, activation: Any) -> None:
    groups = "" if engine == "litert" else " g2"
    task = Task(Geometry.parse(f"n2 c4>6 i3x4 k3 s2 p1{groups}"), activation=activation)
    if refuses(engine, activation):
        with pytest.raises(TconvError, match=r"softplus|not compared|converter refuses"):
            answers(engine, task)
        return
    (actual,) = answers(engine, task)
    # MNN approximates the error function; `tconv bench` says that its output is another.
    near = 1e-3 if engine == "mnn" and activation in ("gelu", "gelu_tanh") else 4e-6
    np.testing.assert_allclose(actual, definition(task), rtol=near, atol=near)


@pytest.mark.parametrize("engine", [*OURS, ALL["torch"], ALL["litert"]])
@pytest.mark.parametrize("problem", ["n2 c4>4 i3x4 k3 s2 p0:1", "n2 c3>4 i2x3x4 k3 s2"])
def test_channels_last_is_the_same_answer(engine: str, problem: str) -> None:
    if engine == "litert" and Geometry.parse(problem).axes == 3:
        return
    task = Task(Geometry.parse(problem), layout="channels_last", activation=("prelu", -1.0, 0.5, 2.0, 0.25))
    (actual,) = answers(engine, task)
    np.testing.assert_array_equal(actual, definition(task))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("engine", [ALL["tconv"], *(ALL[name] for name in NEEDS)])
def test_other_dtypes_are_the_definition_rounded_or_refused(engine: str, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    task = Task(Geometry.parse("n1 c4>6 i3x4 k3 s2 p1"), dtype)
    lacks = {("onnxruntime", "bfloat16"), ("openvino", "float64")}
    lacks |= {("onnxruntime", "complex64"), ("openvino", "complex64")}
    lacks |= {(name, dtype) for name in LACKS}
    if (engine, dtype) in lacks:
        with pytest.raises(TconvError, match=dtype):
            answers(engine, task)
        return
    if (engine, dtype) == ("onnxruntime", "float64"):
        with pytest.raises(Exception, match="implementation"):
            answers(engine, task)
        return
    try:
        (actual,) = answers(engine, task)
    except TconvError as error:
        if engine == "openvino" and "on this CPU" in str(error):
            pytest.skip(str(error))
        raise
    whole = "complex64" if dtype == "complex64" else "float64"
    exact = definition(task).astype(whole)
    far = np.abs(np.asarray(actual).astype(whole) - exact).max() / np.abs(exact).max()
    assert far <= (TOLERANCE[dtype] if dtype in ("float16", "bfloat16") else 0)


@pytest.mark.parametrize("engine", [ALL["torch"], ALL["jax"], "tconv"])
@pytest.mark.parametrize("problem", ["n2 c4>6 i3x4 k3 s2 p1 g2", "n1 c2>3 i5 k4 s2 p2:1"])
def test_a_training_step_gives_both_gradients(engine: str, problem: str) -> None:
    pytest.importorskip("torch", reason="PyTorch, which the training step needs, is not installed")
    task = Task(Geometry.parse(problem), grad=True)
    arrays, g = task.arrays(), task.geometry
    y, dx, dw = answers(engine, task)
    np.testing.assert_array_equal(y, definition(task))
    options: dict[str, Any] = {"stride": g.stride, "padding": g.padding, "groups": g.groups}
    np.testing.assert_array_equal(
        dx, tconv.conv(arrays.y, arrays.weight, algorithm="reference", input_size=g.input, **options)
    )
    np.testing.assert_array_equal(
        dw,
        tconv.conv_weight_gradient(arrays.x, arrays.y, kernel=g.kernel, algorithm="reference", **options),
    )


@pytest.mark.parametrize("peer", [ALL[name] for name in NEEDS])
def test_every_peer_is_timed_in_its_process(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "c3>2 i5x4 k3 s2 p0:1x1", "--peers", peer, "--json", *QUICK]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["layers"][0]["seconds"]) == {"tconv", peer}
    assert record["layers"][0]["notes"][peer].startswith(f"{peer} ")
    assert record["machine"]["versions"][NEEDS[peer][0]]
    assert record["layers"][0]["errors"] == {}


@pytest.mark.parametrize("peer", [ALL["torch"]])
def test_a_training_step_is_timed(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "c3>2 i5x4 k3 s2", "--grad", "--peers", peer, "--json", *QUICK]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["layers"][0]["seconds"]) == {"tconv", peer}
    assert record["machine"]["grad"]


@pytest.mark.parametrize("peer", [ALL["torch"]])
def test_what_a_peer_cannot_say_is_its_error_and_not_a_wrong_answer(
    peer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "n1 c2>2 i5 k3 s3 p2:1 o1", "--peers", peer, "--json", *QUICK]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    assert set(layer["seconds"]) == {"tconv"}
    assert "PyTorch cannot express" in layer["errors"]["torch"]
