"""PyTorch's own inputs for these operators and layers, and checks in the manner of its own tests.

The installed PyTorch carries the inputs (torch.testing._internal), but not the tests themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

__all__ = ["DOUBLE", "Check", "Unusable", "near", "register"]

DOUBLE = ("float64", "complex128")


class Unusable(Exception):
    """PyTorch fails at its own sample."""


class Check(NamedTuple):
    """One of PyTorch's tests, as it is done here."""

    dtypes: tuple[str, ...]  #: that it is done for, of those that PyTorch lists; () for all of them
    run: Callable[..., None]  #: raises if ours is wrong
    gradients: bool  #: whether the samples want gradients


def register(
    checks: dict[str, Check], theirs: str, dtypes: tuple[str, ...] = (), gradients: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Note a check under the name of PyTorch's test."""

    def noted(run: Callable[..., None]) -> Callable[..., None]:
        checks[theirs] = Check(dtypes, run, gradients)
        return run

    return noted


_BOUNDS = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 2e-5, torch.complex64: 2e-5}


def near(made: Any, expected: Any) -> None:
    """Alike to the last few bits of the dtype, with that dtype; whole numbers exactly."""
    left, right = tree_leaves(made), tree_leaves(expected)
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        bound = _BOUNDS.get(b.dtype, 1e-10) if b.is_floating_point() or b.is_complex() else 0
        assert_close(a, b, rtol=bound, atol=bound * max(1.0, float(b.detach().abs().max())))
