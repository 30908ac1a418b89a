"""Trained models rewritten for targets, each compared with its own outputs in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the models are ONNX")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

import tconv.onnx  # noqa: E402
from tconv.onnx.rewriting import CAPABILITIES  # noqa: E402
from tconv.onnx.rewriting.goals import needs  # noqa: E402
from tconv.onnx.rules import Context  # noqa: E402
from tests.onnx.helpers import answers  # noqa: E402
from tests.real_models.as_onnx import onnx_model  # noqa: E402

SOUNDS = np.random.default_rng(0).integers(1, 100, (1, 20))
SPEECH = {
    "input": SOUNDS,
    "input_lengths": np.array([20]),
    "scales": np.array([0.667, 1, 0.8], np.float32),  # of randomness, speed, and randomness of lengths
}


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return Path(request.config.cache.mkdir("real-models"))


def asked(path: Path) -> dict[str, set[str]]:
    """What each transposed convolution of a file requires of a runtime."""
    model = ir.load(path)
    context = Context(model)
    nodes = [node for _, node in context.nodes() if node.op_type == "ConvTranspose"]
    return {str(node.name): set(needs(node, context) or ()) for node in nodes}


def test_what_the_models_ask(folder: Path) -> None:
    """gtcrn's groups and dilation, DeepFilterNet's output padding, the pads of a 3-D U-Net."""
    assert {need for needs in asked(onnx_model("gtcrn", folder)).values() for need in needs} == {
        "groups", "dilation", "transposed",
    }  # fmt: skip
    assert [sorted(needs) for needs in asked(onnx_model("erb_dec", folder)).values()] == [
        ["groups", "output-padding", "transposed"]
    ] * 2
    assert [sorted(needs) for needs in asked(onnx_model("deepbrain", folder)).values()] == [
        ["3-d", "asymmetric-pads", "transposed"]
    ] * 3


@pytest.mark.parametrize(
    ("name", "goal", "given"),
    [
        ("gtcrn", "no-groups,no-dilation", []),
        ("gtcrn", "no-transposed", []),
        ("erb_dec", "no-groups,no-output-padding", []),
        ("erb_dec", "no-transposed", []),
        ("ppocr_det", "no-transposed", []),
        ("piper", "no-transposed", [SPEECH]),
        ("waifu2x", "no-transposed", []),
        ("waifu2x_cunet", "opencv,no-transposed", []),
        ("deepbrain", "no-asymmetric-pads", []),
        ("deepbrain", "no-3-d", []),
    ],
)
def test_a_target_is_met(
    name: str, goal: str, given: list[dict[str, np.ndarray]], folder: Path, tmp_path: Path
) -> None:
    path, out = onnx_model(name, folder), tmp_path / "out.onnx"
    shapes = {"img": (1, 1, 16, 24, 8)} if name == "deepbrain" else None  # three poolings want multiples of 8
    before = path.read_bytes()
    report = tconv.onnx.rewrite(path, out, goal=goal, inputs=given, shapes=shapes)
    assert report.done
    assert report.compared
    assert all(entry.fine for entry in report.compared)
    assert len({entry.feeds for entry in report.compared}) >= 2
    if name == "piper":  # what it says with randomness is compared, too
        assert report.notes == ("Random operators (RandomNormalLike) had the same seeds in both models.",)
    lacks = {goal.removeprefix("no-") for goal in goal.split(",")} & set(CAPABILITIES)
    assert not any(lacks & needs for needs in asked(out).values())
    assert path.read_bytes() == before
    old, new = onnx.load(path), onnx.load(out)
    assert {o.domain: o.version for o in new.opset_import} == {o.domain: o.version for o in old.opset_import}
    assert (new.ir_version, new.producer_name) == (old.ir_version, old.producer_name)
    assert (new.graph.input, new.graph.output) == (old.graph.input, old.graph.output)


def test_ncnn_networks_are_read_as_ncnn_does(folder: Path) -> None:
    """A ramp, doubled in size by the trained network: literal values of ncnn 1.0.20261020's own run."""
    x = np.zeros((1, 3, 60, 60), np.float32)
    x[:] = np.linspace(0, 1, 60, dtype=np.float32)
    for name, literal in RAMPS.items():
        (y,) = answers(ir.load(onnx_model(name, folder)), {"Input1": x})
        assert y.shape == (1, 3, *literal[0])
        np.testing.assert_allclose(y[0, 1, 20, ::16], literal[1], atol=2e-5)


RAMPS = {
    "waifu2x": ((92, 92), [0.114103, 0.249211, 0.384411, 0.519492, 0.654541, 0.789474]),
    "waifu2x_cunet": ((48, 48), [0.299619, 0.43513, 0.570611]),
}


def test_the_unet_is_read_as_tensorflow_does(folder: Path) -> None:
    """Literal probabilities of TensorFlow 2.21.0's own run of the file on a bright block."""
    x = np.zeros((1, 1, 128, 128, 128), np.float32)
    x[:, :, 30:100, 20:110, 25:105] = 0.5
    (y,) = answers(ir.load(onnx_model("deepbrain", folder)), {"img": x}, optimised=True)
    np.testing.assert_allclose(y[0, 0, 60, 60, 20:110:10], BLOCK, atol=1e-5)


BLOCK = [0.0, 0.472409, 0.998857, 1.0, 1.0, 1.0, 1.0, 0.999871, 0.0]
