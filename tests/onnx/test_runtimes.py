"""What the report says of other runtimes, compared with the runtimes themselves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tconv.geometry import Geometry
from tconv.models.openvino import core
from tconv.onnx.runtimes import columns, of_layer
from tests.onnx.helpers import layer, run

torch = pytest.importorskip("torch", reason="PyTorch's choice is PyTorch's to say")


def problems() -> list[Geometry]:
    """Random ones, near the sizes at which PyTorch changes its backend."""
    random = np.random.default_rng(11)
    found = [Geometry.parse("n1 c1>1 i128x160 k3"), Geometry.parse("n1 c1>1 i3x6827 k3")]  # 20480, 20481
    while len(found) < 120:
        axes = int(random.integers(1, 4))
        groups = int(random.choice([1, 1, 2]))
        channels = int(random.choice([2, 20, 64])) * groups
        found.append(
            Geometry.make(
                batch=int(random.choice([1, 1, 2])),
                in_channels=channels,
                out_channels=2 * groups,
                input=tuple(int(n) for n in random.integers(1, {1: 1200, 2: 36, 3: 9}[axes], axes)),
                kernel=tuple(int(n) for n in random.integers(2, 6, axes)),
                stride=int(random.integers(1, 3)),
                groups=groups,
            )
        )
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_keeps_from_onednn_what_is_said(dtype: str) -> None:
    """PyTorch names the backend that it chooses."""
    seen = set()
    for g in problems():
        x = torch.empty(g.input_shape, dtype=getattr(torch, dtype))
        w = torch.empty(g.weight_shape, dtype=getattr(torch, dtype))
        backend = torch._C._select_conv_backend(
            x, w, None, list(g.stride), [0] * g.axes, [1] * g.axes, True, [0] * g.axes, g.groups
        )
        said = of_layer(g, dtype, True)["PyTorch"]
        assert said.startswith("GEMM and col2im") == ("SlowTranspose" in str(backend)), (str(g), said)
        seen.add(said.split()[0])
    assert seen == ({"GEMM", "oneDNN,", "oneDNN"} if dtype == "float32" else {"GEMM"})


MEASURE = """
import re, sys, numpy as np, onnxruntime
def peak():  # of this very program, in kB
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
options = onnxruntime.SessionOptions()
options.enable_cpu_mem_arena, options.intra_op_num_threads = False, 1
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
x = np.ones((1, 8, 128, 128), np.float32)
before = peak()
session.run(None, {"x": x})
print(peak() - before)
"""


@pytest.mark.parametrize("groups", [1, 8])
def test_onnx_runtime_takes_the_memory_of_the_columns_of_one_group(groups: int) -> None:
    g = Geometry.parse(f"n1 c8>32 i128x128 k7 g{groups}")
    model = layer(g.input_shape, g.weight_shape, group=groups).SerializeToString()
    done = subprocess.run([sys.executable, "-c", MEASURE], input=model, capture_output=True, check=True)
    grown = int(done.stdout) * 1024
    output = 4 * 32 * 134 * 134
    # 103 MB of columns for one group, 13 MB for eight
    assert 0.9 < grown / (4 * columns(g) + output) < 1.5
    said = of_layer(g, "float32", True)["ONNX Runtime"]
    assert ("98.0 MB" in said) == (groups == 1)
    assert said.startswith("GEMM" if groups == 1 else "8 GEMMs one after another")


def test_onnx_runtime_has_no_kernel_of_float64() -> None:
    proto = layer()
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = 11
    proto.graph.initializer[0].data_type = 11
    proto.graph.initializer[0].raw_data = np.ones((4, 3, 3, 3)).tobytes()
    with pytest.raises(Exception, match="Could not find an implementation for ConvTranspose"):
        run(proto.SerializeToString(), {"x": np.ones((1, 4, 5, 5))})
    assert of_layer(Geometry.parse("n1 c4>3 i5x5 k3"), "float64", True)["ONNX Runtime"].startswith("refuses")


@pytest.mark.parametrize(
    ("problem", "gemm"),
    [
        ("n1 c64>32 i32x32 k4 s2 p1", False),
        ("n1 c64>32 i32x32 k4 s2 p1 d3", True),
        ("n1 c64>32 i32x32 k5 d2", False),
        ("n2 c32>32 i32x32 k4 s2 p1 g8", False),
        ("n2 c64>32 i500 k16 s8 p4", True),
        ("n2 c16>8 i8x8x8 k4 s2 p1", False),
    ],
)
def test_openvino_names_the_kernel(problem: str, gemm: bool) -> None:
    pytest.importorskip("openvino", reason="OpenVINO's kernel is OpenVINO's to say")
    g = Geometry.parse(problem)
    proto = layer(
        g.input_shape, g.weight_shape, strides=list(g.stride), dilations=list(g.dilation), group=g.groups,
        pads=[lo for lo, _ in g.padding] + [hi for _, hi in g.padding],
    )  # fmt: skip
    model = core().read_model(proto.SerializeToString())
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kernels = [
        op.get_rt_info()["primitiveType"].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].astype(str) == "Deconvolution"
    ]
    assert ["gemm" in kernel for kernel in kernels] == [gemm]
    assert of_layer(g, "float32", True)["OpenVINO"].startswith("GEMM") == gemm
