"""tconv.torch's functions against PyTorch's own, exactly, on whole numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

import tconv
from tconv import TconvError
from tconv.geometry import Geometry
from tconv.torch import conv_transpose1d, conv_transpose2d, conv_transpose3d
from tests.helpers import refused_in_one_line
from tests.torch.helpers import CASES, MIXED, OURS, THEIRS, options, tensors


@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradients_are_pytorchs(case: str) -> None:
    g = CASES[case]
    x, weight, bias, y = tensors(g)
    made, given = [], []
    for call, kept in ((OURS[g.axes], made), (THEIRS[g.axes], given)):
        inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
        answer = call(*inputs, **options(g))
        answer.backward(y)
        kept.extend([answer, *(t.grad for t in inputs), call(x, weight, **options(g))])
    for name, actual, expected in zip(("y", "x", "weight", "bias", "y alone"), made, given, strict=True):
        assert actual.shape == expected.shape, name
        assert actual.dtype == expected.dtype, name
        assert torch.equal(actual, expected), name


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_signatures_are_pytorchs(axes: int) -> None:
    parameters = inspect.signature(OURS[axes]).parameters
    ours = {name: p.default for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY}
    # PyTorch's function is built in; its documentation begins with the signature.
    text = THEIRS[axes].__doc__.strip().splitlines()[0]
    theirs = text[text.index("(") + 1 : text.index(")")].split(", ")
    assert [
        name if default is inspect.Parameter.empty else f"{name}={default}" for name, default in ours.items()
    ] == theirs


@pytest.mark.parametrize("name", ["float64", "complex64", "complex128", "int64"])
def test_other_dtypes_are_pytorchs(name: str) -> None:
    x, weight, bias, _ = tensors(MIXED, getattr(torch, name))
    expected = functional.conv_transpose2d(x, weight, bias, **options(MIXED))
    actual = conv_transpose2d(x, weight, bias, **options(MIXED))
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"])
def test_integers_that_pytorch_lacks(name: str) -> None:
    x, weight, bias, _ = tensors(MIXED, getattr(torch, name))
    g = options(MIXED)
    g["padding"] = ((1, 1), (1, 1))
    expected = tconv.conv_transpose(x.numpy(), weight.numpy(), bias.numpy(), **g)
    assert np.array_equal(conv_transpose2d(x, weight, bias, **options(MIXED)).numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 40, 7, 9, generator=generator).to(dtype)
    weight = torch.randn(40, 12, 4, 4, generator=generator).to(dtype)
    bias = torch.randn(12, generator=generator).to(dtype)
    made = conv_transpose2d(x, weight, bias, 2, 1)
    exact = conv_transpose2d(x.double(), weight.double(), bias.double(), 2, 1)
    sizes = conv_transpose2d(x.double().abs(), weight.double().abs(), bias.double().abs(), 2, 1)
    slack = (40 * 4 + 1) * torch.finfo(torch.float32).eps * sizes  # of a sum in float32, in any order
    assert made.dtype is dtype
    assert torch.all((exact - slack).to(dtype) <= made)
    assert torch.all(made <= (exact + slack).to(dtype))
    theirs = functional.conv_transpose2d(x.float(), weight.float(), bias.float(), 2, 1)
    assert torch.allclose(
        made.float(), theirs, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_large_half_output_is_a_tensor_like_others(dtype: torch.dtype) -> None:
    x = torch.ones(1, 1, 1200, 1200, dtype=dtype, requires_grad=True)
    made = conv_transpose2d(x, torch.ones(1, 4, 2, 2, dtype=dtype), None, 2)
    assert made.nbytes > 16 << 20
    assert made.dtype is dtype
    assert not made._is_view()
    made.mul_(2).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 32))


def test_unbatched() -> None:
    for g in (Geometry.parse("n1 c4>3 i6 k3 s2"), MIXED, Geometry.parse("n1 c4>3 i2x3x2 k3 s2 o1")):
        x, weight, bias, _ = tensors(g)
        made = OURS[g.axes](x[0], weight, bias, **options(g))
        assert torch.equal(made, THEIRS[g.axes](x[0], weight, bias, **options(g)))
        alone = x[0].clone().requires_grad_()
        OURS[g.axes](alone, weight, bias, **options(g)).sum().backward()
        whole = x.clone().requires_grad_()
        OURS[g.axes](whole, weight, bias, **options(g))[0].sum().backward()
        assert torch.equal(alone.grad, whole.grad[0])


def test_an_empty_batch_has_zero_gradients() -> None:
    x = torch.ones(0, 4, 5, 5, requires_grad=True)
    weight = torch.ones(4, 3, 3, 3, requires_grad=True)
    bias = torch.ones(3, requires_grad=True)
    answer = conv_transpose2d(x, weight, bias, 2)
    assert answer.shape == (0, 3, 11, 11)
    answer.sum().backward()
    assert x.grad.shape == x.shape
    assert torch.equal(weight.grad, torch.zeros_like(weight))
    assert torch.equal(bias.grad, torch.zeros_like(bias))


def test_any_strides() -> None:
    x, weight, bias, y = tensors(MIXED)
    expected = functional.conv_transpose2d(x, weight, bias, **options(MIXED))
    for turned in (
        x.transpose(2, 3).contiguous().transpose(2, 3),
        torch.cat([x, x], 1)[:, : x.shape[1]],
    ):
        assert not turned.is_contiguous()
        made = conv_transpose2d(turned, weight, bias, **options(MIXED))
        assert made.is_contiguous()
        assert torch.equal(made, expected)
    turned = weight.flip(0).transpose(0, 1).contiguous().transpose(0, 1).flip(0)
    assert torch.equal(
        conv_transpose2d(x, turned, bias.repeat_interleave(2)[::2], **options(MIXED)), expected
    )
    ones = torch.ones(()).expand(1, 2, 3)  # no memory of its own
    assert torch.equal(conv_transpose1d(ones, torch.ones(2, 1, 2)), torch.tensor([[[2.0, 4, 4, 2]]]))
    # A gradient of any strides, too.
    inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
    made = torch.autograd.grad(conv_transpose2d(*inputs, **options(MIXED)), inputs, y.mT.contiguous().mT)
    theirs = torch.autograd.grad(functional.conv_transpose2d(*inputs, **options(MIXED)), inputs, y)
    assert all(map(torch.equal, made, theirs))


def test_conjugates_and_negatives_that_are_only_noted() -> None:
    x, weight, _, _ = tensors(MIXED, torch.complex64)
    made = conv_transpose2d(x.conj(), weight.conj(), **options(MIXED))
    assert torch.equal(made, functional.conv_transpose2d(x.conj(), weight.conj(), **options(MIXED)))
    real = x.conj().imag  # the negative of x.imag, in x's memory
    assert real.is_neg()
    made = conv_transpose2d(real, weight.real, **options(MIXED))
    assert torch.equal(made, functional.conv_transpose2d(-x.imag, weight.real, **options(MIXED)))


def test_options_in_every_spelling() -> None:
    x, weight, bias, _ = tensors(Geometry.parse("n1 c4>3 i5x5 k3 s2 p1 o1"))
    expected = functional.conv_transpose2d(x, weight, bias, 2, 1, 1)
    for spelled in (2, 1, 1), ((2, 2), (1, 1), (1, 1)), ([2, 2], [1, 1], [1, 1]), ((2,), (1,), [1]):
        assert torch.equal(conv_transpose2d(x, weight, bias, *spelled), expected)
    assert torch.equal(
        conv_transpose2d(x, weight, bias, stride=torch.Size([2, 2]), padding=np.int64(1), output_padding=1),
        expected,
    )


X, W = torch.ones(1, 4, 5, 6), torch.ones(4, 3, 3, 3)
REFUSED: dict[str, tuple[Callable[[], object], list[str]]] = {
    "rank of the input": (
        lambda: conv_transpose2d(X[0, 0], W),
        ["(5, 6)", "4 axes, or 3 without a batch axis"],
    ),
    "rank of the weight": (lambda: conv_transpose2d(X, W[..., 0]), ["(4, 3, 3)", "of 4 axes would fit"]),
    "three axes for one": (lambda: conv_transpose1d(X, W), ["(4, 3, 3, 3)", "of 3 axes would fit"]),
    "rank in 3-D": (lambda: conv_transpose3d(X[0, 0], torch.ones(4, 3, 1, 1, 1)), ["(5, 6)", "5 axes, or 4"]),
    "channels": (lambda: conv_transpose2d(X[:, :3], W), ["3 channels", "takes 4"]),
    "groups": (lambda: conv_transpose2d(X, W, groups=3), ["4 input channels", "3 groups"]),
    "no groups": (lambda: conv_transpose2d(X, W, groups=0), ["groups=0"]),
    "bias": (lambda: conv_transpose2d(X, W, torch.ones(2)), ["bias has shape (2,)", "(3,)"]),
    "stride": (lambda: conv_transpose2d(X, W, stride=(1, 0)), ["stride 0 on axis 1"]),
    "stride of another type": (lambda: conv_transpose2d(X, W, stride=2.5), ["stride=2.5", "must be an int"]),
    "stride of three axes": (
        lambda: conv_transpose2d(X, W, stride=(1, 1, 1)),
        ["stride=(1, 1, 1)", "3 entries"],
    ),
    "padding word": (lambda: conv_transpose2d(X, W, padding="full"), ["padding='full'", '"same"']),
    "padding pair": (
        lambda: conv_transpose2d(X, W, padding=((0, 1),)),
        ["padding=((0, 1),)", "2, one per axis"],
    ),
    "padding of three": (
        lambda: conv_transpose2d(X, W, padding=((0, 1, 2), 0)),
        ["(0, 1, 2)", "(lo, hi) pair"],
    ),
    "word with a wrong rank": (lambda: conv_transpose2d(X, W[0], padding="same"), ["(3, 3, 3)", "of 4 axes"]),
    "dilation": (lambda: conv_transpose2d(X, W, dilation=0), ["dilation 0 on axis 0"]),
    "output padding": (
        lambda: conv_transpose2d(X, W, stride=2, output_padding=2),
        ["output_padding 2", "= 2"],
    ),
    "nothing left": (lambda: conv_transpose2d(X, W, padding=4), ["output size on axis 0 is -1"]),
    "no input": (lambda: conv_transpose2d(X[:, :, :0], W), ["input size 0 on axis 0"]),
    "dtypes": (
        lambda: conv_transpose2d(X, W.double()),
        ["input is torch.float32", "weight is torch.float64"],
    ),
    "dtype of the bias": (lambda: conv_transpose2d(X, W, torch.ones(3).half()), ["bias is torch.float16"]),
    "an array": (lambda: conv_transpose2d(X.numpy(), W), ["input is a ndarray", "torch.Tensor would fit"]),
    "no weight": (lambda: conv_transpose2d(X, None), ["weight is a NoneType", "torch.Tensor would fit"]),
    "memory": (
        lambda: conv_transpose2d(X, W, stride=2**20),
        ["not enough memory", "(1, 3, 4194307, 5242883)"],
    ),
}


@pytest.mark.parametrize(("good", "bad"), [(2, 2.0), (1, True)])
def test_what_equals_an_int_is_none(good: int, bad: object) -> None:
    """Refused after an equal int was taken, too."""
    conv_transpose2d(X, W, stride=good)
    with pytest.raises(TconvError, match=f"stride={bad}"):
        conv_transpose2d(X, W, stride=bad)


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_one_clear_line(what: str) -> None:
    refused_in_one_line(*REFUSED[what])


def test_large_answers_come_from_kept_memory() -> None:
    """From 16 MB on; they are ordinary tensors all the same."""
    x, weight = torch.ones(1, 1, 8, 8), torch.ones(1, 2, 1, 1)
    made = conv_transpose2d(x, weight, stride=300, output_padding=17)
    assert made.shape == (1, 2, 2118, 2118)
    assert made.nbytes > 16 << 20
    assert made.is_contiguous()
    assert torch.equal(made[:, :, ::300, ::300], torch.ones(1, 2, 8, 8))
    assert made.sum() == 128
    made += 1
    assert made.clone().mean() > 1
