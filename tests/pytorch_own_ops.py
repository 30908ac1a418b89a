"""PyTorch's own inputs for its conv_transpose1d-3d (OpInfo), and checks in the manner of its own tests.

A check takes PyTorch's description of the operator, our function and one of its samples, and raises.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.schema_check_mode import SchemaCheckMode
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jvp, vjp, vmap
from torch.library import opcheck
from torch.testing import assert_close
from torch.testing._internal import composite_compliance
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch.testing._internal.optests import aot_autograd_check, make_fx_check
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from torch_cases import OURS

__all__ = ["CHECKS", "OPS", "Check", "ours", "samples"]

#: Name without "nn.functional." -> PyTorch's description.
OPS = {
    op.name.removeprefix("nn.functional."): op
    for op in op_db
    if op.name.startswith("nn.functional.conv_transpose")
}

Call = Callable[..., Tensor]


def ours(op: OpInfo) -> Call:
    """What stands in its place here."""
    return OURS[int(op.name[-2])]


def samples(op: OpInfo, dtype: torch.dtype, grad: bool = False) -> list[SampleInput]:
    """PyTorch's samples, and its references (the same ones, for these operators)."""
    return list(op.reference_inputs("cpu", dtype, requires_grad=grad))


def _tensors(sample: SampleInput) -> list[Tensor]:
    return [t for t in (sample.input, *sample.args) if isinstance(t, Tensor)]


def _run(call: Call, sample: SampleInput) -> Tensor:
    return call(sample.input, *sample.args, **sample.kwargs)


def _of_tensors(call: Call, sample: SampleInput) -> tuple[Call, list[Tensor]]:
    """A function of the sample's tensors alone, and those."""
    given = _tensors(sample)
    bias = [None] * (3 - len(given))
    return lambda *tensors: call(*tensors, *bias, **sample.kwargs), given


def _with_gradients(call: Call, sample: SampleInput) -> list[Tensor]:
    answer = _run(call, sample)
    leaves = [t for t in _tensors(sample) if t.requires_grad]
    if not leaves:
        return [answer]
    return [answer, *torch.autograd.grad(answer, leaves, torch.ones_like(answer))]


def _near(made: Any, expected: Any) -> None:
    """Alike to the last few bits of the dtype, with that dtype."""
    left, right = tree_leaves(made), tree_leaves(expected)
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        wide = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 2e-5, torch.complex64: 2e-5}
        bound = wide.get(b.dtype, 1e-10) if b.is_floating_point() or b.is_complex() else 0
        assert_close(a, b, rtol=bound, atol=bound * max(1.0, float(b.detach().abs().max())))


def dtypes(op: OpInfo, call: Call, sample: SampleInput) -> None:
    _with_gradients(call, sample)


class Unusable(Exception):
    """PyTorch fails at its own sample."""


def numpy_ref(op: OpInfo, call: Call, sample: SampleInput) -> None:
    bare = sample.numpy()
    try:
        expected = op.ref(bare.input, *bare.args, **bare.kwargs)
    except RuntimeError as error:
        raise Unusable from error
    _near(_run(call, sample), expected)


def variants(op: OpInfo, call: Call, sample: SampleInput) -> None:
    _near(_with_gradients(call, sample), _with_gradients(op.op, sample))


def noncontiguous(op: OpInfo, call: Call, sample: SampleInput) -> None:
    other = sample.noncontiguous()
    assert not any(t.is_contiguous() for t in _tensors(other) if t.numel() > 1)
    _near(_with_gradients(call, other), _with_gradients(op.op, sample))


def composite_operator(op: OpInfo, call: Call, sample: SampleInput) -> None:
    given = (sample.input, *sample.args)
    composite_compliance.check_with_mode(call, given, sample.kwargs, assert_close)
    composite_compliance.check_all_permutations(call, given, sample.kwargs, assert_close)


def composite_backward(op: OpInfo, call: Call, sample: SampleInput) -> None:
    composite_compliance.check_backward_formula(
        call, (sample.input, *sample.args), sample.kwargs, assert_equal_fn=assert_close
    )


def composite_forward_ad(op: OpInfo, call: Call, sample: SampleInput) -> None:
    composite_compliance.check_forward_ad_formula(
        call, (sample.input, *sample.args), sample.kwargs, assert_equal_fn=assert_close
    )


def _bits(*views: Callable[[Tensor], Tensor]) -> Callable[[OpInfo, Call, SampleInput], None]:
    """Views that only note a conjugate or a negative, against the tensors written out."""

    def check(op: OpInfo, call: Call, sample: SampleInput) -> None:
        def noted(t: Tensor) -> Tensor:
            t = t.detach().clone()
            for view in views:
                t = view(t)
            return t.requires_grad_()

        given = sample.transform(lambda t: noted(t) if isinstance(t, Tensor) else t)
        assert all(t.is_conj() or t.is_neg() for t in _tensors(given))
        plain = given.transform(
            lambda t: t.detach().resolve_conj().resolve_neg().requires_grad_() if isinstance(t, Tensor) else t
        )
        _near(_with_gradients(call, given), _with_gradients(op.op, plain))

    return check


def fake(op: OpInfo, call: Call, sample: SampleInput) -> None:
    real = _run(call, sample)
    with FakeTensorMode() as mode:
        made = _run(call, sample.transform(lambda t: mode.from_tensor(t) if isinstance(t, Tensor) else t))
    assert (made.shape, made.stride(), made.dtype) == (real.shape, real.stride(), real.dtype)


def meta(op: OpInfo, call: Call, sample: SampleInput) -> None:
    real = _run(call, sample)
    made = _run(call, sample.transform(lambda t: t.to("meta") if isinstance(t, Tensor) else t))
    assert made.device.type == "meta"
    assert (made.shape, made.dtype) == (real.shape, real.dtype)


def schema(op: OpInfo, call: Call, sample: SampleInput) -> None:
    with SchemaCheckMode():
        _run(call, sample)


def first_gradients(op: OpInfo, call: Call, sample: SampleInput) -> None:
    assert gradcheck(
        *_of_tensors(call, sample), check_batched_grad=True, fast_mode=bool(op.gradcheck_fast_mode)
    )


def second_gradients(op: OpInfo, call: Call, sample: SampleInput) -> None:
    # Entry by entry each costs thousands of calls: PyTorch's own runs are fast ones too.
    real = not sample.input.is_complex()
    assert gradgradcheck(*_of_tensors(call, sample), check_batched_grad=real, fast_mode=True)


def forward_gradients(op: OpInfo, call: Call, sample: SampleInput) -> None:
    assert op.supports_forward_ad
    assert gradcheck(
        *_of_tensors(call, sample), check_forward_ad=True, check_backward_ad=False,
        check_batched_forward_grad=True, check_batched_grad=False, fast_mode=bool(op.gradcheck_fast_mode),
    )  # fmt: skip


def forward_over_reverse(op: OpInfo, call: Call, sample: SampleInput) -> None:
    assert op.supports_fwgrad_bwgrad
    assert gradgradcheck(
        *_of_tensors(call, sample), check_fwd_over_rev=True, check_rev_over_rev=False,
        check_undefined_grad=False, fast_mode=True,
    )  # fmt: skip


def _alike(transform: Callable[..., Any]) -> Callable[[OpInfo, Call, SampleInput], None]:
    """One of torch.func's transforms of our function against that of PyTorch's."""

    def check(op: OpInfo, call: Call, sample: SampleInput) -> None:
        made, expected = (transform(*_of_tensors(each, sample)) for each in (call, op.op))
        _near(made, expected)

    return check


def _loss(call: Call) -> Call:
    return lambda *given: call(*given).sin().abs().sum()


def _every(given: list[Tensor]) -> tuple[int, ...]:
    return tuple(range(len(given)))


def _pullback(call: Call, given: list[Tensor]) -> Any:
    answer, back = vjp(call, *given)
    return answer, back(torch.ones_like(answer))


def _batches(given: list[Tensor]) -> Iterable[tuple[tuple[int | None, ...], list[Tensor]]]:
    """Which tensors have a further axis, and where: none of them the same numbers twice."""
    for which in itertools.product((None, 0, -1), repeat=len(given)):
        if any(axis is not None for axis in which):
            yield (
                which,
                [
                    t if axis is None else torch.stack([t, t.flip(-1) * 2], axis)
                    for t, axis in zip(given, which, strict=True)
                ],
            )


def vmap_exhaustive(op: OpInfo, call: Call, sample: SampleInput) -> None:
    each, given = _of_tensors(call, sample)
    theirs, _ = _of_tensors(op.op, sample)
    for axes, many in _batches(given):
        _near(vmap(each, axes)(*many), _loop(theirs, axes, many))


def vmap_of_vjp(op: OpInfo, call: Call, sample: SampleInput) -> None:
    each, given = _of_tensors(call, sample)
    theirs, _ = _of_tensors(op.op, sample)
    for axes, many in _batches(given):
        made = vmap(lambda *one: _pullback(each, one), axes)(*many)
        _near(made, _loop(lambda *one: tuple(tree_leaves(_pullback(theirs, one))), axes, many))


def _loop(call: Callable[..., Any], axes: Any, many: list[Tensor]) -> Any:
    each = [
        call(*(t if axis is None else t.select(axis, i) for t, axis in zip(many, axes, strict=True)))
        for i in (0, 1)
    ]
    return [torch.stack(parts) for parts in zip(*map(tree_leaves, each), strict=True)]


def registered(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """torch.library.opcheck on the registered operator, with the arguments that the sample leads to."""
    seen: list[Any] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.tconv.conv_transpose.default:
                seen.append(args)
            return func(*args, **(kwargs or {}))

    with Watch():
        _run(call, sample)
    (args,) = tree_map_only(Tensor, lambda t: t.detach().requires_grad_(), seen)
    opcheck(torch.ops.tconv.conv_transpose, args)


def make_fx(op: OpInfo, call: Call, sample: SampleInput) -> None:
    make_fx_check(call, (sample.input, *sample.args), sample.kwargs, tracing_mode="symbolic")


def aot_autograd(op: OpInfo, call: Call, sample: SampleInput) -> None:
    aot_autograd_check(call, (sample.input, *sample.args), sample.kwargs, dynamic=True)


class Check(NamedTuple):
    """One of PyTorch's tests, as it is done here."""

    theirs: str  #: its name in PyTorch's test suite
    told: str  #: what is compared with what
    dtypes: tuple[str, ...]  #: that it is done for; () for every one that PyTorch lists
    run: Callable[[OpInfo, Call, SampleInput], None]
    gradients: bool = False  #: whether the samples want gradients


_DOUBLE = ("float64", "complex128")

CHECKS = {
    check.theirs: check
    for check in (
        Check("TestCommon.test_dtypes", "the dtype is taken, forward and backward", (), dtypes, True),
        Check(
            "TestCommon.test_numpy_ref", "values, with the reference that PyTorch names", _DOUBLE, numpy_ref
        ),
        Check(
            "TestCommon.test_variant_consistency_eager",
            "values and gradients, with PyTorch's own function",
            (),
            variants,
            True,
        ),
        Check(
            "TestCommon.test_noncontiguous_samples",
            "values and gradients from tensors with gaps",
            ("float32", "int64", "complex64"),
            noncontiguous,
            True,
        ),
        Check(
            "TestCompositeCompliance.test_operator",
            "each mixture of plain tensors and a subclass with `__torch_dispatch__`",
            ("float32",),
            composite_operator,
        ),
        Check(
            "TestCompositeCompliance.test_backward",
            "the gradient, for the same mixtures",
            ("float32",),
            composite_backward,
            True,
        ),
        Check(
            "TestCompositeCompliance.test_forward_ad",
            "the tangent, for the same mixtures",
            ("float32",),
            composite_forward_ad,
            True,
        ),
        Check(
            "TestMathBits.test_conj_view",
            "conjugates that are only noted",
            ("complex64",),
            _bits(torch.Tensor.conj),
        ),
        Check(
            "TestMathBits.test_neg_view",
            "negatives that are only noted",
            ("float64",),
            _bits(torch._neg_view),
        ),
        Check(
            "TestMathBits.test_neg_conj_view",
            "both at once",
            ("complex128",),
            _bits(torch._neg_view, torch.Tensor.conj),
        ),
        Check("TestFakeTensor.test_fake", "shape, strides and dtype without data", (), fake),
        Check("TestMeta.test_dispatch_meta_outplace", "shape and dtype on the meta device", (), meta),
        Check(
            "TestSchemaCheckModeOpInfo.test_schema_correctness",
            "no argument is changed or aliased",
            ("float32", "complex64"),
            schema,
        ),
        Check(
            "TestBwdGradients.test_fn_grad",
            "gradients, by finite differences, single and batched",
            _DOUBLE,
            first_gradients,
            True,
        ),
        Check(
            "TestBwdGradients.test_fn_gradgrad",
            "second gradients, by finite differences, single and batched",
            _DOUBLE,
            second_gradients,
            True,
        ),
        Check(
            "TestFwdGradients.test_forward_mode_AD",
            "tangents, by finite differences, single and batched",
            _DOUBLE,
            forward_gradients,
            True,
        ),
        Check(
            "TestFwdGradients.test_fn_fwgrad_bwgrad",
            "tangents of gradients, by finite differences",
            _DOUBLE,
            forward_over_reverse,
            True,
        ),
        Check(
            "TestOperators.test_grad",
            "torch.func.grad, with that of PyTorch's function",
            ("float64",),
            _alike(lambda call, given: grad(_loss(call), _every(given))(*given)),
        ),
        Check(
            "TestOperators.test_jvp",
            "torch.func.jvp, likewise",
            ("float32", "float64"),
            _alike(lambda call, given: jvp(call, tuple(given), tuple(t.cos() for t in given))),
        ),
        Check(
            "TestOperators.test_vjp", "torch.func.vjp, likewise", ("float32", "float64"), _alike(_pullback)
        ),
        Check(
            "TestOperators.test_vjpvjp",
            "vjp of vjp, likewise",
            ("float64",),
            _alike(lambda call, given: _pullback(lambda *each: _pullback(call, each)[1][0].sin(), given)),
        ),
        Check(
            "TestOperators.test_jvpvjp",
            "jvp of vjp, likewise",
            ("float64",),
            _alike(
                lambda call, given: jvp(
                    lambda *each: _pullback(call, each), tuple(given), tuple(t.cos() for t in given)
                )
            ),
        ),
        Check(
            "TestOperators.test_vmapvjp",
            "vmap of vjp over every choice of tensors and axes, with a loop",
            ("float64",),
            vmap_of_vjp,
        ),
        Check(
            "TestVmapOperatorsOpInfo.test_op_has_batch_rule",
            "vmap over every choice of tensors and axes, with a loop",
            ("float32", "complex64"),
            vmap_exhaustive,
        ),
        Check(
            "TestProxyTensorOpInfo.test_make_fx_symbolic_exhaustive",
            "the traced graph, with symbolic sizes",
            ("float32",),
            make_fx,
        ),
        Check(
            "TestEagerFusionOpInfo.test_aot_autograd_symbolic_exhaustive",
            "forward and backward as AOTAutograd traces them, with symbolic sizes",
            ("float32",),
            aot_autograd,
            True,
        ),
        Check(
            "torch.library.opcheck",
            "schema, autograd registration, fake tensors and AOT dispatch of the registered operator",
            ("float64",),
            registered,
        ),
    )
}
