"""`tconv inspect`: problems, counts, memory, runtimes, findings and rewritings of models."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tconv import Geometry, TconvError
from tconv.cli import main
from tconv.onnx import inspect
from tests.onnx.helpers import info, layer, model_proto, saved
from tests.real_models.fetch import fetch


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def _by_hand(x: int, k: int, s: int, d: int, lo: int, hi: int) -> int:
    """Products of a convolution along one axis, one by one."""
    places = range(-lo, x + hi - d * (k - 1), s)
    return sum(0 <= start + t * d < x for start in places for t in range(k))


def test_every_operator_is_counted_exactly(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    nodes = [
        helper.make_node("ConvTranspose", ["x", "w0"], ["a"], strides=[2, 3], pads=[1, 0, 0, 1], name="up"),
        helper.make_node(
            "Conv", ["a", "w1"], ["b"], strides=[2, 1], dilations=[1, 2], pads=[1, 2, 0, 1], group=2
        ),
        helper.make_node("Conv", ["b", "w2"], ["c"], strides=[1, 2], auto_pad="SAME_UPPER"),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "m"], ["e"], transB=1),
        helper.make_node("MatMul", ["e", "n"], ["f"]),
        helper.make_node("Einsum", ["f", "n2"], ["g"], equation="ij,jk->ik"),
        helper.make_node("LSTM", ["s", "sw", "sr"], ["y"], hidden_size=3),
    ]
    weights = {
        "w0": array(4, 6, 3, 2), "w1": array(8, 3, 3, 3), "w2": array(5, 8, 3, 3), "m": array(7, 150),
        "n": array(7, 11), "n2": array(11, 2), "sw": array(1, 12, 5), "sr": array(1, 12, 3),
    }  # fmt: skip
    proto = model_proto(
        nodes, inputs={"x": (1, 4, 5, 5), "s": (9, 2, 5)}, outputs=["g", "y"], weights=weights
    )
    found = inspect(saved(proto, tmp_path))
    work = {one.operator: one.multiplications for one in found.work}
    up = Geometry.parse("n1 c4>6 i5x5 k3x2 s2x3 p1:0x0:1")
    assert up.output == (10, 13)
    transposed = 4 * 6 * sum(up.coverage()[0]) * sum(up.coverage()[1])
    # 10x13 to 5x12, then SAME to 5x6, of which 5 channels make 150 numbers
    first = 8 * 3 * _by_hand(10, 3, 2, 1, 1, 0) * _by_hand(13, 3, 1, 2, 2, 1)
    second = 5 * 8 * _by_hand(5, 3, 1, 1, 1, 1) * _by_hand(12, 3, 2, 1, 0, 1)
    assert found.layers[0].multiplications == transposed
    assert work["ConvTranspose"] == transposed
    assert work["Conv"] == first + second
    assert work["LSTM"] == 9 * 2 * 12 * (5 + 3)
    assert work["MatMul"] == 7 * 11
    assert work["Einsum"] == 1 * 11 * 2
    assert found.share(found.layers[0]) == transposed / found.multiplications


def test_memory_weights_and_runtimes_of_a_layer(tmp_path: Path) -> None:
    path = saved(layer((2, 4, 8, 8), (4, 3, 4, 4), group=2, strides=[2, 2], pads=[1, 1, 1, 1]), tmp_path)
    (found,) = inspect(path).layers
    assert found.problem == "n2 c4>6 i8x8 k4 s2 p1 g2"
    assert found.weights == "4x3x4x4 float32"
    memory = found.memory
    assert memory is not None
    assert memory.input == 4 * 2 * 4 * 64
    assert memory.output == 4 * 2 * 6 * 256
    assert memory.weights == 4 * 4 * 3 * 16
    assert memory.columns == 4 * 3 * 16 * 64  # one group of one image
    assert set(found.runtimes) == {"ONNX Runtime", "OpenVINO", "PyTorch", "tconv"}
    assert found.runtimes["tconv"].startswith("f32_")
    assert "split-groups" in found.fires


def test_a_report_fits_a_terminal_of_80_columns() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    deep = torch.nn.Sequential(torch.nn.ConvTranspose2d(256, 128, 16, 8, 4, output_padding=1, bias=False))
    for name in ("upsampling", "decoder", "generator"):
        deep = torch.nn.Sequential(OrderedDict({name: deep}))
    lines = str(inspect(deep, example=torch.zeros(1, 256, 9, 9))).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    at = lines.index("generator.decoder.upsampling.0  256x128x16x16 float32")
    assert lines[at + 1].startswith("  n1 c256>128 i9x9 k16 s8 p4 o1  ")
    assert lines[at - 3 : at - 1] == ["layer  weights", "  problem" + lines[at - 2][9:]]


def test_open_sizes_are_said_and_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(layer(("n", 4, "h", 6), strides=[2, 2]), tmp_path)
    (found,) = inspect(path).layers
    assert found.problem == "n? c4>3 i?x6 k3 s2"
    assert (found.multiplications, found.memory, found.why) == (None, None, "open: batch, height")
    assert main(["inspect", str(path)]) == 0
    assert "n? c4>3 i?x6 k3 s2" in capsys.readouterr().out
    assert main(["inspect", str(path), "--size", "h=5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["problem"] == "n? c4>3 i5x6 k3 s2"
    assert main(["inspect", str(path), "--input", "2x4x5x6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["problem"] == "n2 c4>3 i5x6 k3 s2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "hight=5"], "open axis 'hight' is unknown; did you mean 'height'?"),
        (["--size", "height=0"], "NAME=VALUE such as height=640 would fit"),
        (["--size", "height"], "NAME=VALUE such as height=640 would fit"),
        (["--input", "z=1x4x5x6"], "input 'z' is unknown; x would fit"),
        (["--input", "y=1x3x9x13"], "input y is an output, whose shape follows from the inputs; x would fit"),
        (["--input", "1x4x5"], "input x is 1x4x?x6, not 1x4x5"),
        (["--input", "1x4x5x7"], "input x is 1x4x?x6, not 1x4x5x7"),
        (["--input", "x=axb"], "a shape such as x=1x3x640x640 would fit"),
    ],
)
def test_wrong_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    path = saved(layer((1, 4, "height", 6)), tmp_path)
    assert main(["inspect", str(path), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_size_beyond_64_bits_stays_unknown(tmp_path: Path) -> None:
    most = 2**31 - 1
    proto = layer((most, 4, most, most))
    proto.graph.node.extend(
        [helper.make_node("Size", ["x"], ["s"]), helper.make_node("Add", ["s", "s"], ["twice"])]
    )
    proto.graph.output.append(info("twice", [], TensorProto.INT64))
    assert [one.problem for one in inspect(saved(proto, tmp_path)).layers] == [
        f"n{most} c4>3 i{most}x{most} k3"
    ]


def test_functions_are_followed_and_subgraphs_looked_into(tmp_path: Path) -> None:
    function = helper.make_function(
        "house", "Up", ["a", "b"], ["c"],
        [helper.make_node("ConvTranspose", ["a", "b"], ["c"], name="inner", strides=[2, 2])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    branches = {
        name: helper.make_graph(
            [helper.make_node("ConvTranspose", ["x", "w"], [name])], name, [], [info(name, None)]
        )
        for name in ("then_branch", "else_branch")
    }
    proto = model_proto(
        [
            helper.make_node("Up", ["x", "w"], ["y"], domain="house"),
            helper.make_node("Up", ["y", "w"], ["z"], domain="house"),
            helper.make_node("If", ["c"], ["i"], **branches),
        ],
        inputs={"x": (1, 4, 5, 5)},
        outputs=["z", "i"],
        weights={"w": np.ones((4, 4, 3, 3), np.float32)},
        functions=[function],
    )
    proto.graph.input.append(info("c", [], TensorProto.BOOL))
    found = inspect(saved(proto, tmp_path))
    assert sorted(one.problem for one in found.layers) == [
        "n1 c4>4 i11x11 k3 s2", "n1 c4>4 i5x5 k3", "n1 c4>4 i5x5 k3", "n1 c4>4 i5x5 k3 s2",
    ]  # fmt: skip
    assert "each branch and loop body is counted once, however often it runs" in found.notes
    assert {one.layer.name for one in found.diagnosis.layers} == {one.name for one in found.layers}


def test_data_outside_and_bfloat16(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(layer(weight=(4, 8, 5, 5)), path, save_as_external_data=True, location="weights.bin")
    assert inspect(path).layers[0].weights == "4x8x5x5 float32"
    proto = layer()
    array = helper.make_tensor("w", TensorProto.BFLOAT16, [4, 3, 3, 3], [0.5] * 108)
    proto.graph.initializer[0].CopyFrom(array)
    found = inspect(saved(proto, tmp_path, "half.onnx")).layers[0]
    assert (found.weights, found.memory.weights) == ("4x3x3x3 bfloat16", 216)
    assert "refuses" in found.runtimes["ONNX Runtime"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("net.pt", "tconv.onnx.inspect(module, example=x)"),
        ("n1 c1>1 i3 k3", "tconv explain and diagnose take it"),
    ],
)
def test_what_is_no_onnx_file_is_sent_on(what: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", what]) == 2
    assert said in capsys.readouterr().err


def test_a_model_without_such_a_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = model_proto([helper.make_node("Relu", ["x"], ["y"])], inputs={"x": [1, 2]})
    assert main(["inspect", str(saved(proto, tmp_path))]) == 0
    assert "no transposed convolution, no finding" in capsys.readouterr().out


def test_the_page_holds_all_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = layer(strides=[2, 2])
    proto.graph.node[0].name = "<script>up"
    path = saved(proto, tmp_path)
    assert main(["inspect", str(path), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "&lt;script&gt;up" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("<svg") >= 3
    for part in ("n1 c4&gt;3 i5x5 k3 s2", "ONNX Runtime", "T101", "What tconv rewrite could do"):
        assert part in page


#: Model -> shapes of inputs, and its layers by hand from SOURCES: problems, multiplications.
REAL = {
    "gtcrn": (
        {},
        [
            "n1 c24>16 i1x33 k1", "n1 c16>16 i11x33 k3 p10x1 d5x1 g16", "n1 c16>8 i1x33 k1",
            "n1 c24>16 i1x33 k1", "n1 c16>16 i5x33 k3 p4x1 d2x1 g16", "n1 c16>8 i1x33 k1",
            "n1 c24>16 i1x33 k1", "n1 c16>16 i3x33 k3 p2x1 g16", "n1 c16>8 i1x33 k1",
            "n1 c16>16 i1x33 k1x5 s1x2 p0x2 g2", "n1 c16>2 i1x65 k1x5 s1x2 p0x2",
        ],
    ),
    "erb_dec": (
        {"emb": (1, 100, 512), "e3": (1, 64, 100, 8), "e2": (1, 64, 100, 8), "e1": (1, 64, 100, 16),
         "e0": (1, 64, 100, 32)},
        ["n1 c64>64 i100x8 k1x3 s1x2 p0x1 o0x1 g64", "n1 c64>64 i100x16 k1x3 s1x2 p0x1 o0x1 g64"],
    ),
    "ppocr_det": ({"": (1, 3, 640, 640)}, ["n1 c24>24 i160x160 k2 s2", "n1 c24>1 i320x320 k2 s2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_models(folder: Path, name: str) -> None:
    shapes, problems = REAL[name]
    found = inspect(fetch(name, folder), input=shapes)
    assert [one.problem for one in found.layers] == problems
    assert found.whole
    each = [Geometry.parse(problem).macs_exact for problem in problems]
    assert [one.multiplications for one in found.layers] == each
    assert {one.operator: one.multiplications for one in found.work}["ConvTranspose"] == sum(each)
    assert len(found.diagnosis.layers) == len(problems)


def test_a_real_model_whose_sizes_depend_on_the_data(folder: Path) -> None:
    """A value of the graph can be given its size, and what follows from it is known."""
    path = fetch("piper", folder)
    found = inspect(path, sizes={"batch_size": 1}, input={"/dec/conv_pre/Conv_output_0": (1, 256, 100)})
    assert [one.problem for one in found.layers] == [
        "n1 c256>128 i100 k16 s8 p4", "n1 c128>64 i800 k16 s8 p4", "n1 c64>32 i6400 k8 s4 p2",
    ]  # fmt: skip
    assert not found.whole  # the encoder's sizes depend on the text
    assert "<= " in str(found)


def test_where_openvino_reads_a_layer_otherwise_is_said(tmp_path: Path) -> None:
    said = "OpenVINO crops other cells than ONNX Runtime"
    odd = layer((1, 4, 5, 5), strides=[2, 2], auto_pad="SAME_UPPER", output_shape=[10, 10])
    assert said in inspect(saved(odd, tmp_path)).layers[0].why
    even = layer((1, 4, 5, 5), strides=[2, 2], auto_pad="SAME_UPPER")
    assert said not in inspect(saved(even, tmp_path, "even.onnx")).layers[0].why


def test_a_pytorch_module() -> None:
    torch = pytest.importorskip("torch", reason="the module is PyTorch's")
    ours = pytest.importorskip("tconv.torch", reason="the module is PyTorch's")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = torch.nn.ConvTranspose2d(3, 4, 3, stride=2)
            self.conv = torch.nn.Conv2d(4, 4, 3, padding=1)
            self.ours = ours.ConvTranspose2d(4, 2, 4, stride=2, padding=1)
            self.last = torch.nn.Linear(34, 5)

        def forward(self, x: object) -> object:
            y = self.conv(self.up(x, output_size=(18, 17)))
            return self.up(x), torch.nn.functional.conv_transpose2d(
                self.last(self.ours(y)), torch.ones(2, 3, 3, 3)
            )

    net = Net()
    found = inspect(net, example=torch.zeros(1, 3, 8, 8))
    assert net.training
    assert [(one.name, one.problem) for one in found.layers] == [
        ("up", "n1 c3>4 i8x8 k3 s2 o1x0"),
        ("up #2", "n1 c3>4 i8x8 k3 s2"),
        ("ours", "n1 c4>2 i18x17 k4 s2 p1"),
        ("Net", "n1 c2>3 i36x5 k3"),
    ]
    work = {one.operator: one.multiplications for one in found.work}
    assert work["conv"] == 4 * 4 * _by_hand(18, 3, 1, 1, 1, 1) * _by_hand(17, 3, 1, 1, 1, 1)
    assert work["aten.addmm"] == 2 * 36 * 34 * 5
    assert found.whole
    assert "What tconv rewrite" not in str(found)
    with pytest.raises(TconvError, match="needs an example"):
        inspect(net)
    with pytest.raises(TconvError, match="does not accept the example"):
        inspect(net, example=torch.zeros(1, 2, 8, 8))
