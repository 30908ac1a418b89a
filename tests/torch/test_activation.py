"""The fused activation against PyTorch's own after PyTorch's layer: values, gradients, double gradients."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

import tconv.torch
from tconv import TconvError
from tconv.geometry import Geometry
from tconv.torch import ConvTranspose2d, conv_transpose2d, maps
from tests.torch.helpers import MIXED, OURS, THEIRS, options, randoms, tensors

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

#: As users write it -> PyTorch's own.
ACTIVATIONS: dict[Any, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    ("leaky_relu", 0.25): lambda z: functional.leaky_relu(z, 0.25),
    ("leaky_relu", 0): lambda z: functional.leaky_relu(z, 0.0),
    ("leaky_relu", -0.5): lambda z: functional.leaky_relu(z, -0.5),
    ("clamp", 0, 6): functional.relu6,
    ("clamp", -2.0, float("inf")): lambda z: functional.hardtanh(z, -2.0, float("inf")),
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "hardswish": functional.hardswish,
    "mish": functional.mish,
    "elu": functional.elu,
    ("elu", 0.5): lambda z: functional.elu(z, 0.5),
    ("elu", -0.5): lambda z: functional.elu(z, -0.5),
    "softplus": functional.softplus,
    ("softplus", 2.0, 5.0): lambda z: functional.softplus(z, 2.0, 5.0),
    ("prelu", -0.5): lambda z: functional.prelu(z, z.new_tensor([-0.5])),
    ("prelu", 0.5, -2.0, 0.25): lambda z: _per_channel(z, (0.5, -2.0, 0.25)),
}


def _per_channel(z: Tensor, slopes: tuple[float, ...]) -> Tensor:
    """Three slopes, repeated where a layer has fewer or more channels."""
    return functional.prelu(z, z.new_tensor((slopes * 9)[: z.shape[1]]))


def of(activation: Any, g: Geometry) -> Any:
    """The activation with a slope for each channel of the output."""
    if activation[0] != "prelu" or len(activation) == 2:
        return activation
    return "prelu", *(activation[1:] * 9)[: g.out_channels]


#: Exact on whole numbers.
WHOLE = [each for each in ACTIVATIONS if each[0] in ("leaky_relu", "clamp", "prelu") or each == "relu"]
#: Those whose gradients need more than the output.
APART = {
    each
    for each in ACTIVATIONS
    if each not in ("relu", "tanh", "sigmoid") and each[0] not in ("clamp", "leaky_relu")
} | {("leaky_relu", -0.5)}
PROBLEMS = [Geometry.parse("n2 c4>3 i5 k4 s2 p1"), MIXED, Geometry.parse("n1 c2>2 i2x3x2 k3 s2 o1")]


def answers(call: Callable[..., Tensor], g: Geometry, given: Any, grad: Tensor) -> list[Tensor]:
    """The answer, the gradients of x, weight and bias, and theirs again."""
    inputs = [t.detach().clone().requires_grad_() for t in given]
    y = call(*inputs, **options(g))
    first = torch.autograd.grad(y, inputs, grad, create_graph=True)
    second = torch.autograd.grad(sum((t * t).sum() for t in first), inputs)
    return [y, *first, *second]


@pytest.mark.parametrize("activation", WHOLE, ids=str)
@pytest.mark.parametrize("g", PROBLEMS, ids=str)
def test_whole_numbers_are_pytorchs(g: Geometry, activation: Any) -> None:
    x, weight, bias, y = tensors(g, torch.float64)
    own = of(activation, g)
    made = answers(lambda *t, **o: OURS[g.axes](*t, **o, activation=own), g, (x, weight, bias), y)
    theirs = answers(
        lambda *t, **o: ACTIVATIONS[activation](THEIRS[g.axes](*t, **o)), g, (x, weight, bias), y
    )
    assert (made[0] == 0).any() or activation[0] != "clamp"  # the kink itself is among them
    assert all(map(torch.equal, made, theirs))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_real_numbers_are_pytorchs(activation: Any, dtype: torch.dtype) -> None:
    x, weight, bias, y = randoms(MIXED, dtype)
    made = answers(
        lambda *t, **o: conv_transpose2d(*t, **o, activation=of(activation, MIXED)),
        MIXED,
        (x, weight, bias),
        y,
    )
    theirs = answers(
        lambda *t, **o: ACTIVATIONS[activation](functional.conv_transpose2d(*t, **o)),
        MIXED, (x, weight, bias), y,
    )  # fmt: skip
    close = {"rtol": 1e-3, "atol": 1e-3} if dtype is torch.float32 else {}  # 1 - tanh^2 cancels
    for actual, expected in zip(made, theirs, strict=True):
        torch.testing.assert_close(actual, expected, **close)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_gradients_of_every_mode(activation: Any) -> None:
    g = Geometry.parse("n2 c2>3 i3 k3 s2 p1 o1")
    inputs = [t.requires_grad_() for t in randoms(g, seed=3)[:3]]

    def call(*given: Tensor) -> Tensor:
        return tconv.torch.conv_transpose1d(*given, **options(g), activation=of(activation, g))

    assert gradcheck(
        call, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert gradgradcheck(call, inputs, check_fwd_over_rev=True, check_batched_grad=True)


def test_the_step_is_fused_where_it_can_be() -> None:
    """No pass of PyTorch's in eager calls; one where the road or the gradient asks for it."""
    x, weight, _, _ = tensors(MIXED)
    seen: list[Any] = []
    with mock.patch("tconv.torch.functional.activate", side_effect=lambda a, z, axes: seen.append(a) or z):
        for activation in ACTIVATIONS:
            own = of(activation, MIXED)
            conv_transpose2d(x, weight, **options(MIXED), activation=own)
            assert not seen
            conv_transpose2d(x, weight.clone().requires_grad_(), **options(MIXED), activation=own)
            assert seen == ([own] if activation in APART else [])
            seen.clear()
        with torch.autocast("cpu"):
            conv_transpose2d(x, weight, **options(MIXED), activation="relu")
        assert seen[-1] == "relu"


def test_what_is_kept_for_the_gradient() -> None:
    """The answer, and not what it was before."""
    x, weight, _, _ = tensors(MIXED)
    y = conv_transpose2d(x.requires_grad_(), weight, **options(MIXED), activation="relu")
    assert isinstance(y.grad_fn, maps.Activated._backward_cls)
    kept = y.grad_fn.saved_tensors
    assert kept[0] is None
    assert kept[1] is weight
    assert kept[2].data_ptr() == y.data_ptr()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_nan_and_infinity_pass_as_in_pytorch(activation: Any) -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        x = torch.full((1, 1, 40), value)
        one = Geometry.parse("n1 c1>1 i40 k1")
        made = tconv.torch.conv_transpose1d(x, torch.ones(1, 1, 1), activation=of(activation, one))
        theirs = x if activation == "gelu" and value > 0 else ACTIVATIONS[activation](x)  # PyTorch's is NaN
        assert torch.equal(made.nan_to_num(9), theirs.nan_to_num(9))


def test_under_autocast_and_func() -> None:
    x, weight, bias, _ = randoms(MIXED, torch.float32)

    def ours(x: Tensor) -> Tensor:
        return conv_transpose2d(x, weight, bias, **options(MIXED), activation=("leaky_relu", 0.1))

    def theirs(x: Tensor) -> Tensor:
        return functional.leaky_relu(functional.conv_transpose2d(x, weight, bias, **options(MIXED)), 0.1)

    torch.testing.assert_close(torch.func.vmap(ours)(x[None]), torch.func.vmap(theirs)(x[None]))
    for made in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(made(ours)(x), made(theirs)(x))
    with torch.autocast("cpu"):
        assert ours(x).dtype is torch.bfloat16
        torch.testing.assert_close(ours(x), theirs(x), rtol=0.02, atol=0.02)
    on_meta = [t.to("meta") for t in (x, weight)]  # PyTorch's operator
    assert conv_transpose2d(*on_meta, **options(MIXED), activation="relu").device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_rounds_once(dtype: torch.dtype) -> None:
    x, weight, bias, _ = (t.to(dtype) for t in randoms(MIXED, torch.float32))
    made = conv_transpose2d(x, weight, bias, **options(MIXED), activation="tanh")
    whole = conv_transpose2d(x.float(), weight.float(), bias.float(), **options(MIXED), activation="tanh")
    assert made.dtype is dtype
    torch.testing.assert_close(made.float(), whole, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_compiled_whole_and_exported() -> None:
    torch._dynamo.reset()
    x = torch.randn(2, 3, 5, 6)
    for activation in ("relu", ("leaky_relu", 0.2), ["clamp", -1, 1]):
        layer = ConvTranspose2d(3, 2, 4, 2, 1, activation=activation)
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), layer(x))
        (made,) = torch.autograd.grad(compiled(x).square().sum(), [layer.weight])
        (expected,) = torch.autograd.grad(layer(x).square().sum(), [layer.weight])
        torch.testing.assert_close(made, expected)
        torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), layer(x))


def test_layers_carry_it() -> None:
    layer = ConvTranspose2d(3, 2, 4, 2, 1, activation=["leaky_relu", 0.2])
    assert repr(layer) == (
        "ConvTranspose2d(3, 2, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), "
        "activation=('leaky_relu', 0.2))"
    )
    plain = nn.ConvTranspose2d(3, 2, 4, 2, 1)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 3, 4, 5)
    expected = functional.leaky_relu(plain(x), 0.2)
    for each in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert each.activation == ("leaky_relu", 0.2)
        torch.testing.assert_close(each(x), expected)
    assert "activation" not in repr(ConvTranspose2d(3, 2, 4))
    old = ConvTranspose2d(3, 2, 4)
    del old.__dict__["activation"]  # as a pickle from before has it
    assert old(x).shape == (1, 2, 7, 8)


@pytest.mark.parametrize(
    "activation",
    ["selu", ("clamp", 1), ("clamp", 2, 1), "leaky_relu", "prelu", ("relu", "x"), ("elu", 1, 2), 3,
     ("softplus", 0, 20)],
)  # fmt: skip
def test_unknown_ones_are_refused(activation: Any) -> None:
    for call in (
        lambda: ConvTranspose2d(1, 1, 1, activation=activation),
        lambda: conv_transpose2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), activation=activation),
    ):
        with pytest.raises(TconvError, match="activation="):
            call()


def test_integers_and_complex_numbers_have_none() -> None:
    for dtype in (torch.int32, torch.complex64):
        x = torch.ones(1, 1, 1, 1, dtype=dtype)
        with pytest.raises(TconvError, match="has no meaning"):
            conv_transpose2d(x, x, activation="relu")


def test_slopes_as_a_tensor_have_gradients() -> None:
    """As PyTorch computes them; a slope for each channel, or one, also for an input without a batch axis."""
    x, weight, bias, y = randoms(MIXED)
    for count in (1, MIXED.out_channels):
        slopes = torch.linspace(-0.5, 0.7, count, dtype=x.dtype)
        found = []
        for call in (
            lambda *t: conv_transpose2d(*t[:3], **options(MIXED), activation=("prelu", t[3])),
            lambda *t: functional.prelu(functional.conv_transpose2d(*t[:3], **options(MIXED)), t[3]),
        ):
            inputs = [t.detach().clone().requires_grad_() for t in (x, weight, bias, slopes)]
            made = call(*inputs)
            found.append([made, *torch.autograd.grad(made, inputs, y)])
        for actual, expected in zip(*found, strict=True):
            torch.testing.assert_close(actual, expected)
        with torch.no_grad(), mock.patch("tconv.torch.functional.activate", side_effect=AssertionError):
            fused = conv_transpose2d(x, weight, bias, **options(MIXED), activation=("prelu", slopes))
        torch.testing.assert_close(fused, found[0][0])
        for learned in (False, True):
            slopes.requires_grad_(learned)
            one = conv_transpose2d(x[0], weight, bias, **options(MIXED), activation=("prelu", slopes))
            torch.testing.assert_close(one, found[0][0][0])
    with pytest.raises(TconvError, match="1, or 6, one for each channel") as refused:
        conv_transpose2d(x, weight, bias, **options(MIXED), activation=("prelu", 0.1, 0.2))
    assert str(MIXED) in str(refused.value)
    with pytest.raises(TconvError, match="needs numbers"):
        ConvTranspose2d(1, 1, 1, activation=("prelu", slopes))  # it would not be a parameter of the layer


def test_layers_with_borders_have_slopes_of_channels() -> None:
    layer = ConvTranspose2d(2, 3, 4, 2, 1, padding_mode="circular", activation=("prelu", 0.1, 0.2, 0.3))
    x = torch.randn(1, 2, 4, 5)
    torch.testing.assert_close(layer(x[0]), layer(x)[0])
