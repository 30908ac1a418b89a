"""Layers like an inverse STFT as a matrix product and overlap-add, compared with ONNX Runtime's outputs."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are written with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")

from onnx import helper  # noqa: E402

from tests.onnx.helpers import answers, model, op_types, whole  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402


def synthesis(kernel, hop, groups=1, bias=True, opset=18, channels=6, outputs=1, shape=None, **said):
    rng = np.random.default_rng(kernel)
    held = {"w": whole(rng, channels, outputs, kernel)}
    if bias:
        held["b"] = whole(rng, groups * outputs)
    node = helper.make_node(
        "ConvTranspose", ["x", *held], ["y"], name="istft", strides=[hop], group=groups, **said
    )
    return model([node], {"x": shape or ["n", channels, "l"]}, ["y"], held, opset=opset)


def columns(seed: int, length: int, batch: int = 2, channels: int = 6) -> dict[str, np.ndarray]:
    return {"x": whole(np.random.default_rng(seed), batch, channels, length)}


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(
    ("kernel", "hop", "said"),
    [
        (64, 16, {}),
        (64, 32, {"pads": [32, 32]}),
        (64, 16, {"pads": [5, 30]}),
        (64, 64, {}),
        (60, 16, {"pads": [8, 8]}),  # a hop that does not divide the kernel
        (40, 64, {}),
        (64, 16, {"output_padding": [7]}),
        (64, 64, {"output_padding": [7]}),
        (64, 16, {"auto_pad": "SAME_UPPER"}),
        (33, 2, {"pads": [0, 1]}),
    ],
)
def test_every_option_and_any_length(kernel: int, hop: int, said: dict, groups: int) -> None:
    made = synthesis(kernel, hop, groups, bias=groups != 2, **said)
    feeds = [columns(1, 9), columns(2, 3, batch=1), columns(3, 20, batch=3)]
    done = rewritten(made, "inverse-stft", *feeds)
    assert "ConvTranspose" not in op_types(done)
    assert "MatMul" in op_types(done)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 21])
def test_every_opset(opset: int) -> None:
    for groups in (1, 3):
        made = synthesis(48, 12, groups, opset=opset, pads=[12, 12])
        rewritten(made, "inverse-stft", columns(4, 5))


@pytest.mark.parametrize("how", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("output", [100, 101, 127, 129, 140])
def test_output_shapes(output: int, how: str) -> None:
    """Shorter and longer than the 128 cells that five frames reach."""
    made = synthesis(64, 16, shape=["n", 6, 5], output_shape=[output], auto_pad=how)
    rewritten(made, "inverse-stft", columns(7, 5))


def test_one_product_and_no_transposed_input() -> None:
    done = rewritten(synthesis(64, 16, bias=False), "inverse-stft", columns(5, 7))
    assert op_types(done) == ["MatMul", "Split", *["Pad"] * 4, "Sum", "Transpose", "Reshape"]


def test_a_real_inverse_stft() -> None:
    """The layer that users write: basis of window times cosines and sines, compared with NumPy's irfft."""
    size, hop, frames = 64, 16, 9
    window = np.hanning(size + 1)[:-1]
    bins = size // 2 + 1
    unit = np.eye(bins)
    weight = np.concatenate([np.fft.irfft(unit, size), np.fft.irfft(1j * unit, size)])[:, None] * window
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[hop])
    made = model([node], {"x": [1, 2 * bins, "l"]}, ["y"], {"w": weight.astype(np.float32)})
    rng = np.random.default_rng(6)
    spectrum = rng.normal(size=(bins, frames)) + 1j * rng.normal(size=(bins, frames))
    feeds = {"x": np.concatenate([spectrum.real, spectrum.imag])[None].astype(np.float32)}
    done = rewritten(made, "inverse-stft", feeds, close=1e-6)
    signal = np.zeros((frames - 1) * hop + size)
    for i in range(frames):
        signal[i * hop : i * hop + size] += window * np.fft.irfft(spectrum[:, i], size)
    np.testing.assert_allclose(answers(done, feeds)[0][0, 0], signal, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kernel": 16}, "kernel 16 is short; from 32 on it is like an inverse STFT"),
        ({"outputs": 2}, "2 output channels per group, not one"),
        ({"dilations": [2]}, "a dilated kernel has no frames"),
        ({"kernel": 64, "hop": 1}, "64 frames overlap; at most 32 are added one by one"),
        ({"pads": [-3, 0]}, "pads=(-3, 0); it must be at least 0"),
        ({"output_shape": [100]}, "its padding depends on sizes that are not known"),
    ],
)
def test_why_it_stays_a_layer(change: dict, reason: str) -> None:
    assert reasons(synthesis(**({"kernel": 64, "hop": 16} | change)), "inverse-stft") == [reason]


def test_more_axes_are_another_thing() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[1, 16])
    made = model([node], {"x": [1, 2, 1, 5]}, ["y"], {"w": np.ones((2, 1, 1, 64), np.float32)})
    assert reasons(made, "inverse-stft") == ["it has 2 axes, not one"]
