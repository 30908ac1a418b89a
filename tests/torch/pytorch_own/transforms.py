"""Checks of gradients, transforms and tracers on the samples of PyTorch's OpInfo."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jvp, vjp, vmap
from torch.library import opcheck
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch.testing._internal.optests import aot_autograd_check, make_fx_check
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.torch.pytorch_own import DOUBLE, near
from tests.torch.pytorch_own.ops import CHECKS, Call, check, of_tensors, run

__all__ = ["CHECKS"]


@check("TestBwdGradients.test_fn_grad", DOUBLE, gradients=True)
def _first(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Gradients by finite differences, single and in batches."""
    fast = bool(op.gradcheck_fast_mode)
    assert gradcheck(*of_tensors(call, sample), check_batched_grad=True, fast_mode=fast)


@check("TestBwdGradients.test_fn_gradgrad", DOUBLE, gradients=True)
def _second(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Second gradients by finite differences; real ones in batches too."""
    real = not sample.input.is_complex()
    assert gradgradcheck(*of_tensors(call, sample), check_batched_grad=real, fast_mode=True)


@check("TestFwdGradients.test_forward_mode_AD", DOUBLE, gradients=True)
def _tangents(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Tangents by finite differences, single and in batches."""
    assert op.supports_forward_ad
    assert gradcheck(
        *of_tensors(call, sample), check_forward_ad=True, check_backward_ad=False,
        check_batched_forward_grad=True, check_batched_grad=False, check_undefined_grad=False,
        fast_mode=bool(op.gradcheck_fast_mode),
    )  # fmt: skip


@check("TestFwdGradients.test_fn_fwgrad_bwgrad", DOUBLE, gradients=True)
def _tangents_of_gradients(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Tangents of gradients by finite differences."""
    assert op.supports_fwgrad_bwgrad
    assert gradgradcheck(
        *of_tensors(call, sample), check_fwd_over_rev=True, check_rev_over_rev=False,
        check_undefined_grad=False, fast_mode=True,
    )  # fmt: skip


def _alike(op: OpInfo, call: Call, sample: SampleInput, transform: Callable[..., Any]) -> None:
    """A transform of our function against that of PyTorch's."""
    made, expected = (transform(*of_tensors(each, sample)) for each in (call, op.op))
    near(made, expected)


@check("TestOperators.test_grad", ("float64",))
def _grad(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """`torch.func.grad`, with that of PyTorch's function."""

    def transform(each: Call, given: list[Tensor]) -> Any:
        return grad(lambda *t: each(*t).sin().sum(), tuple(range(len(given))))(*given)

    _alike(op, call, sample, transform)


def _direction(given: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(t.cos() for t in given)


@check("TestOperators.test_jvp", ("float32", "float64"))
def _jvp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """`torch.func.jvp`, likewise."""
    _alike(op, call, sample, lambda each, given: jvp(each, tuple(given), _direction(given)))


def _pullback(call: Call, given: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The answer, and what its vjp makes of ones."""
    answer, back = vjp(call, *given)
    return answer, *back(torch.ones_like(answer))


@check("TestOperators.test_vjp", ("float32", "float64"))
def _vjp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """`torch.func.vjp`, likewise."""
    _alike(op, call, sample, _pullback)


@check("TestOperators.test_vjpvjp", ("float64",))
def _vjp_of_vjp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """vjp of vjp, likewise."""
    _alike(op, call, sample, lambda each, given: _pullback(lambda *t: _pullback(each, t)[1].sin(), given))


@check("TestOperators.test_jvpvjp", ("float64",))
def _jvp_of_vjp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """jvp of vjp, likewise."""
    _alike(
        op, call, sample,
        lambda each, given: jvp(lambda *t: _pullback(each, t), tuple(given), _direction(given)),
    )  # fmt: skip


def _looped(op: OpInfo, call: Call, sample: SampleInput, of: Callable[..., Any]) -> None:
    """vmap of our function against a loop over PyTorch's, over every choice of what has a further axis."""
    each, given = of_tensors(call, sample)
    theirs, _ = of_tensors(op.op, sample)
    firsts = itertools.product((0, None), repeat=len(given))
    for axes in (*firsts, (-1,) * len(given)):
        if all(axis is None for axis in axes):
            continue
        # No two of the stacked ones are alike, or a mixed-up batch would pass.
        many = [
            t if axis is None else torch.stack([t, t.flip(-1) * 2], axis)
            for t, axis in zip(given, axes, strict=True)
        ]
        singles = (
            tree_leaves(
                of(theirs)(
                    *(t if axis is None else t.select(axis, i) for t, axis in zip(many, axes, strict=True))
                )
            )
            for i in (0, 1)
        )
        near(vmap(of(each), axes)(*many), [torch.stack(pair) for pair in zip(*singles, strict=True)])


@check("TestVmapOperatorsOpInfo.test_vmap_exhaustive", ("float32", "complex64"))
def _vmap(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """`torch.vmap` over every choice of tensors, with a loop."""
    _looped(op, call, sample, lambda each: each)


@check("TestOperators.test_vmapvjp", ("float64",))
def _vmap_of_vjp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """vmap of vjp, likewise."""
    _looped(op, call, sample, lambda each: lambda *t: _pullback(each, t))


@check("TestProxyTensorOpInfo.test_make_fx_symbolic_exhaustive", ("float32",))
def _make_fx(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """The graph that `make_fx` traces with symbolic sizes, run."""
    make_fx_check(call, (sample.input, *sample.args), sample.kwargs, tracing_mode="symbolic")


@check("TestEagerFusionOpInfo.test_aot_autograd_symbolic_exhaustive", ("float32",), gradients=True)
def _aot_autograd(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Forward and backward as AOTAutograd traces them with symbolic sizes, run."""
    aot_autograd_check(call, (sample.input, *sample.args), sample.kwargs, dynamic=True)


@check("torch.library.opcheck", ("float64",))
def _opcheck(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """The registered operator: schema, autograd registration, fake tensors (AOT dispatch: the test above)."""
    seen: list[Any] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.tconv.conv_transpose.default:
                seen.append(args)
            return func(*args, **(kwargs or {}))

    with Watch():
        run(call, sample)
    (args,) = tree_map_only(Tensor, lambda t: t.detach().requires_grad_(), seen)
    utils = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(torch.ops.tconv.conv_transpose, args, test_utils=utils)
