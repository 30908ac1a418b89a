"""The maps under vmap: shared weights extend the batch, separate weights add groups.

A tensor may have a mapped axis (None: it has none); in the output this axis is the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

__all__ = ["Batched", "batched_layer", "into_groups"]

#: The output, and the position of its mapped axis.
Batched = tuple[Tensor, int]


def _leading(tensor: Tensor, axis: int | None, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape) if axis is None else tensor.movedim(axis, 0)


def into_groups(tensor: Tensor, axis: int | None, count: int) -> Tensor:
    """(n, count * c, ...) from (n, c, ...)."""
    return _leading(tensor, axis, count).transpose(0, 1).flatten(1, 2)


def batched_layer(
    call: Callable[..., Tensor],
    info: Any,
    axes: Any,
    source: Tensor,
    weight: Tensor,
    before: Any,
    groups: int,
    after: Any,
) -> Tensor:
    """A map from a source with a weight: call(source, weight, *before, groups, *after)."""
    count = info.batch_size
    if axes[1] is None:
        every = _leading(source, axes[0], count)
        result = call(every.flatten(0, 1), weight, *before, groups, *after)
        return result.reshape(*every.shape[:2], *result.shape[1:])
    wide = into_groups(source, axes[0], count), _leading(weight, axes[1], count).flatten(0, 1)
    result = call(*wide, *before, groups * count, *after)
    return result.reshape(result.shape[0], count, result.shape[1] // count, *result.shape[2:]).movedim(1, 0)
