"""The registered operators: what compilers, modes and other kinds of tensors meet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import opcheck
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import tconv.torch
from tconv import TconvError
from tconv.torch import ConvTranspose2d, conv_transpose2d
from tests.torch.helpers import MIXED, options, tensors

OPS = torch.ops.tconv
SHARED = [2, 3], [1, 1], [1, 2], 2  # MIXED's stride, padding, dilation, groups


def net(up: type[nn.ConvTranspose2d] = ConvTranspose2d) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), up(4, 2, 4, 2, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bfloat16], ids=str)
def test_opcheck(dtype: torch.dtype) -> None:
    x, weight, bias, y = (t.requires_grad_() for t in tensors(MIXED, dtype))
    stride, padding, dilation, groups = SHARED
    opcheck(OPS.conv_transpose, (x, weight, bias, stride, padding, [1, 0], dilation, groups))
    opcheck(OPS.conv_transpose, (x, weight.detach(), None, stride, padding, [1, 0], dilation, groups))
    opcheck(OPS.conv, (y, weight, *SHARED, [4, 3]))
    opcheck(OPS.weight_gradient, (x, y, [3, 4], *SHARED))


def test_operators_check_their_arguments() -> None:
    x, weight, _, y = tensors(MIXED)
    for call, piece in [
        (lambda: OPS.conv_transpose(x, weight, None, [0, 3], [1, 1], [1, 0], [1, 2], 2), "stride 0"),
        (lambda: OPS.conv(y, weight, *SHARED, [9, 3]), "input size 9"),
        (lambda: OPS.conv(y, weight[:, :2], *SHARED, [4, 3]), "takes 4"),
        (lambda: OPS.conv(y.bool(), weight.bool(), *SHARED, [4, 3]), "torch.bool"),
        (lambda: OPS.weight_gradient(x[:1], y, [3, 4], *SHARED), "x has shape (1, 4, 4, 3)"),
        (lambda: OPS.weight_gradient(x, y.double(), [3, 4], *SHARED), "y is torch.float64"),
    ]:
        with pytest.raises(TconvError) as caught:
            call()
        assert piece in str(caught.value)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compile_whole(dynamic: bool) -> None:
    torch._dynamo.reset()
    plain, x = net(), torch.randn(2, 3, 8, 6)
    compiled = torch.compile(plain, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for size in (x, torch.randn(3, 3, 5, 7)):
        assert torch.equal(compiled(size), plain(size))
        made, expected = (
            torch.autograd.grad(call(size).square().sum(), list(plain.parameters()))
            for call in (compiled, plain)
        )
        assert all(map(torch.equal, made, expected))


def test_compile_with_output_size_autocast_and_vmap() -> None:
    torch._dynamo.reset()
    layer = ConvTranspose2d(3, 2, 3, 2, 1)
    weight = torch.randn(3, 2, 3, 3)

    def low(x: Tensor) -> Tensor:
        with torch.autocast("cpu"):
            return layer(x)

    calls = [
        lambda x: layer(x, output_size=[10, 11]),
        low,
        torch.vmap(lambda x: conv_transpose2d(x, weight, stride=[2, 2])),
        torch.func.grad(lambda x: conv_transpose2d(x, weight, stride=[2, 2]).sin().sum()),
    ]
    x = torch.randn(2, 3, 5, 6)
    for call in calls:
        made = torch.compile(call, fullgraph=True, backend="aot_eager")(x)
        torch.testing.assert_close(made, call(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
def test_export_and_trace() -> None:
    plain, x = net(), torch.randn(2, 3, 8, 6)
    exported = torch.export.export(plain, (x,))
    assert "tconv.conv_transpose" in str(exported.graph)
    assert torch.equal(exported.module()(x), plain(x))
    traced = torch.jit.trace(plain, (x,))
    other = torch.randn(2, 3, 8, 6)
    assert torch.equal(traced(other), plain(other))  # the call is in the trace, not its answer


def test_fake_tensors() -> None:
    x, weight, bias, _ = tensors(MIXED)
    real = conv_transpose2d(x, weight, bias, **options(MIXED))
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(t) for t in (x, weight, bias)]
        made = conv_transpose2d(*fakes, **options(MIXED))
        assert (made.shape, made.dtype, made.stride()) == (real.shape, real.dtype, real.stride())
        with pytest.raises(TconvError, match="3 channels"):
            conv_transpose2d(fakes[0][:, :3], *fakes[1:], **options(MIXED))


def test_what_the_engine_lacks_goes_to_pytorch() -> None:
    """Other devices, layouts and dtypes: PyTorch's answer, or its refusal."""
    x, weight = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 2, 2)
    made = conv_transpose2d(x.to("meta"), weight.to("meta"), stride=2)
    assert made.device.type == "meta"
    assert made.shape == (1, 1, 6, 6)
    assert ConvTranspose2d(2, 1, 2, device="meta")(x.to("meta")).shape == (1, 1, 4, 4)
    if torch.backends.mkldnn.is_available():
        made = conv_transpose2d(x.to_mkldnn(), weight, stride=2)
        assert torch.equal(made.to_dense(), conv_transpose2d(x, weight, stride=2))
    for strange in (x.bool(), x.to_sparse(), x.to(torch.float8_e4m3fn)):
        with pytest.raises(RuntimeError) as theirs:
            functional.conv_transpose2d(strange, weight.to(strange.dtype), stride=2)
        with pytest.raises(RuntimeError) as ours:
            conv_transpose2d(strange, weight.to(strange.dtype), stride=2)
        assert str(ours.value) == str(theirs.value)


def test_zeros_without_memory() -> None:
    zeros = torch._efficientzerotensor((1, 2, 3, 3))
    assert torch.equal(conv_transpose2d(zeros, torch.ones(2, 1, 2, 2)), torch.zeros(1, 1, 4, 4))


class Logged(Tensor):
    """A subclass that notes which functions were called."""

    calls: list[str] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_subclasses_have_a_say() -> None:
    x, weight = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 2, 2)
    made = conv_transpose2d(x.as_subclass(Logged), weight, stride=2)
    assert type(made) is Logged
    assert "conv_transpose2d" in Logged.calls
    assert torch.equal(made.as_subclass(Tensor), conv_transpose2d(x, weight, stride=2))


def test_modes_see_the_call() -> None:
    x, weight = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 2, 2, requires_grad=True)
    seen: list[Any] = []

    class Functions(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Functions():
        conv_transpose2d(x, weight)
    assert tconv.torch.conv_transpose2d in seen

    class Operators(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Operators():
        conv_transpose2d(x, weight).sum().backward()
    assert OPS.conv_transpose.default in seen
    assert OPS.weight_gradient.default in seen
    with torch.device("meta"):
        assert conv_transpose2d(torch.ones(1, 2, 3, 3), torch.ones(2, 1, 2, 2)).device.type == "meta"


def test_profiles_and_flops() -> None:
    layers = net(), net(nn.ConvTranspose2d)
    x = torch.ones(2, 3, 8, 6)
    with torch.profiler.profile() as profile:
        layers[0](x)
    assert "tconv::conv_transpose" in [event.key for event in profile.key_averages()]
    flops = []
    for layer in layers:
        with FlopCounterMode(display=False) as counter:
            layer(x).sum().backward()
        flops.append(counter.get_total_flops())
    assert flops[0] == flops[1] > 0
    with FlopCounterMode(display=False) as counter:  # groups divide the work: 2 * 4*12 * (6/2 * 3*4) per item
        conv_transpose2d(*tensors(MIXED)[:2], **options(MIXED))
    assert counter.get_total_flops() == 2 * MIXED.macs


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_is_pytorchs(dtype: torch.dtype) -> None:
    x, weight, bias, _ = tensors(MIXED)
    grads = []
    for call in (conv_transpose2d, functional.conv_transpose2d):
        inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
        with torch.autocast("cpu", dtype=dtype):
            answer = call(*inputs, **options(MIXED))
            assert answer.dtype is dtype
            assert call(x.double(), weight.double(), **options(MIXED)).dtype is torch.float64
            assert call(x.to(dtype), weight, **options(MIXED)).dtype is dtype
        answer.float().sum().backward()
        grads.append([answer, *(t.grad for t in inputs)])
        assert [t.grad.dtype for t in inputs] == [torch.float32] * 3
        with torch.autocast("cpu", enabled=False):
            assert call(x, weight, **options(MIXED)).dtype is torch.float32
    assert all(map(torch.equal, *grads))  # whole numbers that both dtypes hold
