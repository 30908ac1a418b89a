"""What TorchInductor, the usual backend of torch.compile, does with the operators: it calls them."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["call_as_it_is"]


def call_as_it_is(operator: Any) -> None:
    """Have Inductor call an operator that has a decomposition, which is there for exporters alone.

    For an operator that it does not know, Inductor asks whether there is a decomposition, and if the
    environment names a CI, it fails where there is one. So the operator is made known. Inductor takes seconds
    to import: it is told only where it is loaded, by the operator's fake kernel, which runs before.
    """
    lowering = sys.modules.get("torch._inductor.lowering")
    if lowering is not None and operator not in getattr(lowering, "lowerings", (operator,)):
        # As it treats other operators of ours: strides stay those that the fake kernel has seen.
        lowering.make_fallback(operator, lowering.constrain_to_fake_tensors, warn=False)
