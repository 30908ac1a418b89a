"""PyTorch's own samples pass through PyTorch's own kinds of test."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("expecttest", reason="torch.testing imports it; install tconv[dev]")

from pytorch_own_ops import CHECKS, OPS, ours, samples

# PyTorch warns of its own use of torch.jit when forward-mode differentiation is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

RUNS = [
    (name, op, dtype)
    for name, check in CHECKS.items()
    for op in OPS
    for dtype in check.dtypes
    or sorted(str(d).removeprefix("torch.") for d in OPS[op].supported_dtypes("cpu"))
]


@pytest.mark.parametrize(("name", "op", "dtype"), RUNS)
def test_operators(name: str, op: str, dtype: str) -> None:
    check, info, kind = CHECKS[name], OPS[op], getattr(torch, dtype)
    given = samples(info, kind, check.gradients and (kind.is_floating_point or kind.is_complex))
    assert len(given) >= 10
    for sample in given:
        check.run(info, ours(info), sample)
