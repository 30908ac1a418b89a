"""PyTorch's own samples pass through PyTorch's own kinds of test.

docs/reference/pytorch_own_tests.md lists them; `python -m tests.torch.test_pytorch_own` writes it anew.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator

import pytest
import torch

pytest.importorskip("expecttest", reason="torch.testing imports it; install tconv[dev]")

from tests.torch.pytorch_own import Unusable, modules, older, ops
from tests.torch.pytorch_own.page import PAGE, UNUSABLE, autocast_runs, layer_runs, operator_runs, page
from tests.torch.pytorch_own.transforms import CHECKS

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported, and of what
# it does with complex numbers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning"),
    pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Thousands of tiny calls: on a busy machine threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "op", "dtype"), operator_runs())
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


@pytest.mark.parametrize(("name", "module", "dtype"), layer_runs())
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


@pytest.mark.parametrize(("name", "dtype"), autocast_runs())
def test_autocast(name: str, dtype: str) -> None:
    older.autocast(name, getattr(torch, dtype))


def test_the_page_is_what_is_run() -> None:
    if torch.__version__.split("+")[0] not in PAGE.read_text(encoding="utf-8"):
        pytest.skip("the page was made with another version of PyTorch")
    assert PAGE.read_text(encoding="utf-8") == page()


def test_what_differs_is_what_pytorch_says() -> None:
    """The reasons that the page gives, in PyTorch's own tables."""
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
