"""The layers of PyTorch's older tests (common_nn), built as ours in PyTorch's own harness; and autocast."""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.testing._internal.autocast_test_lists import AutocastCPUTestLists
from torch.testing._internal.common_nn import NewModuleTest, NNTestCase, get_new_module_tests

import tconv.torch
from tests.torch.helpers import OURS

__all__ = ["AUTOCAST", "TESTS", "autocast", "run"]


def _name(given: dict[str, Any]) -> str:
    return given.get("fullname") or "_".join(filter(None, (given["module_name"], given.get("desc"))))


#: Name -> arguments of PyTorch's NewModuleTest.
TESTS = {_name(given): given for given in get_new_module_tests() if "ConvTranspose" in _name(given)}


class _Case(NNTestCase):
    """What the harness asks of a test case."""

    def _forward(self, module: nn.Module, input: Any) -> Any:
        return module(*input) if isinstance(input, tuple) else module(input)

    def _backward(
        self, module: nn.Module, input: Tensor, output: Tensor, grad_output: Tensor, **_: Any
    ) -> Any:
        output.backward(grad_output, retain_graph=True)
        return input.grad

    def _get_parameters(self, module: nn.Module) -> Any:
        return list(module.parameters()), [p.grad for p in module.parameters()]

    def _zero_grad_parameters(self, module: nn.Module) -> None:
        for p in module.parameters():
            p.grad = None if p.grad is None else p.grad.detach().zero_()

    def _zero_grad_input(self, input: Any) -> None:
        for t in input if isinstance(input, tuple) else (input,):
            t.grad = None


def run(name: str) -> type[nn.Module]:
    """PyTorch's test, with our layers under PyTorch's names; the class that was tested."""
    given = dict(TESTS[name])
    layers = {each: getattr(tconv.torch, each) for each in (f"ConvTranspose{axes}d" for axes in (1, 2, 3))}
    built: list[nn.Module] = []
    with mock.patch.multiple(nn, **layers):
        made = given.pop("constructor", None) or getattr(nn, given.pop("module_name"))

        def constructor(*args: Any) -> nn.Module:
            built.append(made(*args))
            return built[-1]

        NewModuleTest(**given, constructor=constructor)(_Case())
    return type(built[0])


#: Name -> the arguments with which PyTorch tests autocast on the CPU.
AUTOCAST = {
    name: args for name, args, *_ in AutocastCPUTestLists(torch.device("cpu")).torch_16 if "transpose" in name
}


def autocast(name: str, dtype: torch.dtype) -> None:
    """Under autocast: the answer on tensors cast before, which is the float64 answer rounded.

    PyTorch's own answer in half precision has errors of 0.5 where the CPU sums in float16.
    """
    call, theirs, args = OURS[int(name[-2])], getattr(torch, name), AUTOCAST[name]
    with torch.autocast("cpu", dtype=dtype):
        made, dtypes = call(*args), {theirs(*args).dtype}
    halves = [t.to(dtype) for t in args]
    assert {made.dtype} == dtypes == {dtype}
    assert torch.equal(made, call(*halves))
    exact = theirs(*(t.double() for t in halves))
    torch.testing.assert_close(made.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-4)
