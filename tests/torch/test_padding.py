"""What PyTorch's padding cannot say, against the definition and against PyTorch's pads and autograd."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck
from torch.nn import functional

import tconv.torch
from tconv import TconvError, views
from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.torch import conv_transpose1d, conv_transpose2d
from tconv.torch.composed import composed
from tconv.torch.padding import folded
from tests.torch.helpers import OURS, THEIRS, options, randoms, tensors

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

#: The problems of cases.txt that PyTorch cannot say, and some more.
UNEVEN = {
    name: g for name, g in load_cases() if any(lo != hi or lo < 0 for lo, hi in g.padding)
} | {
    problem: Geometry.parse(problem)
    for problem in (
        "n2 c4>6 i5 k4 s2 p1:2 o1 g2",
        "n1 c2>3 i4x3 k3x4 s2x3 p-1:2x0:1 d1x2",
        "n2 c3>3 i3x4x2 k3 s2 p0:1x-2:1x2:-1 o1 g3",
        "n1 c2>2 i4 k2 s1 p-3",
        "n1 c2>2 i3x3 k2 s3 p0:-1",
    )
}  # fmt: skip
ASKEW = Geometry.parse("n2 c4>6 i4x3 k3x4 s2x3 p-1:2x0:1 o1x0 d1x2 g2")


def spelled(g: Geometry) -> dict[str, Any]:
    return {**options(g), "padding": g.padding}


def by_hand(g: Geometry, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's full output, sliced out of a wider one."""
    full = THEIRS[g.axes](x, weight, None, **{**options(g), "padding": 0})
    wide = functional.pad(full, [99] * (2 * g.axes))
    inside = [slice(99 + lo, 99 + lo + size) for (lo, _), size in zip(g.padding, g.output, strict=True)]
    return wide[(..., *inside)] + bias.reshape(-1, *(1,) * g.axes)


@pytest.mark.parametrize("case", UNEVEN)
def test_values_and_gradients(case: str) -> None:
    g = UNEVEN[case]
    x, weight, bias, y = tensors(g)
    made = []
    for call in (lambda *t: OURS[g.axes](*t, **spelled(g)), lambda *t: by_hand(g, *t)):
        *inputs, back = (t.clone().requires_grad_() for t in (x, weight, bias, y))
        answer = call(*inputs)
        first = torch.autograd.grad(answer, inputs, back, create_graph=True)
        second = torch.autograd.grad(sum((t * t).sum() for t in first), [*inputs[:2], back])
        made.append([answer, *first, *second])
    assert all(map(torch.equal, *made))
    meaning = views.scatter(x.numpy(), weight.numpy(), g) + bias.numpy().reshape(-1, *(1,) * g.axes)
    assert torch.equal(made[0][0].detach(), torch.from_numpy(meaning))


def test_every_spelling() -> None:
    x, weight, _, _ = tensors(Geometry.parse("n1 c2>3 i4x5 k3x4 s2"))
    expected = conv_transpose2d(x, weight, stride=2, padding=((0, 1), (1, 1)))
    for padding in ("same", [[0, 1], [1, 1]], ([0, 1], 1), ((0, 1), (1, 1))):
        for stride in (2, (2, 2), [2], [2, 2]):
            made = conv_transpose2d(x, weight, stride=stride, padding=padding)
            assert made.shape == (1, 3, 8, 10)
            assert torch.equal(made, expected)
    assert torch.equal(conv_transpose2d(x, weight, padding="valid"), conv_transpose2d(x, weight))
    assert torch.equal(
        conv_transpose2d(x, weight, padding=-1), functional.pad(conv_transpose2d(x, weight), [1] * 4)
    )


def test_same_is_tensorflows() -> None:
    """Its documented example: an odd cell is cropped at the far end."""
    x, weight = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.ones(1, 1, 3, 3)
    made = conv_transpose2d(x, weight, stride=2, padding="same")
    assert made[0, 0].tolist() == [[1, 1, 3, 2], [1, 1, 3, 2], [4, 4, 10, 6], [3, 3, 7, 4]]


def test_same_is_the_input_times_the_stride() -> None:
    for k, s, d in itertools.product(range(1, 6), range(1, 5), (1, 2)):
        made = conv_transpose1d(
            torch.ones(1, 1, 5), torch.ones(1, 1, k), stride=s, dilation=d, padding="same"
        )
        assert made.shape[-1] == 5 * s


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_gradients_of_every_mode(dtype: torch.dtype) -> None:
    g = Geometry.parse("n2 c2>4 i3 k3 s2 p-1:2 o1 g2")
    inputs = [t.requires_grad_() for t in randoms(g, dtype)[:3]]

    def call(*given: Tensor) -> Tensor:
        return conv_transpose1d(*given, **spelled(g))

    assert gradcheck(
        call, inputs,
        check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True, fast_mode=True,
    )  # fmt: skip
    assert gradgradcheck(call, inputs, check_fwd_over_rev=True, check_batched_grad=True, fast_mode=True)


@pytest.mark.parametrize("g", [ASKEW, Geometry.parse("n1 c2>2 i4 k2 s2 p-3:1")], ids=str)
def test_the_operator_takes_both_ends(g: Geometry) -> None:
    """As ONNX has them: those at the near ends, then those at the far ones."""
    x, weight, bias, _ = (t.requires_grad_() for t in tensors(g))
    ends = [side for sides in zip(*g.padding, strict=True) for side in sides]
    given = [list(g.stride), ends, list(g.output_padding), list(g.dilation), g.groups]
    opcheck(torch.ops.tconv.conv_transpose, (x, weight, bias, *given))
    made = torch.ops.tconv.conv_transpose(x, weight, bias, *given)
    assert torch.equal(made, by_hand(g, x, weight, bias))


def test_other_roads_give_the_same() -> None:
    x, weight, bias, _ = tensors(ASKEW)
    expected = conv_transpose2d(x, weight, bias, **spelled(ASKEW))

    def call(x: Tensor, padding: Any = ASKEW.padding) -> Tensor:
        return conv_transpose2d(x, weight, bias, **{**spelled(ASKEW), "padding": padding})

    assert torch.equal(torch.func.vmap(call)(x[None])[0], expected)
    torch._dynamo.reset()
    for dynamic in (False, True):
        compiled = torch.compile(call, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        assert torch.equal(compiled(x), expected)
        assert torch.equal(compiled(x, "same"), call(x, "same"))
        assert torch.equal(compiled(x[:1, :, :3]), call(x[:1, :, :3]))
    with torch.autocast("cpu"):
        assert torch.equal(call(x).float(), expected)
    on_meta = conv_transpose2d(*(t.to("meta") for t in (x, weight, bias)), **spelled(ASKEW))
    assert on_meta.shape == expected.shape
    last = call(x.to(memory_format=torch.channels_last).requires_grad_())
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, expected)
    assert torch.equal(last.relu_(), expected.relu())  # in place, where autograd keeps the record


@pytest.mark.parametrize("case", UNEVEN)
def test_where_pytorch_computes_paddings_mean_the_same(case: str) -> None:
    """For tensors that the engine does not take."""
    g = UNEVEN[case]
    x, weight, bias, _ = tensors(g)
    flat = [side for sides in zip(*g.padding, strict=True) for side in sides]
    made = composed(x, weight, bias, g.stride, flat, g.output_padding, g.dilation, g.groups)
    assert torch.equal(made, OURS[g.axes](x, weight, bias, **spelled(g)))
    same = {**options(g), "padding": "same", "output_padding": 0}
    on_meta = OURS[g.axes](x.to("meta"), weight.to("meta"), **same)
    assert on_meta.shape[2:] == tuple(i * s for i, s in zip(g.input, g.stride, strict=True))


MODES = ["reflect", "replicate", "circular"]
#: Padding that the modes can take at the output's size.
RINGED = [
    Geometry.parse(problem)
    for problem in (
        "n2 c4>6 i5 k3 s1 p1 g2",
        "n1 c2>3 i4 k4 s2 p1:2 o1",
        "n2 c3>2 i3x4 k3x5 s2x1 p2:1x0:2 o1x0 d2x1",
        "n1 c2>2 i3x2x3 k3x4x2 s1x2x3 p1:0x1x0:1",
        "n1 c2>2 i4x4 k2 s3 p0:-1",  # "same" of a kernel shorter than the stride
        "n1 c1>1 i6 k5 s2 p-1:3",
        "n1 c1>1 i6 k5 s2 p3:-2",
        "n1 c1>1 i3 k7 s1 p3",  # circular by as much as there is
    )
]


def padded_conv(g: Geometry, y: Tensor, weight: Tensor, mode: str) -> Tensor:
    """The convolution that the layer is the adjoint of, by PyTorch alone."""
    conv = getattr(functional, f"conv{g.axes}d")
    ring = [side for pair in reversed(g.padding) for side in pair]
    return conv(functional.pad(y, ring, mode), weight, None, g.stride, 0, g.dilation, g.groups)


def layer_of(g: Geometry, mode: str, weight: Tensor, bias: Tensor, **more: Any) -> torch.nn.Module:
    layer = getattr(tconv.torch, f"ConvTranspose{g.axes}d")(
        g.in_channels, g.out_channels, g.kernel, g.stride, g.padding, g.output_padding, g.groups,
        dilation=g.dilation, padding_mode=mode, dtype=weight.dtype, **more,
    )  # fmt: skip
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def modes_of(g: Geometry) -> list[str]:
    least = min(size - max(pair) for size, pair in zip(g.output, g.padding, strict=True))
    return [mode for mode in MODES if least > 0 or mode != "reflect"]


@pytest.mark.parametrize(("g", "mode"), [(g, mode) for g in RINGED for mode in modes_of(g)], ids=str)
def test_a_padding_mode_is_the_adjoint(g: Geometry, mode: str) -> None:
    x, weight, bias, y = tensors(g, torch.float64)
    y.requires_grad_()
    (adjoint,) = torch.autograd.grad(padded_conv(g, y, weight, mode), y, x)
    layer = layer_of(g, mode, weight, bias)
    x.requires_grad_()
    made = layer(x)
    assert torch.equal(made, adjoint + bias.reshape(-1, *(1,) * g.axes))
    assert torch.equal(layer(x[0]), made[0])
    assert made.is_contiguous()
    # Its own gradients: by x the padded convolution of what comes back; by the weight that of <conv(y), x>.
    made.backward(y.detach())
    assert torch.equal(x.grad, padded_conv(g, y, weight, mode))
    free = weight.clone().requires_grad_()
    (padded_conv(g, y.detach(), free, mode) * x.detach()).sum().backward()
    assert torch.equal(layer.weight.grad, free.grad)
    assert torch.equal(layer.bias.grad, y.detach().sum((0, *range(2, g.axes + 2))))


@pytest.mark.parametrize("mode", MODES)
def test_rings_are_as_legal_as_pytorchs(mode: str) -> None:
    """Every small size and padding: refused by both or by none, and P^T as autograd has it."""
    taken = 0
    for n, lo, hi in itertools.product(range(1, 5), range(-2, 6), range(-2, 6)):
        if n + lo + hi < 1 or max(-lo, 0) + max(-hi, 0) >= n:
            continue
        y = torch.zeros(1, 1, n, dtype=torch.float64, requires_grad=True)
        full = torch.arange(1.0, n + lo + hi + 1, dtype=torch.float64)[None, None]
        try:
            (expected,) = torch.autograd.grad(functional.pad(y, (lo, hi), mode), y, full)
        except RuntimeError:
            with pytest.raises(TconvError, match=f"padding \\({lo}, {hi}\\) of mode '{mode}' on axis 0"):
                folded(full, ((lo, hi),), mode)
            continue
        taken += 1
        assert torch.equal(folded(full.clone(), ((lo, hi),), mode), expected), (n, lo, hi)
    assert taken > 40


@pytest.mark.parametrize("mode", MODES)
def test_modes_under_every_road(mode: str) -> None:
    g = Geometry.parse("n2 c2>4 i3x3 k3 s2 p1:2x2:1 o1 g2")
    inputs = [t.requires_grad_() for t in randoms(g)[:3]]
    layer = layer_of(g, mode, inputs[1], inputs[2], activation="tanh")

    def call(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert gradcheck(call, inputs, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
    assert gradgradcheck(call, inputs, fast_mode=True)
    x = inputs[0].detach()
    expected = layer(x)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), expected)
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), expected)
    torch.testing.assert_close(torch.func.vmap(layer)(x[None])[0], expected)
    last = layer(x.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
        layer = layer.float()
        with torch.autocast("cpu"):
            assert layer(x.float()).dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore::FutureWarning:copyreg", "ignore:The feature will be:DeprecationWarning")
def test_in_onnx(tmp_path: Path) -> None:
    """Uneven crops are the node's own pads; rings and cells that are added stand beside it."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was exported; install tconv[onnx]")
    ir = pytest.importorskip("onnx_ir", reason="reads what was exported; install tconv[onnx]")
    pytest.importorskip("onnxscript", reason="PyTorch exports by it; install onnxscript")
    layers: list[dict[str, Any]] = [
        {"padding": "same"},
        {"padding": ((1, 2), (0, 1)), "output_padding": 1, "activation": ("leaky_relu", 0.5)},
        {"padding": ((-1, 2), (3, -2)), "activation": ("clamp", 0, 6)},
        *({"padding": ((1, 0), (1, 2)), "padding_mode": mode} for mode in MODES),
    ]
    torch.manual_seed(0)
    net = torch.nn.ModuleList(tconv.torch.ConvTranspose2d(2, 2, 3, 2, **layer) for layer in layers)

    class All(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = net

        def forward(self, x: Tensor) -> list[Tensor]:
            return [layer(x) for layer in self.layers]

    x, path = torch.randn(1, 2, 4, 5), tmp_path / "layers.onnx"
    torch.onnx.export(All().eval(), (x,), path, dynamo=True, verbose=False, external_data=False)
    nodes = [node for node in ir.load(path).graph if node.op_type == "ConvTranspose"]
    assert len(nodes) == len(layers)
    assert list(nodes[0].attributes["pads"].as_ints()) == [0, 0, 1, 1]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for answer, layer in zip(answers, net, strict=True):
        torch.testing.assert_close(torch.from_numpy(answer), layer(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_ring_too_wide_for_the_layer() -> None:
    layer = tconv.torch.ConvTranspose2d(1, 1, 5, padding=3, padding_mode="reflect")
    with pytest.raises(
        TconvError, match=r"padding \(3, 3\) of mode 'reflect' on axis 0 .* 3 cells; at most 2"
    ):
        layer(torch.ones(1, 1, 5, 9))
