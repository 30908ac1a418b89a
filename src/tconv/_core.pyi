"""
Loops that obey a plan. Nothing here decides or checks: see tconv.planning and tconv.ops.
"""

from collections.abc import Sequence
from typing import Any

import numpy
import numpy.typing


class Packed:
    """Weights in the order in which a plan reads them."""

    @property
    def nbytes(self) -> int: ...

class Runner:
    """A plan made ready to run."""

    @property
    def kernel(self) -> str:
        """Name of the kernel."""

    @property
    def workspace_bytes(self) -> int:
        """Scratch memory of each thread."""

    @property
    def shared_bytes(self) -> int:
        """Scratch memory of all threads together."""

    @property
    def packed_bytes(self) -> int:
        """Size of the packed weights; 0 if they are read as they are."""

    def pack(self, weight: object) -> Packed:
        """Packs a weight array once, for many runs."""

    def run(self, source: object, weight: object, bias: object | None, target: object) -> None:
        """
        Runs the map. Each argument is an address or a contiguous buffer; weight may be Packed.
        """

def make_runner(*, map: int, dtype: int, algorithm: int, isa: str, batch: int, groups: int, in_channels: int, out_channels: int, input: Sequence[int], output: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], lo: Sequence[int], rows: int, vectors: int, lanes: int, parts: int, im2col: bool, box: Sequence[int], chunk: int, last: bool, segments: int, most_threads: int, activation: int, slope: float, clamp_lo: float, clamp_hi: float) -> Runner:
    """Freezes a plan; the fields are those of plan.hpp."""

def empty(nbytes: int) -> numpy.typing.NDArray[numpy.uint8]:
    """An uninitialised array of bytes from the cache of blocks."""

def bfloat16_bits(array: Any) -> numpy.typing.NDArray[numpy.uint16]:
    """The bits of a contiguous bfloat16 array that speaks DLPack."""

def as_bfloat16(bits: numpy.typing.NDArray[numpy.uint16]) -> Any:
    """The same memory as an array of bfloat16 that speaks DLPack."""

def empty_cache() -> None:
    """Gives all kept blocks of memory back to the system."""

def cached_bytes() -> int:
    """Bytes kept for the next call."""

def instruction_sets() -> dict[str, dict[str, Any]]:
    """What this CPU runs, best first."""

def get_num_threads() -> int:
    """Threads that a run uses."""

def set_team(parallel: int, most: int) -> None:
    """
    Runs on a framework's OpenMP team: addresses of GOMP_parallel and omp_get_max_threads; 0, 0 ends it.
    """

def set_num_threads(count: int) -> None:
    """Sets the threads that a run uses."""
