"""The formulas: cycles of a core from counted work. Their numbers are in `records`."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from tconv import _core
from tconv.planning.records import Record
from tconv.planning.tuning_file import record_of

__all__ = [
    "BYTES",
    "MIN_TASKS",
    "MOST_PARTIAL",
    "MOST_WORKSPACE",
    "Machine",
    "machine",
    "split",
]

#: Bytes of a number as it is computed, for the dtypes that have fast kernels.
BYTES = {"f32": 4, "f64": 8, "f16": 4, "bf16": 4}

#: Bytes of workspace per thread.
MOST_WORKSPACE = 8 << 20

#: Bytes of partial gradients in addition to the gradient itself, of all threads together.
MOST_PARTIAL = 16 << 20

_LINE = 64  #: bytes of a cache line

#: A run is split into at least so many tasks, if each is still large enough, so that threads of uneven speed
#: finish together. A plan does not depend on the number of threads.
MIN_TASKS = 12


class Machine(NamedTuple):
    """The register file of one instruction set for one dtype, and the costs of work there."""

    isa: str
    lanes: int
    rows: tuple[int, ...]  #: largest number of rows of a tile with 1, 2, ... vectors
    dots: tuple[tuple[int, int], ...]  #: rows and columns of tiles of dot products
    matrices: tuple[tuple[int, int], ...]  #: (height, width) of tiles in matrix registers, if it has any
    record: Record
    width: int  #: bytes of a vector

    def tile_cycles(self, rows: int, vectors: int, far: float = 0.0) -> float:
        """Cycles of one step of a register tile; `far`: the share of vectors in the second-level cache."""
        ports = self.record.ports
        loads = (rows + (1 + ports.split * self.width / _LINE) * vectors) / ports.load
        near = max(rows * vectors / ports.multiply, loads, ports.latency)
        return near + far * max(0.0, self._line_cycles(vectors) - near) if far else near

    def _line_cycles(self, vectors: int) -> float:
        return (1 + vectors * self.width / _LINE) * self.record.ports.line

    def near_steps(self, vectors: int) -> int:
        """Steps whose vectors stay in the first-level cache from one tap to the next."""
        return int(self.record.caches.first // (_LINE + vectors * self.width))

    def waits(self, rows: int, vectors: int) -> bool:
        """Whether the second-level cache limits a tile whose vectors are there."""
        return rows * vectors / self.record.ports.multiply < self._line_cycles(vectors)

    def tiles_cycles(
        self, rows: int, most_rows: int, columns: int, most_vectors: int, far: float = 0.0
    ) -> float:
        """Cycles of one step over `rows` x `columns` vectors, the last tiles smaller."""
        total = 0.0
        for r, r_count in ((most_rows, rows // most_rows), (rows % most_rows, 1)):
            for v, v_count in ((most_vectors, columns // most_vectors), (columns % most_vectors, 1)):
                if r and v:
                    total += self.tile_cycles(r, v, far) * r_count * v_count
        return total

    def stream_cycles(self, packed: float, passes: float) -> float:
        """Cycles to read `packed` bytes of weights `passes` times, from the caches or from memory."""
        stream, caches = self.record.stream, self.record.caches
        rate = stream.near if packed <= caches.near else stream.middle if packed <= caches.far else stream.far
        return packed * passes * rate

    def matrix_cycles(self, height: int, width: int, parts: int) -> float:
        """Cycles of one block of 32 channels in a tile of matrix registers.

        Three parts make six products, two make four, one makes one.
        """
        matrix = self.record.matrix
        products = (1, 4, 6)[parts - 1] * matrix.product * height * width * matrix.fed
        return products + matrix.column * width + matrix.block

    def uneven(self, cycles: float, tasks: int) -> float:
        """The factor by which few tasks lengthen a run, on as many threads as it is worth."""
        least = self.record.tasks
        return 1.0 + min(least.uneven / tasks, max(0.0, cycles / least.worth - 1.0))

    def wanted(self, cycles: float) -> int:
        """The number of tasks that a run of `cycles` is worth."""
        return min(MIN_TASKS, int(cycles / self.record.tasks.worth))


@cache
def machine(isa: str, dtype: str) -> Machine:
    """What the kernels of `isa` offer for `dtype`."""
    of = _core.instruction_sets()[isa]
    facts = of["f64" if dtype == "f64" else "f32"]
    most: dict[int, int] = {}
    for rows, vectors in facts["tiles"]:
        most[vectors] = max(rows, most.get(vectors, 0))
    rows = tuple(most[v] for v in sorted(most))
    width = of["f32"]["lanes"] * BYTES["f32"]
    return Machine(isa, facts["lanes"], rows, facts["dots"], facts["matrices"], record_of(isa), width)


def split(extent: int, most: int) -> int:
    """The size of even pieces of `extent`, none larger than `most`.

    >>> split(17, 16)
    9
    """
    pieces = -(-extent // max(1, most))
    return -(-extent // max(1, pieces))
