"""Gradients of every kind against finite differences, and against PyTorch's own."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tconv.geometry import Geometry
from tconv.torch import ConvTranspose2d, conv_transpose1d, conv_transpose2d, maps
from tests.torch.helpers import MIXED, OURS, THEIRS, options, randoms, tensors

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SMALL = [
    Geometry.parse(problem)
    for problem in (
        "n2 c2>3 i3 k3 s2 p1 o1",
        "n1 c4>2 i2x3 k2x3 s2x1 p0x1 d1x2 g2",
        "n1 c2>2 i2 k2 o2 d3",  # dilation over stride: several inputs reach one output
        "n1 c1>2 i1x2x2 k2 s2",
    )
]


def call(g: Geometry, theirs: bool = False) -> Any:
    """x, weight, bias -> y."""
    return lambda *inputs: (THEIRS if theirs else OURS)[g.axes](*inputs, **options(g))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("geometry", SMALL, ids=str)
def test_gradients_of_every_mode(geometry: Geometry, dtype: torch.dtype) -> None:
    inputs = [t.requires_grad_() for t in randoms(geometry, dtype)[:3]]
    assert gradcheck(
        call(geometry), inputs,
        check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True, fast_mode=True,
    )  # fmt: skip
    assert gradgradcheck(
        call(geometry), inputs,
        check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True, fast_mode=True,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_gradients_entry_by_entry(dtype: torch.dtype) -> None:
    inputs = [t.requires_grad_() for t in randoms(SMALL[0], dtype)[:3]]
    assert gradcheck(call(SMALL[0]), inputs, check_forward_ad=True)
    assert gradgradcheck(call(SMALL[0]), inputs)


def test_complex_gradients_conjugate() -> None:
    """The matched filter: by x the gradient of y is conv(y', conj(weight))."""
    x = torch.tensor([[[1.0 + 2j]]], requires_grad=True)
    weight = torch.tensor([[[3.0 - 1j, 2j]]], requires_grad=True)
    conv_transpose1d(x, weight).backward(torch.tensor([[[1.0 + 0j, 1j]]]))
    assert x.grad.item() == (3 + 1j) * 1 + (-2j) * 1j
    assert torch.equal(weight.grad, torch.tensor([[[(1 - 2j), (1 - 2j) * 1j]]]))


def test_double_gradients_are_pytorchs() -> None:
    made = []
    for theirs in (False, True):
        x, weight, bias, _ = tensors(MIXED, torch.float64)
        for t in (x, weight, bias):
            t.requires_grad_()
        first = torch.autograd.grad(
            call(MIXED, theirs)(x, weight, bias).pow(2).sum(), (x, weight, bias), create_graph=True
        )
        second = torch.autograd.grad(sum((t * t).sum() for t in first), (x, weight, bias))
        made.append([*first, *second])
    assert all(map(torch.equal, *made))


@pytest.mark.parametrize("wanted", [(x, w, b) for x in (0, 1) for w in (0, 1) for b in (0, 1)], ids=str)
def test_only_wanted_gradients_are_computed(wanted: tuple[int, int, int]) -> None:
    inputs = [t.requires_grad_(bool(wants)) for t, wants in zip(tensors(MIXED)[:3], wanted, strict=True)]
    answer = call(MIXED)(*inputs)
    assert answer.requires_grad == any(wanted)
    if not any(wanted):
        return
    with (
        mock.patch.object(maps.Conv, "compute", side_effect=maps.Conv.compute) as conv,
        mock.patch.object(maps.WeightGradient, "compute", side_effect=maps.WeightGradient.compute) as weight,
    ):
        answer.sum().backward()
    assert (conv.call_count, weight.call_count) == wanted[:2]
    assert [t.grad is not None for t in inputs] == [bool(wants) for wants in wanted]
    whole = [t.detach().clone().requires_grad_() for t in inputs]
    call(MIXED, theirs=True)(*whole).sum().backward()
    for t, each in zip(inputs, whole, strict=True):
        assert t.grad is None or torch.equal(t.grad, each.grad)


def test_a_frozen_weight_keeps_no_input_alive() -> None:
    """What a gradient does not need is not saved."""
    x, weight, _, _ = tensors(MIXED)
    answer = conv_transpose2d(x.requires_grad_(), weight, **options(MIXED))
    saved = answer.grad_fn.saved_tensors
    assert saved[0] is None
    assert saved[1] is weight
    answer = conv_transpose2d(x.detach(), weight.requires_grad_(), **options(MIXED))
    assert answer.grad_fn.saved_tensors[1] is None


def test_no_record_without_need() -> None:
    x, weight, bias, _ = tensors(MIXED)
    assert conv_transpose2d(x, weight, bias, **options(MIXED)).grad_fn is None
    weight.requires_grad_()
    assert conv_transpose2d(x, weight, bias, **options(MIXED)).grad_fn is not None
    with torch.no_grad():
        assert conv_transpose2d(x, weight, bias, **options(MIXED)).grad_fn is None
    with torch.inference_mode():
        answer = conv_transpose2d(x, weight, bias, **options(MIXED))
        assert answer.is_inference()
        assert torch.equal(answer, functional.conv_transpose2d(x, weight, bias, **options(MIXED)))


def test_a_changed_weight_is_noticed() -> None:
    """In-place changes between forward and backward are PyTorch's error, not a wrong gradient."""
    x, weight, _, _ = tensors(MIXED)
    answer = conv_transpose2d(x.requires_grad_(), weight, **options(MIXED)).sum()
    weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        answer.backward()


def _close(actual: object, expected: object) -> None:
    left, right = (torch.utils._pytree.tree_leaves(each) for each in (actual, expected))
    assert left
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def _transforms(f: Any, x: Tensor, weight: Tensor, bias: Tensor) -> dict[str, object]:
    """torch.func in all its ways."""

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return f(x, weight, bias).pow(3).sum()

    answer, back = vjp(f, x, weight, bias)
    answer = answer.detach()
    two = [torch.stack([t, 2 * t + 1]) for t in (x, weight, bias)]
    return {
        "grad": grad(loss, argnums=(0, 1, 2))(x, weight, bias),
        "grad of grad": grad(lambda w: grad(loss)(x, w, bias).pow(2).sum())(weight),
        "per sample": vmap(grad(lambda w, one: loss(one[None], w, bias)), (None, 0))(weight, x),
        "vmap x": vmap(f, (0, None, None))(two[0], weight, bias),
        "vmap weight": vmap(f, (None, 0, None))(x, two[1], bias),
        "vmap bias": vmap(f, (None, None, 0))(x, weight, two[2]),
        "vmap all": vmap(f, (1, 2, 1))(two[0].movedim(0, 1), two[1].movedim(0, 2), two[2].T),
        "vmap twice": vmap(vmap(f, (0, None, None)), (None, 0, 0))(*two),
        "jvp": jvp(f, (x, weight, bias), (2 * x, -weight, bias + 1)),
        "jvp of the bias": jvp(lambda b: f(x, weight, b), (bias,), (bias,)),
        "jacobians": (jacrev(f, 1)(x, weight, bias), jacfwd(f, 1)(x, weight, bias)),
        "hessian": hessian(lambda b: loss(x, weight, b))(bias),
        "jvp of vjp": jvp(lambda y: back(y)[1], (answer,), (answer * 2,)),
        "vmap of vjp": vmap(back)(torch.stack([answer, answer + 1])),
        "vmap of jvp": vmap(lambda t: jvp(lambda x: f(x, weight, bias), (x,), (t,))[1])(two[0]),
    }


@pytest.mark.parametrize("geometry", SMALL[:2], ids=str)
def test_functional_transforms_are_pytorchs(geometry: Geometry) -> None:
    inputs = randoms(geometry)[:3]
    _close(_transforms(call(geometry), *inputs), _transforms(call(geometry, theirs=True), *inputs))


def test_captured_tensors_inside_a_transform() -> None:
    """What a transform does not differentiate comes out of it as from PyTorch's own function."""
    g = options(MIXED)
    x, weight, _, _ = tensors(MIXED)
    weight.requires_grad_()
    made: list[Tensor] = []

    def uses(call: Any, summed: Tensor) -> Tensor:
        made.append(call(x, weight, **g).sum())
        return summed.sum()

    for call in (conv_transpose2d, functional.conv_transpose2d):
        grad(partial(uses, call))(torch.ones(2))
    assert made[0].requires_grad == made[1].requires_grad
    assert made[0].item() == made[1].item()


def test_tangents_travel_by_every_road() -> None:
    x, weight, bias, _ = randoms(MIXED)
    expected = conv_transpose2d(2 * x, weight, **options(MIXED))
    g = options(MIXED)
    lists = [list(g[name]) for name in ("stride", "padding", "output_padding", "dilation")]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, 2 * x)
        for road in (
            lambda: conv_transpose2d(dual, weight, bias, **g),
            lambda: torch.ops.tconv.conv_transpose(dual, weight, bias, *lists, g["groups"]),
            lambda: conv_transpose2d(dual[0], weight, bias, **g),
        ):
            tangent = forward_ad.unpack_dual(road()).tangent
            torch.testing.assert_close(tangent, expected if tangent.dim() == 4 else expected[0])
        with torch.profiler.profile():
            tangent = forward_ad.unpack_dual(conv_transpose2d(dual, weight, bias, **g)).tangent
        torch.testing.assert_close(tangent, expected)


def test_checkpoints_and_functional_calls() -> None:
    layer = ConvTranspose2d(4, 3, 3, 2, dtype=torch.float64)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    plain = torch.autograd.grad(layer(x).pow(2).sum(), [x, *layer.parameters()])
    kept = torch.autograd.grad(
        checkpoint(layer, x, use_reentrant=False).pow(2).sum(), [x, *layer.parameters()]
    )
    assert all(map(torch.equal, plain, kept))
    zeros = {name: torch.zeros_like(p) for name, p in layer.named_parameters()}
    assert not functional_call(layer, zeros, (x,)).any()


def test_backward_from_many_threads() -> None:
    x, weight, bias, y = tensors(MIXED)
    expected = torch.autograd.grad(call(MIXED)(x, weight.requires_grad_(), bias), weight, y)[0]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for _ in range(20):
            w = weight.detach().clone().requires_grad_()
            if not torch.equal(torch.autograd.grad(call(MIXED)(x, w, bias), w, y)[0], expected):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
