"""PyTorch's own samples pass through PyTorch's own kinds of test.

Not run: TestCommon.test_errors and test_out (PyTorch lists no error inputs, and neither function has `out=`);
TestJit and TestNNCOpInfo (PyTorch skips its own operators there, or expects failures); TestInductorOpInfo (it
compiles C++ for each sample, and test_compile.py compiles a net); what needs an accelerator.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch

pytest.importorskip("expecttest", reason="torch.testing imports it; install tconv[dev]")

from tests.torch.pytorch_own import Check, Unusable, modules, older, ops
from tests.torch.pytorch_own.transforms import CHECKS

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported, and of what
# it does with complex numbers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning"),
    pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning"),
]


#: How many of its samples PyTorch's own reference refuses; its OpInfo expects this failure of PyTorch's too.
UNUSABLE = {
    ("TestCommon.test_numpy_ref", "conv_transpose2d"): 2,
    ("TestCommon.test_numpy_ref", "conv_transpose3d"): 2,
}


def runs(checks: dict[str, Check], subjects: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(test, operator or layer, dtype) of all that is run: the dtypes that both PyTorch and the test name."""
    found = []
    for (name, check), (subject, info) in product(checks.items(), subjects.items()):
        listed = {str(dtype).removeprefix("torch.") for dtype in info.supported_dtypes("cpu")}
        found += [(name, subject, dtype) for dtype in sorted(listed & set(check.dtypes or listed))]
    return found


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Thousands of tiny calls: on a busy machine threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "op", "dtype"), runs(CHECKS, ops.OPS))
def test_operators(name: str, op: str, dtype: str) -> None:
    check, info = CHECKS[name], ops.OPS[op]
    given = ops.samples(info, getattr(torch, dtype), check.gradients)
    assert len(given) >= 10
    unusable = 0
    for sample in given:
        try:
            check.run(info, ops.ours(info), sample)
        except Unusable:
            unusable += 1
    assert unusable == UNUSABLE.get((name, op), 0)


@pytest.mark.parametrize(("name", "module", "dtype"), runs(modules.CHECKS, modules.MODULES))
def test_layers(name: str, module: str, dtype: str) -> None:
    info, kind = modules.MODULES[module], getattr(torch, dtype)
    for training in (True, False):
        given = modules.inputs(info, kind, training)
        assert len(given) == 2
        for each in given:
            modules.CHECKS[name].run(info, modules.ours(info), each, kind)


@pytest.mark.parametrize("name", older.TESTS)
def test_older_layers(name: str) -> None:
    assert older.run(name).__module__ == "tconv.torch.modules"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", older.AUTOCAST)
def test_autocast(name: str, dtype: str) -> None:
    older.autocast(name, getattr(torch, dtype))


def test_what_differs_is_what_pytorch_says() -> None:
    """In PyTorch's own tables, which expect a failure at the memory formats of its 3-D layer too."""
    expected = {
        op: unittest.expectedFailure
        in info.get_decorators("TestCommon", "test_numpy_ref", "cpu", torch.float64, {})
        for op, info in ops.OPS.items()
    }
    assert expected == {op: ("TestCommon.test_numpy_ref", op) in UNUSABLE for op in ops.OPS}
    for info in ops.OPS.values():
        assert info.error_inputs_func is None
        assert not info.supports_out
    cube = modules.MODULES["ConvTranspose3d"]
    assert unittest.expectedFailure in cube.get_decorators(
        "TestModule", "test_memory_format", "cpu", torch.float32, {}
    )
