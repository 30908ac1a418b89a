"""Trained models out of the registry: what is said of them, held to what ONNX Runtime and PyTorch compute."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv import algebra
from tconv.diagnosis import Diagnosis, diagnose
from tconv.geometry import Geometry
from tests.real_models.fetch import fetch

onnx = pytest.importorskip("onnx", reason="most of the models are ONNX")
pytest.importorskip("onnx_ir", reason="models are read with onnx-ir")
runtime = pytest.importorskip("onnxruntime", reason="the layers are run with ONNX Runtime")
torch = pytest.importorskip("torch", reason="one of the models is PyTorch's")


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return Path(request.config.cache.mkdir("real-models"))


def answers(path: Path, name: str, weight: np.ndarray, g: Geometry) -> np.ndarray:
    """What ONNX Runtime's own run of one node makes of ones, in float64 of its float32."""
    (node,) = (n for n in onnx.load(path).graph.node if n.name == name)
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    del alone.input[:]
    alone.input.extend(["x", "w"])
    graph = onnx.helper.make_graph(
        [alone], "g",
        [onnx.helper.make_tensor_value_info("x", 1, g.input_shape)],
        [onnx.helper.make_tensor_value_info(node.output[0], 1, g.output_shape)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 12)], ir_version=8)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones(g.input_shape, np.float32)})[0].astype(np.float64)


def one_period(y: np.ndarray, g: Geometry) -> np.ndarray:
    """The outputs of the full output's phases 0 .. s-1 about the middle, as (out, *stride)."""
    cuts: list[Any] = [slice(None)]
    for size, s, (lo, _) in zip(g.output, g.stride, g.padding, strict=True):
        first = (size // 2 + lo) // s * s - lo
        cuts.append(slice(first, first + s))
    return y[0][tuple(cuts)]


def strided(report: Diagnosis) -> list[Any]:
    return [entry for entry in report.layers if max(entry.layer.geometry.stride) > 1]


@pytest.mark.parametrize(
    ("name", "layers", "with_stride", "codes"),
    [
        (
            "gtcrn",
            11,
            2,
            {"T101": 2, "T103": 2, "T104": 2, "T201": 2, "T202": 2, "T203": 2, "T402": 7, "T403": 4},
        ),
        ("erb_dec", 2, 2, {"T101": 2, "T201": 2, "T202": 2}),
        ("ppocr_det", 2, 2, {"T104": 5, "T201": 2, "T202": 2, "T203": 5, "T402": 1}),
        ("piper", 3, 3, {"T201": 3, "T202": 3}),
    ],
)
def test_what_is_said_of_a_model(
    name: str, layers: int, with_stride: int, codes: dict[str, int], folder: Path, tmp_path: Path
) -> None:
    path = fetch(name, folder)
    report = diagnose(path)
    assert len(report.layers) == layers
    assert Counter(finding.code for finding in report.findings) == codes
    names = tuple(entry.layer.name for entry in strided(report))
    assert len(names) == with_stride
    mended = report.fix(names=names)
    report.write(tmp_path / "flat.onnx", mended)
    onnx.checker.check_model(str(tmp_path / "flat.onnx"))
    flat = {entry.layer.name: entry for entry in diagnose(tmp_path / "flat.onnx").layers}
    for entry in strided(report):
        g, measured = entry.layer.geometry, entry.measures.weights
        now = one_period(answers(path, entry.layer.name, entry.layer.weight, g), g)
        np.testing.assert_allclose(
            now, measured.channels, atol=2e-5 * np.abs(entry.layer.weight).sum(0).max()
        )
        weight = flat[entry.layer.name].layer.weight
        assert weight.dtype == entry.layer.weight.dtype
        after = one_period(answers(path, entry.layer.name, weight, g), g).reshape(g.out_channels, -1)
        bound = 1e-6 * np.abs(weight).reshape(g.in_channels, -1).sum(1).sum()
        assert np.ptp(after, axis=1).max() < bound < np.ptp(now.reshape(g.out_channels, -1), axis=1).max()


def test_folding_gtcrn_equals_its_own_batchnorm(folder: Path) -> None:
    """Layer 1716 has two groups: folded by group it equals ONNX Runtime's two nodes."""
    path = fetch("gtcrn", folder)
    model = onnx.load(path)
    nodes = {node.name: node for node in model.graph.node}
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    conv, norm = nodes["ConvTranspose_1716"], nodes["BatchNormalization_1717"]
    weight, bias = (arrays[name] for name in conv.input[1:])
    gamma, beta, mean, variance = (arrays[name] for name in norm.input[1:])
    folded = algebra.fold_batchnorm(
        weight, bias, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=1e-5, groups=2
    )
    x = np.random.default_rng(0).normal(size=(1, 16, 1, 33)).astype(np.float32)

    def run(steps: list[Any], held: dict[str, np.ndarray], last: str) -> np.ndarray:
        graph = onnx.helper.make_graph(
            steps, "g",
            [onnx.helper.make_tensor_value_info(conv.input[0], 1, x.shape)],
            [onnx.helper.make_tensor_value_info(last, 1, None)],
            [onnx.numpy_helper.from_array(array, name) for name, array in held.items()],
        )  # fmt: skip
        made = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
        session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {conv.input[0]: x})[0]

    two = run(
        [conv, norm], {name: arrays[name] for name in (*conv.input[1:], *norm.input[1:])}, norm.output[0]
    )
    one = run([conv], dict(zip(conv.input[1:], folded, strict=True)), conv.output[0])
    np.testing.assert_allclose(one, two, atol=1e-5)
    wrong = weight * (gamma / np.sqrt(variance + 1e-5))[:8].reshape(1, 8, 1, 1)  # axis 1 alone
    assert (
        np.abs(
            run([conv], dict(zip(conv.input[1:], (wrong, folded[1]), strict=True)), conv.output[0]) - two
        ).max()
        > 0.1
    )


def test_a_pupil_unet(folder: Path, tmp_path: Path) -> None:
    path = fetch("mouse_pupil", folder)
    layers = {"up1": "n1 c128>64 i37x37 k2 s2", "up2": "n1 c64>32 i74x74 k2 s2"}
    report = diagnose(path, layers=layers)
    assert Counter(finding.code for finding in report.findings) == {"T201": 2, "T202": 2}
    report.write(tmp_path / "flat.pth", report.fix(names=("up2",)))
    state, flat = (torch.load(p, "cpu", weights_only=True) for p in (path, tmp_path / "flat.pth"))
    assert torch.equal(flat["up1.weight"], state["up1.weight"])
    x = torch.ones(1, 64, 5, 5)
    y = torch.nn.functional.conv_transpose2d(x, flat["up2.weight"], stride=2)
    assert (y.amax((2, 3)) - y.amin((2, 3))).max() < 1e-5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # onnx makes the cases of all operators on the way
def test_onnx_s_own_cases(tmp_path: Path) -> None:
    """The geometry read from every official case gives the official output's shape."""
    from onnx.backend.test.case.node import collect_testcases

    cases = collect_testcases("ConvTranspose")
    assert len(cases) >= 11
    for case in cases:
        inputs, outputs = case.data_sets[0]
        weight = onnx.numpy_helper.from_array(inputs[1], case.model.graph.input[1].name)
        case.model.graph.initializer.append(weight)
        onnx.save(case.model, tmp_path / "m.onnx")
        (entry,) = diagnose(tmp_path / "m.onnx").layers
        assert entry.layer.geometry.output_shape == outputs[0].shape, case.name
        assert entry.layer.sized
