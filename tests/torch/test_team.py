"""The engine on PyTorch's own threads: the same answers, and a fork that does not hang."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tconv.torch import conv_transpose2d, team  # noqa: E402
from tests.helpers import PATIENCE  # noqa: E402

LAYER: dict[str, Any] = {"stride": 2, "padding": 1}


@pytest.fixture(autouse=True)
def _joined(two_threads: None) -> Iterator[None]:
    """Several threads; and the engine joined again."""
    yield
    team.join()


def tensors() -> tuple[Any, Any]:
    made = torch.Generator().manual_seed(3)
    return torch.randn(2, 24, 30, 31, generator=made), torch.randn(24, 20, 4, 4, generator=made)


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's runtime is looked up in /proc")
def test_pytorch_s_team_is_found() -> None:
    assert team.join()


def test_same_bits_on_the_team_and_on_the_pool() -> None:
    x, weight = tensors()
    team.join()
    ours = conv_transpose2d(x, weight, **LAYER)
    team.leave()
    assert torch.equal(conv_transpose2d(x, weight, **LAYER), ours)
    before = torch.get_num_threads()
    try:
        team.join()
        torch.set_num_threads(1)
        assert torch.equal(conv_transpose2d(x, weight, **LAYER), ours)
    finally:
        torch.set_num_threads(before)
    expected = torch.nn.functional.conv_transpose2d(x, weight, **LAYER)
    torch.testing.assert_close(ours, expected)


def _child(x: Any, weight: Any, expected: bytes, queue: Any) -> None:
    # PyTorch's own parallel operators hang in a forked child, so the bytes are compared without them.
    queue.put(conv_transpose2d(x, weight, **LAYER).numpy().tobytes() == expected)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # by JAX, if it is loaded
def test_a_forked_child_works_on_a_pool_of_its_own() -> None:
    team.join()
    x, weight = tensors()
    expected = conv_transpose2d(x, weight, **LAYER).numpy().tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(x, weight, expected, queue))
    child.start()
    child.join(PATIENCE)
    child.kill()
    assert child.exitcode == 0
    assert queue.get() is True
