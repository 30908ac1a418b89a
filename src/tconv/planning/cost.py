"""Counted work and what a core does with it. The constants were measured; only their ratios matter."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from tconv import _core

__all__ = [
    "BYTES",
    "FAR",
    "FED",
    "FED_BY_WEIGHTS",
    "L2_SUMS",
    "LINE",
    "MIN_TASKS",
    "MOST_PARTIAL",
    "MOST_WORKSPACE",
    "PANELS",
    "ROW",
    "TASK_CYCLES",
    "THREAD_CYCLES",
    "Machine",
    "machine",
    "matrix_cycles",
    "split",
    "stream_cycles",
    "tile_cycles",
    "uneven",
]

#: By how much a tile of vectors is slower than its instructions: operands come from the second-level cache.
FED = 1.33

#: ... and where its vectors are weights, which are read once, and not a panel's.
FED_BY_WEIGHTS = 1.46

#: Cycles to begin a row of the target, and a line of the source.
ROW, LINE = 24.0, 40.0

#: Bytes of a number as it is computed, of the dtypes that have fast kernels.
BYTES = {"f32": 4, "f64": 8, "f16": 4, "bf16": 4}

#: Bytes of a panel of input that are tried: in half of a second-level cache of 1 MiB, all of it, or of 2 MiB.
PANELS = (384 << 10, 768 << 10, 1536 << 10)

#: Bytes of sums that stay in the second-level cache beside a panel.
L2_SUMS = 384 << 10

#: Bytes of packed weights that come from beyond the caches at every call.
FAR = 16 << 20

#: Bytes of workspace of a thread.
MOST_WORKSPACE = 8 << 20

#: Bytes of partial gradients beside the gradient itself, of all threads together.
MOST_PARTIAL = 16 << 20

#: A run is cut in at least so many tasks where each is then still worth TASK_CYCLES, so that threads of
#: uneven speed finish together. The number of threads is not looked at: a plan is the same for any.
MIN_TASKS = 12
TASK_CYCLES = 40_000.0

#: Work below this is not worth waking one more thread.
THREAD_CYCLES = 12_000.0


def stream_cycles(packed: float, passes: int) -> float:
    """Cycles to read packed weights of so many bytes `passes` times from where they lie."""
    return packed * passes * (0.02 if packed <= 1 << 20 else 0.1 if packed <= FAR else 0.15)


class Machine(NamedTuple):
    """The register file of one instruction set for one dtype."""

    isa: str
    lanes: int
    rows: tuple[int, ...]  #: most rows of a tile with 1, 2, ... vectors
    dots: tuple[tuple[int, int], ...]  #: rows and columns of tiles of dot products
    matrices: tuple[tuple[int, int], ...]  #: (height, width) of tiles in matrix registers, if it has any


@cache
def machine(isa: str, dtype: str) -> Machine:
    """What the kernels of `isa` offer for `dtype`."""
    facts = _core.instruction_sets()[isa]["f64" if dtype == "f64" else "f32"]
    most: dict[int, int] = {}
    for rows, vectors in facts["tiles"]:
        most[vectors] = max(rows, most.get(vectors, 0))
    rows = tuple(most[v] for v in sorted(most))
    return Machine(isa, facts["lanes"], rows, facts["dots"], facts["matrices"])


def tile_cycles(rows: int, vectors: int) -> float:
    """Cycles of one step of a register tile: two FMA ports, two load ports, four cycles of latency.

    Half of the vector loads cross a cache line and count twice.
    """
    return max(rows * vectors / 2, (rows + 1.5 * vectors) / 2, 4.0)


def uneven(cycles: float, tasks: int) -> float:
    """By what factor few tasks make a run longer, on as many threads as it is worth."""
    return 1.0 + min(0.4 / tasks, max(0.0, cycles / TASK_CYCLES - 1.0))


def matrix_cycles(height: int, width: int, parts: int) -> float:
    """Cycles of one block of 32 channels in a tile of matrix registers.

    Three parts make six products, two make four, one makes one.
    """
    return (1, 4, 6)[parts - 1] * 16.0 * height * width * 1.3 + 37.0 * width + 48.0


def split(extent: int, most: int) -> int:
    """The size of even pieces of `extent`, none larger than `most`.

    >>> split(17, 16)
    9
    """
    pieces = -(-extent // max(1, most))
    return -(-extent // max(1, pieces))
