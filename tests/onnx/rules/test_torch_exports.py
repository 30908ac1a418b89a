"""The rules on what PyTorch's exporter writes for nn.Upsample and nn.PixelShuffle."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="models are read with onnx")
pytest.importorskip("onnxruntime", reason="models are run with ONNX Runtime")
ir = pytest.importorskip("onnx_ir", reason="models are rewritten with onnx-ir")
torch = pytest.importorskip("torch", reason="models are exported from PyTorch")

from tests.onnx.helpers import answers, op_types  # noqa: E402
from tests.onnx.rules.helpers import reasons, rewritten  # noqa: E402

nn = torch.nn


def test_an_exported_network() -> None:
    """Nearest and bilinear upsampling before convolutions, sub-pixel convolution; all sizes symbolic."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2),
    ).eval()  # fmt: skip
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is called old; the new one takes ten times as long
        torch.onnx.export(
            net, (torch.zeros(1, 3, 4, 4),), file, dynamo=False, opset_version=17, input_names=["x"],
            dynamic_axes={"x": {0: "n", 2: "h", 3: "w"}},
        )  # fmt: skip
    made = ir.from_proto(onnx.load_from_string(file.getvalue()))
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)}
    with torch.no_grad():
        wanted = net(torch.from_numpy(feeds["x"])).numpy()
    for rule in ("depth-to-space-conv", "linear-resize", "nearest-depth-to-space"):
        rewritten(made, rule, feeds, close=1e-6)
    ops = [op for op in op_types(made) if op in ("Resize", "Conv", "ConvTranspose", "Slice", "Relu", "Pad")]
    assert ops == ["Conv", "Slice", "Relu", "Pad", "ConvTranspose", "ConvTranspose"]
    np.testing.assert_allclose(answers(made, feeds)[0], wanted, atol=1e-5)
    assert reasons(made, "merge-nearest") == []
