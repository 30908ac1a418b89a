"""Activations that are composed of several nodes, in any order; and what only looks like one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import tconv.onnx
from tests.onnx.engine.helpers import followed, ops, rewritten, whole

X = whole((1, 3, 5, 6), 1)
#: GELU by tanh, as the newer of PyTorch's exporters writes it.
TANH = "Pow t three; Mul small 0; Add t 1; Mul steep 2; Tanh 3; Add 4 one; Mul half 5; Mul t 6"
ERF = "Div t root; Erf 0; Add 1 one; Mul t 2; Mul 3 half"


def nodes(lines: str) -> list[onnx.NodeProto]:
    """Nodes by their operators and inputs, of which numbers are earlier outputs; the last output is y."""
    made = []
    for number, line in enumerate(lines.split("; ")):
        op_type, *inputs = line.split()
        output = "y" if number == lines.count(";") else f"n{number}"
        made.append(helper.make_node(op_type, [f"n{i}" if i.isdigit() else i for i in inputs], [output]))
    return made


NUMBERS = {
    "half": np.float32(0.5), "one": np.float32(1), "two": np.float32(2),
    "root": np.float32(2**0.5), "inverse": np.float32(0.5**0.5),
    "three": np.float32(3), "small": np.float32(0.044715), "steep": np.float32((2 / np.pi) ** 0.5),
    "less": np.float32(0.0447), "minus": np.float32(-0.044715),
}  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        "Sigmoid t; Add t 0",
        "Sigmoid t; Mul t 0; Add 1 0",
        "Sigmoid t; Mul t 0; Mul t 1",
        "Sigmoid t; Sigmoid 0; Mul t 1",
        "HardSigmoid t; Mul t 0",
        "Softplus t; Sigmoid 0; Mul t 1",
        "Tanh t; Softplus 0; Mul t 1",  # Mish's functions the other way round
        ERF.replace("root", "two"),
        ERF.replace("one", "two"),
        ERF.replace("half", "two"),
        ERF.replace("t root", "root t"),
        TANH.replace("small", "less"),
        TANH.replace("three", "two"),
        TANH.replace("Add t", "Sub t"),
        TANH.replace("Add 4", "Sub 4"),
        TANH.replace("half", "one"),
    ],
)
def test_what_only_looks_like_one_stays(tmp_path: Path, lines: str) -> None:
    held = {name: value for name, value in NUMBERS.items() if name in lines.replace(";", "").split()}
    made = rewritten(tmp_path, followed(*nodes(lines), **held), X / 8)
    assert ops(made) == ["tconv::ConvTranspose", *(line.split()[0] for line in lines.split("; "))]


@pytest.mark.parametrize(
    ("after", "weights", "opset", "said"),
    [
        ([helper.make_node("Elu", ["t"], ["y"], alpha=0.5)], {}, 18, ("Elu", [0.5])),
        ([helper.make_node("Elu", ["t"], ["y"])], {}, 6, ("Elu", [1.0])),
        ([helper.make_node("Gelu", ["t"], ["y"])], {}, 20, ("Gelu", [])),
        ([helper.make_node("Gelu", ["t"], ["y"], approximate="tanh")], {}, 20, ("GeluTanh", [])),
        ([helper.make_node("HardSwish", ["t"], ["y"])], {}, 14, ("HardSwish", [])),
        ([helper.make_node("Softplus", ["t"], ["y"])], {}, 11, ("Softplus", [])),
        ([helper.make_node("Mish", ["t"], ["y"])], {}, 18, ("Mish", [])),
        (
            [helper.make_node("PRelu", ["t", "s"], ["y"])],
            {"s": np.array([0.5, -0.25, 0, 2], "float32").reshape(4, 1, 1)},
            18, ("PRelu", [0.5, -0.25, 0, 2]),
        ),
        ([helper.make_node("PRelu", ["t", "s"], ["y"])], {"s": np.full(1, 0.5, "float32")}, 9,
         ("PRelu", [0.5])),
        ("Sigmoid t; Mul t 0", {}, 13, ("Silu", [])),
        ("Sigmoid t; Mul 0 t", {}, 13, ("Silu", [])),
        ("Softplus t; Tanh 0; Mul t 1", {}, 13, ("Mish", [])),
        (ERF, "numbers", 13, ("Gelu", [])),
        ("Mul inverse t; Erf 0; Add one 1; Mul 2 t; Div 3 two", "numbers", 13, ("Gelu", [])),
        ("Mul t half; Div t root; Erf 1; Add 2 one; Mul 0 3", "numbers", 13, ("Gelu", [])),
        ("Mul t half; Div t root; Erf 1; Mul 0 2; Add 0 3", "numbers", 13, ("Gelu", [])),
        # By tanh: as PyTorch's two exporters write it, then as people do.
        ("Mul t t; Mul t 0; Mul small 1; Add t 2; Mul steep 3; Tanh 4; Add one 5; Mul t 6; Mul half 7",
         "numbers", 13, ("GeluTanh", [])),
        (TANH, "numbers", 13, ("GeluTanh", [])),
        ("Mul t half; Mul t small; Mul 1 t; Mul 2 t; Add t 3; Mul 4 steep; Tanh 5; Add 6 one; Mul 0 7",
         "numbers", 13, ("GeluTanh", [])),
        ("Mul t half; Mul t steep; Pow t two; Mul 2 minus; Sub one 3; Mul 1 4; Tanh 5; Mul 6 0; Add 7 0",
         "numbers", 13, ("GeluTanh", [])),
        (
            [helper.make_node("HardSigmoid", ["t"], ["g"], alpha=1 / 6),
             helper.make_node("Mul", ["t", "g"], ["y"])],
            {}, 13, ("HardSwish", []),
        ),
    ],
)  # fmt: skip
def test_the_curves_of_newer_networks(
    tmp_path: Path, after: Any, weights: Any, opset: int, said: tuple[str, list[float]]
) -> None:
    """As one node, or composed as exporters do where an opset lacks it."""
    if isinstance(after, str):
        after = nodes(after)
    proto = followed(*after, opset=opset, **(NUMBERS if weights == "numbers" else weights))
    proto.ir_version = 8
    made = rewritten(tmp_path, proto, X / 8)
    assert ops(made) == ["tconv::ConvTranspose"]
    held = {entry.name: helper.get_attribute_value(entry) for entry in made.graph.node[0].attribute}
    assert held["activation"].decode() == said[0]
    assert held.get("activation_params", []) == said[1]


@pytest.mark.parametrize("outside", ["n2", "n5", "t"])
def test_what_something_else_reads_of_a_composed_curve_stays(tmp_path: Path, outside: str) -> None:
    """GELU by tanh, of which a value in the middle is an output of the model too."""
    made = followed(*nodes(TANH), **NUMBERS)
    made.graph.output.append(helper.make_tensor_value_info(outside, onnx.TensorProto.FLOAT, None))
    assert ops(rewritten(tmp_path, made, X)) == [
        "tconv::ConvTranspose", "Pow", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul",
    ]  # fmt: skip


ODD = [
    helper.make_tensor("complex", onnx.TensorProto.COMPLEX64, [], [0.5 + 2j]),
    helper.make_tensor("text", onnx.TensorProto.STRING, [], [b"half"]),
    *(helper.make_tensor(str(v), onnx.TensorProto.FLOAT, [], [v]) for v in (np.nan, np.inf, 3e38, 1e-45, 0)),
]


@pytest.mark.parametrize(
    ("operator", "factor"),
    [
        pytest.param(operator, factor, id=f"{operator}-{factor.name}")
        for operator in ("Mul", "Div", "Pow", "Add")
        for factor in ODD
        if (operator, factor.name) != ("Add", "0")  # which changes nothing
    ],
)
def test_odd_constants_make_no_activation(tmp_path: Path, operator: str, factor: Any) -> None:
    made = followed(*nodes(f"{operator} t odd; Sigmoid 0; Mul t 1; {operator} 2 odd"))
    made.graph.initializer.append(factor)
    made.graph.initializer[-1].name = "odd"
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    path.write_bytes(made.SerializeToString())
    tconv.onnx.rewrite(path, out, goal="engine", seconds=0, check=False)
    assert ops(onnx.load(out)) == ["tconv::ConvTranspose", operator, "Sigmoid", "Mul", operator]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_as_pytorch_exports_it(tmp_path: Path, dynamo: bool, approximate: str) -> None:
    torch = pytest.importorskip("torch", reason="models are exported from PyTorch")
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs onnxscript")
    net = torch.nn.Sequential(torch.nn.ConvTranspose2d(3, 4, 2, 2), torch.nn.GELU(approximate=approximate))
    path = tmp_path / "exported.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them is called old
        torch.onnx.export(
            net.eval(), (torch.from_numpy(X),), path, dynamo=dynamo, opset_version=18,
            input_names=["x"], output_names=["y"],
        )  # fmt: skip
    assert ops(rewritten(tmp_path, onnx.load(path), X / 8)) == ["tconv::ConvTranspose"]
