"""The samples of PyTorch's OpInfo for conv_transpose1d-3d, and checks of single calls.

A check takes PyTorch's description of the operator, our function and one of the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.schema_check_mode import SchemaCheckMode
from torch.testing import assert_close
from torch.testing._internal import composite_compliance
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

from tests.torch.helpers import OURS
from tests.torch.pytorch_own import DOUBLE, Check, Unusable, near, register

__all__ = ["CHECKS", "OPS", "Call", "check", "of_tensors", "ours", "run", "samples", "tensors_of"]

#: Name without "nn.functional." -> PyTorch's description.
OPS: dict[str, OpInfo] = {
    op.name.removeprefix("nn.functional."): op
    for op in op_db
    if op.name.startswith("nn.functional.conv_transpose")
}
CHECKS: dict[str, Check] = {}
check = partial(register, CHECKS)
Call = Callable[..., Tensor]


def ours(op: OpInfo) -> Call:
    """What stands in its place here."""
    return OURS[int(op.name[-2])]


def samples(op: OpInfo, dtype: torch.dtype, gradients: bool = False) -> list[SampleInput]:
    """PyTorch's samples; its reference inputs are the same ones for these operators."""
    wanted = gradients and (dtype.is_floating_point or dtype.is_complex)
    return list(op.reference_inputs("cpu", dtype, requires_grad=wanted))


def tensors_of(sample: SampleInput) -> list[Tensor]:
    """input, weight, and bias where there is one."""
    return [t for t in (sample.input, *sample.args) if isinstance(t, Tensor)]


def run(call: Call, sample: SampleInput) -> Tensor:
    """The answer to a sample."""
    return call(sample.input, *sample.args, **sample.kwargs)


def of_tensors(call: Call, sample: SampleInput) -> tuple[Call, list[Tensor]]:
    """A function of the sample's tensors alone, and those."""
    given = tensors_of(sample)
    bias = [None] * (3 - len(given))
    return lambda *tensors: call(*tensors, *bias, **sample.kwargs), given


def _mapped(sample: SampleInput, change: Callable[[Tensor], Tensor]) -> SampleInput:
    return sample.transform(lambda t: change(t) if isinstance(t, Tensor) else t)


def _with_gradients(call: Call, sample: SampleInput) -> list[Tensor]:
    answer = run(call, sample)
    leaves = [t for t in tensors_of(sample) if t.requires_grad]
    if not leaves:
        return [answer]
    return [answer, *torch.autograd.grad(answer, leaves, torch.ones_like(answer))]


@check("TestCommon.test_dtypes", gradients=True)
def _dtypes(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Each dtype is taken, forward and backward."""
    for t in _with_gradients(call, sample):
        assert t.dtype is sample.input.dtype


@check("TestCommon.test_numpy_ref", DOUBLE)
def _numpy_ref(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Values, with the reference that PyTorch names."""
    bare = sample.numpy()
    try:
        expected = op.ref(bare.input, *bare.args, **bare.kwargs)
    except RuntimeError as error:
        raise Unusable from error
    near(run(call, sample), expected)


@check("TestCommon.test_variant_consistency_eager", gradients=True)
def _variants(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Values and gradients, with PyTorch's own function."""
    near(_with_gradients(call, sample), _with_gradients(op.op, sample))


@check("TestCommon.test_noncontiguous_samples", ("float32", "int64", "complex64"), gradients=True)
def _noncontiguous(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Values and gradients, from tensors with gaps."""
    other = sample.noncontiguous()
    assert not any(t.is_contiguous() for t in tensors_of(other) if t.numel() > 1)
    near(_with_gradients(call, other), _with_gradients(op.op, sample))


@check("TestCompositeCompliance.test_operator", ("float32",))
def _composite_operator(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Every mixture of plain tensors and a subclass with `__torch_dispatch__`."""
    given = (sample.input, *sample.args), sample.kwargs, assert_close
    composite_compliance.check_with_mode(call, *given)
    composite_compliance.check_all_permutations(call, *given)


@check("TestCompositeCompliance.test_backward", ("float32",), gradients=True)
def _composite_backward(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Gradients, for those mixtures."""
    given = call, (sample.input, *sample.args), sample.kwargs
    composite_compliance.check_backward_formula(*given, assert_equal_fn=assert_close)


@check("TestCompositeCompliance.test_forward_ad", ("float32",), gradients=True)
def _composite_forward_ad(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Tangents, for those mixtures."""
    given = call, (sample.input, *sample.args), sample.kwargs
    composite_compliance.check_forward_ad_formula(*given, assert_equal_fn=assert_close)


def _noted(op: OpInfo, call: Call, sample: SampleInput, *views: Callable[[Tensor], Tensor]) -> None:
    def noted(t: Tensor) -> Tensor:
        for view in views:
            t = view(t.detach().clone())
        return t.requires_grad_()

    given = _mapped(sample, noted)
    assert all(t.is_conj() or t.is_neg() for t in tensors_of(given))
    written = _mapped(given, lambda t: t.detach().resolve_conj().resolve_neg().requires_grad_())
    near(_with_gradients(call, given), _with_gradients(op.op, written))


@check("TestMathBits.test_conj_view", ("complex64",))
def _conj_view(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Conjugates that are only noted."""
    _noted(op, call, sample, torch.Tensor.conj)


@check("TestMathBits.test_neg_view", ("float64",))
def _neg_view(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Negatives that are only noted."""
    _noted(op, call, sample, torch._neg_view)


@check("TestMathBits.test_neg_conj_view", ("complex128",))
def _neg_conj_view(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Both at once."""
    _noted(op, call, sample, lambda t: torch._neg_view(t.conj()))


@check("TestFakeTensor.test_fake")
def _fake(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Shape, strides and dtype, without data."""
    real = run(call, sample)
    with FakeTensorMode() as mode:
        made = run(call, _mapped(sample, mode.from_tensor))
    assert (made.shape, made.stride(), made.dtype) == (real.shape, real.stride(), real.dtype)


@check("TestMeta.test_dispatch_meta_outplace")
def _meta(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """Shape, strides and dtype, on the meta device."""
    real = run(call, sample)
    made = run(call, _mapped(sample, lambda t: t.to("meta")))
    assert made.device.type == "meta"
    assert (made.shape, made.stride(), made.dtype) == (real.shape, real.stride(), real.dtype)


@check("TestSchemaCheckModeOpInfo.test_schema_correctness", ("float32", "complex64"))
def _schema(op: OpInfo, call: Call, sample: SampleInput) -> None:
    """No argument is changed, or shared with the answer."""
    with SchemaCheckMode() as mode:
        run(call, sample)
    assert any(name.startswith("tconv::conv_transpose") for name in mode.ops)
