"""Quantized models rewritten, diagnosed and inspected, against the outputs of ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import tconv.onnx
from tconv.cli import main
from tconv.diagnosis import diagnose
from tconv.models.onnx.reader import read
from tests.onnx.helpers import run, saved
from tests.onnx.quantized import feeds, maps_alone, network, weights_alone


def operators(path: Path) -> list[str]:
    return [f"{node.domain}::{node.op_type}".lstrip(":") for node in onnx.load(path).graph.node]


def fused(path: Path, folder: Path) -> list[str]:
    """The operators that ONNX Runtime runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    tconv.onnx.register(options)
    options.log_severity_level = 4
    out = folder / f"fused-{path.name}"
    options.optimized_model_filepath = str(out)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return operators(out)


@pytest.mark.parametrize("bias", [True, False])
def test_for_the_engine(bias: bool, tmp_path: Path) -> None:
    """The layers are the engine's, with plain weights; ONNX Runtime's convolution of integers stays."""
    path, out = saved(network(bias=bias), tmp_path), tmp_path / "out.onnx"
    report = tconv.onnx.rewrite(path, out, goal="engine", seconds=0)
    assert [step.node for step in report.done] == ["layer1", "layer2"]
    assert all(entry.fine for entry in report.compared)
    many, more = (4, 3 * (32 * 16 * 16 + 16 * 8 * 16)) if bias else (2, 3 * (32 * 16 * 16 + 16 * 8 * 16))
    assert f"{many} quantized constants, {more:,} bytes more" in report.notes[-1]
    made = operators(out)
    assert made.count("tconv::ConvTranspose") == 2
    assert made.count("QuantizeLinear") == operators(path).count("QuantizeLinear")
    ran = fused(out, tmp_path)
    assert [name.endswith("QLinearConv") for name in ran].count(True) == 1
    assert [name.endswith("QLinearConv") for name in fused(path, tmp_path)].count(True) == 1
    assert ran.count("tconv::ConvTranspose") == 2
    assert "Relu" not in ran
    for optimised in (False, True):
        (before,), (after,) = (run(file, feeds(), optimised=optimised) for file in (path, out))
        steps = np.abs(before - after) / np.float32(0.02)  # of the last QuantizeLinear
        assert steps.max() < 2.5  # layer1's steps of one integer reach layer2's sums
        assert (steps > 0.5).mean() < 1e-3


def test_float_weights_behind_a_quantized_map(tmp_path: Path) -> None:
    """ONNX Runtime itself would quantize the weights of any operator of the name ConvTranspose there."""
    proto = network(bias=False)
    for name in ("w1_d", "w2_d"):  # dequantized in the file
        (node,) = [node for node in proto.graph.node if name in node.output]
        held = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
        array = held[node.input[0]].astype(np.float32) * held[node.input[1]].reshape(1, -1, 1, 1)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
        proto.graph.node.remove(node)
    path, out = saved(proto, tmp_path), tmp_path / "out.onnx"
    report = tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False)
    assert len(report.done) == 2
    assert not report.notes
    (before,), (after,) = (run(file, feeds(), optimised=o) for file, o in ((path, False), (out, True)))
    assert np.abs(before - after).max() < 0.05


@pytest.mark.parametrize("opset", [10, 12, 13, 21])
def test_every_opset(opset: int, tmp_path: Path) -> None:
    path, out = saved(maps_alone(opset=opset), tmp_path), tmp_path / "out.onnx"
    tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False)
    assert fused(out, tmp_path).count("tconv::ConvTranspose") == 1
    (before,), (after,) = (run(file, feeds(), optimised=o) for file, o in ((path, False), (out, True)))
    assert np.abs(before - after).max() < 0.03
    assert tconv.onnx.inspect(out).layers[0].layer.operator == "tconv::ConvTranspose"


def test_one_channel_cannot_have_a_scale_for_each(tmp_path: Path) -> None:
    path = saved(maps_alone(channels=1, opset=17), tmp_path)
    report = tconv.onnx.rewrite(path, goal="engine", seconds=0)
    (step,) = [step for step in report.steps if step.rule == "to-engine"]
    assert step.reason == "its input is quantized, and ONNX Runtime would quantize the engine's weights"


def test_other_rules_leave_a_layer_between_quantized_maps(tmp_path: Path) -> None:
    path, out = saved(network(), tmp_path), tmp_path / "out.onnx"
    with pytest.raises(tconv.TconvError, match=r"its input is quantized, and ONNX Runtime would round new"):
        tconv.onnx.rewrite(path, out, goal="no-transposed")
    assert not out.exists()


def test_quantized_weights_alone_are_numbers_to_a_rule(tmp_path: Path) -> None:
    path, out = saved(weights_alone(), tmp_path), tmp_path / "out.onnx"
    report = tconv.onnx.rewrite(path, out, goal="no-transposed")
    assert [step.rule for step in report.done] == ["conv-depth-to-space"]
    assert all(entry.fine for entry in report.compared)
    assert "1 quantized constant, 6,144 bytes more" in report.notes[-1]
    (before,), (after,) = (run(file, feeds()) for file in (path, out))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * np.abs(before).max())


def test_a_step_of_quantization_is_no_fault_but_more_is(tmp_path: Path) -> None:
    """The check allows what the model itself does under other rounding, and not another scale."""
    from tconv.onnx.rewriting.checking import answers_of, compare, reference
    from tconv.onnx.rewriting.feeds import Feeds
    from tconv.onnx.rewriting.runner import Runner

    model = read(saved(network(), tmp_path)).onnx
    given = [Feeds("x", feeds())]
    with Runner(1) as runner:
        held = reference(model, runner, given)
        assert all(entry.fine for entry in compare(held, held[1], given))
        other = model.clone()
        scale = other.graph.initializers["w1_scale"]
        assert scale.const_value is not None
        import onnx_ir as ir

        scale.const_value = ir.tensor(scale.const_value.numpy() * np.float32(1.2), name="w1_scale")
        (entry,) = compare(held, answers_of(other, runner, "other", given), given)
    assert not entry.fine


def test_what_inspect_and_diagnose_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(network(), tmp_path)
    inspected = tconv.onnx.inspect(path)
    one, two = inspected.layers
    assert one.layer.quantized == {
        "weights": "int8 per channel (axis 1)",
        "bias": "int32 per channel (axis 0)",
        "input": "uint8 per tensor",
    }
    assert two.layer.quantized["output"] == "uint8 per tensor"
    assert "quantized: weights int8 per channel (axis 1); bias int32" in str(inspected).replace("\n", " ")
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["quantized"]["input"] == "uint8 per tensor"
    found = diagnose(path)
    assert [finding.layer for finding in found.findings if finding.code == "T401"] == ["layer0"]
    plain = diagnose(saved(network(maps=False), tmp_path, "plain.onnx"))
    assert [(f.code, f.layer) for f in found.findings] == [(f.code, f.layer) for f in plain.findings]
    assert [entry.measures.as_dict() for entry in found.layers] == [
        entry.measures.as_dict() for entry in plain.layers
    ]


def test_a_fix_replaces_quantized_weights_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = saved(network(), tmp_path), tmp_path / "fixed.onnx"
    assert main(["diagnose", str(path), "--fix", str(out), "--layer", "layer1"]) == 1
    assert "layer1: weights of float32 in place of int8 per channel (axis 1)" in capsys.readouterr().err
    made = diagnose(path).fix(names=("layer1",))["layer1"]
    one, two = [layer for layer in read(out).layers if not layer.conv]
    assert one.weight is not None
    np.testing.assert_array_equal(one.weight, made)
    assert "weights" not in one.quantized
    assert two.quantized["weights"] == "int8 per channel (axis 1)"
    assert operators(out).count("DequantizeLinear") == operators(path).count("DequantizeLinear") - 1
    run(out, feeds())
