"""Counted work and what a core does with it. The constants were measured; only their ratios matter."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from tconv import _core

__all__ = [
    "BYTES",
    "L2_SUMS",
    "MIN_TASKS",
    "PANELS",
    "TASK_CYCLES",
    "THREAD_CYCLES",
    "Machine",
    "machine",
    "split",
    "stream_cycles",
    "tile_cycles",
]

#: Bytes of a number as it is computed, of the dtypes that have fast kernels.
BYTES = {"f32": 4, "f64": 8, "f16": 4, "bf16": 4}

#: Bytes of a panel of input that are tried: in half of a second-level cache of 1 MiB, all of it, or of 2 MiB.
PANELS = (384 << 10, 768 << 10, 1536 << 10)

#: Bytes of sums that stay in the second-level cache beside a panel.
L2_SUMS = 384 << 10

#: A run is cut in at least so many tasks where each is then still worth TASK_CYCLES, so that threads of
#: uneven speed finish together. The number of threads is not looked at: a plan is the same for any.
MIN_TASKS = 12
TASK_CYCLES = 40_000.0

#: Work below this is not worth waking one more thread.
THREAD_CYCLES = 12_000.0


def stream_cycles(packed: float, passes: int) -> float:
    """Cycles to read packed weights of so many bytes `passes` times from where they lie."""
    return packed * passes * (0.02 if packed <= 1 << 20 else 0.1 if packed <= 16 << 20 else 0.15)


class Machine(NamedTuple):
    """The register file of one instruction set for one dtype."""

    isa: str
    lanes: int
    rows: tuple[int, ...]  #: most rows of a tile with 1, 2, ... vectors


@cache
def machine(isa: str, dtype: str) -> Machine:
    """What the kernels of `isa` offer for `dtype`."""
    facts = _core.instruction_sets()[isa]["f64" if dtype == "f64" else "f32"]
    most: dict[int, int] = {}
    for rows, vectors in facts["tiles"]:
        most[vectors] = max(rows, most.get(vectors, 0))
    return Machine(isa, facts["lanes"], tuple(most[v] for v in sorted(most)))


def tile_cycles(rows: int, vectors: int) -> float:
    """Cycles of one step of a register tile: two FMA ports, two load ports, four cycles of latency.

    Half of the vector loads cross a cache line and count twice.
    """
    return max(rows * vectors / 2, (rows + 1.5 * vectors) / 2, 4.0)


def split(extent: int, most: int) -> int:
    """The size of even pieces of `extent`, none larger than `most`.

    >>> split(17, 16)
    9
    """
    pieces = -(-extent // max(1, most))
    return -(-extent // max(1, pieces))
