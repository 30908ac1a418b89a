"""BatchNorm folded into a grouped transposed convolution by others: what the guide says of them is seen here.

docs/guides/pytorch.md names who is wrong and who refuses; a version that behaves otherwise fails here, and
the guide has to be corrected.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tconv.torch import accelerate
from tests.torch.accelerate.helpers import norm

SEEN = "2.13.0"
of_this_version = pytest.mark.skipif(
    not torch.__version__.startswith(SEEN), reason=f"what PyTorch does was seen with {SEEN}"
)
CASES = [(8, 8, 1), (8, 16, 1), (8, 8, 2), (8, 16, 2), (8, 8, 8), (8, 16, 8)]


def pair(inputs: int, outputs: int, groups: int, axes: int = 2) -> nn.Sequential:
    torch.manual_seed(groups)
    layer = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1](inputs, outputs, 3, 2, 1, groups=groups)
    return nn.Sequential(layer, norm(axes, outputs)).eval()


def off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("case", CASES)
def test_ours_is_right(case: tuple[int, int, int]) -> None:
    model, x = pair(*case), torch.randn(2, case[0], 5, 6)
    with torch.no_grad():
        expected = model(x)
        (row,) = accelerate(model, report=False).rows
        assert row.done == ["swapped", "BatchNorm2d folded"]
        assert off(model(x), expected) < 1e-6


@of_this_version
@pytest.mark.parametrize("case", CASES)
def test_pytorchs_folding_is_for_one_group(case: tuple[int, int, int]) -> None:
    """fuse_conv_bn_eval scales axis 1 by all channels: with groups it fails, or gives a layer that does."""
    model, x = pair(*case), torch.randn(2, case[0], 5, 6)
    quantization = pytest.importorskip("torch.ao.quantization", reason="PyTorch moves it out")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fold in (
            lambda: fuse_conv_bn_eval(model[0], model[1], transpose=True)(x),
            lambda: quantization.fuse_modules(model, ["0", "1"])(x),
        ):
            if case[2] == 1:
                assert off(fold(), model(x)) < 1e-6
            else:
                with pytest.raises(RuntimeError, match=r"must match the size|expected bias to be"):
                    fold()


@of_this_version
@pytest.mark.parametrize(("case", "wrong"), [((8, 8, 1), True), ((8, 8, 2), True), ((8, 16, 2), False)])
def test_inductors_freezing_scales_inputs(case: tuple[int, int, int], wrong: bool) -> None:
    """With as many channels in as out the scale of the outputs lands on the inputs, and no error tells."""
    from torch._inductor import config

    model, x = pair(*case, axes=1), torch.randn(2, case[0], 5)
    with torch.no_grad(), config.patch(freezing=True, compile_threads=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._dynamo.reset()
        apart = off(torch.compile(model)(x), model(x))
    assert apart > 0.05 if wrong else apart < 1e-6


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_is_right(case: tuple[int, int, int], tmp_path: Path) -> None:
    """1.31.1 folds with every number of groups."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, x = pair(*case), torch.randn(2, case[0], 5, 6)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (x,), buffer, dynamo=False, do_constant_folding=False, input_names=["x"],
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    before = [node.op_type for node in onnx.load_from_string(buffer.getvalue()).graph.node]
    assert before == ["ConvTranspose", "BatchNormalization"]
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = runtime.InferenceSession(buffer.getvalue(), settings, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy()})
    after = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert after == ["ConvTranspose"]
    assert np.abs(found - model(x).detach().numpy()).max() < 1e-5
