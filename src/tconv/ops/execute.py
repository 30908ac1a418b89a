"""The steps that every call has in common: check, allocate, run, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tconv import _core
from tconv.errors import TconvError, unknown
from tconv.geometry.normalize import shown
from tconv.ops.arrays import Array, Operand, allocate, operand, returned
from tconv.ops.call_cache import PlannedCall
from tconv.planning import LAYOUTS, Plan

__all__ = [
    "Ready",
    "bias_operand",
    "check_layout",
    "execute",
    "run_map",
    "same_dtype",
    "set_num_threads",
]


class Ready(NamedTuple):
    """Everything that a run needs except its source and target; `weight` is an array or packed."""

    job: PlannedCall
    weight: Any
    bias: Array | None


def check_layout(layout: Any) -> None:
    """Refuse an unknown layout."""
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise unknown("layout=", layout, LAYOUTS)


def same_dtype(first: str, a: Operand, second: str, b: Operand) -> None:
    """Refuse two dtypes in one call."""
    if a.code != b.code:
        raise TconvError(f"{first} is {a.code} and {second} is {b.code}; one dtype for both would fit")


def bias_operand(bias: Any, channels: int, like: Operand) -> Array | None:
    """`bias` as an array of one number per output channel."""
    if bias is None:
        return None
    read = operand("bias", bias)
    same_dtype("input", like, "bias", read)
    if read.array.shape != (channels,):
        raise TconvError(
            f"bias has shape {read.array.shape}; ({channels},), one number per output channel, would fit"
        )
    return read.array


def execute(chosen: Plan, source: Any, weight: Any, bias: Any, target: Any) -> None:
    """Run a plan on contiguous arrays or addresses."""
    try:
        chosen.runner.run(source, weight, bias, target)
    except MemoryError:
        raise TconvError(
            f"{chosen.geometry}: not enough memory: {chosen.runner.packed_bytes:,} bytes of packed weights "
            f"and {chosen.runner.workspace_bytes:,} bytes of workspace per thread"
        ) from None


def run_map(given: Any, x: Operand, prepared: Callable[[tuple[int, ...]], Ready], out: Any) -> Any:
    """Run a map on `x`, which the caller gave as `given`; the output has the caller's array type."""
    job, weight, bias = prepared(x.array.shape)
    if out is not None:
        weights = weight if isinstance(weight, np.ndarray) else None
        _check_out(out, job.shape, x, (x.array, weights, bias))
    in_place = out is not None and out.flags.c_contiguous
    dtype = x.array.dtype
    target = out.view(dtype) if in_place else allocate(job.plan.geometry, job.shape, dtype)
    if target.size:
        execute(job.plan, x.array, weight, bias, target)
    if in_place:
        return out
    if out is not None:
        out.view(dtype)[...] = target
        return out
    return returned(target, x, given)


def _overlap(one: Array, other: Array) -> bool:
    try:
        return np.shares_memory(one, other, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:  # strides too tangled to tell
        return True


def _check_out(out: Any, shape: tuple[int, ...], x: Operand, inputs: tuple[Array | None, ...]) -> None:
    dtype = x.array.dtype if x.code != "bf16" else "bfloat16"
    if not isinstance(out, np.ndarray):
        raise TconvError(f"out is a {type(out).__name__}; a NumPy array would fit")
    if out.shape != shape or operand("out", out).code != x.code:
        raise TconvError(
            f"out has shape {out.shape} and dtype {out.dtype}; shape {shape} and dtype {dtype} would fit"
        )
    if not out.flags.writeable:
        raise TconvError("out is read-only; a writable array would fit")
    if any(array is not None and _overlap(out, array) for array in inputs):
        raise TconvError("out overlaps an input in memory; a separate array would fit")


def set_num_threads(count: int) -> None:
    """Use `count` threads for every run from now on; outputs do not depend on it.

    The default is OMP_NUM_THREADS, or else as many as the CPU affinity and the container's quota leave.

    Raises:
        TconvError: `count` is not an int from 1 to 1024.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024:
        raise TconvError(f"{shown(count)} threads; an int from 1 to 1024 would fit")
    _core.set_num_threads(count)
