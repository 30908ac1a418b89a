"""
Loops that obey a plan. Nothing here decides or checks: see tconv.planning and tconv.ops.
"""

from collections.abc import Sequence
import enum
from typing import Any

import numpy
import numpy.typing


class Packed:
    """Weights in the order in which a plan reads them."""

    @property
    def nbytes(self) -> int: ...

class DType(enum.Enum):
    """Types of numbers."""

    f32 = 0

    f64 = 1

    f16 = 2

    bf16 = 3

    c64 = 4

    c128 = 5

    i8 = 6

    i16 = 7

    i32 = 8

    i64 = 9

    u8 = 10

    u16 = 11

    u32 = 12

    u64 = 13

class Map(enum.Enum):
    """The three maps on one Geometry."""

    conv_transpose = 0

    conv = 1

    weight_gradient = 2

class ArrayLayout(enum.Enum):
    """
    The order of axes of source and target; of x and y for the weight gradient.
    """

    channels_first = 0

    channels_last = 1

class Activation(enum.Enum):
    """What follows the layer."""

    none = 0

    relu = 1

    leaky_relu = 2

    clamp = 3

    tanh = 4

    sigmoid = 5

    gelu = 6

    gelu_tanh = 7

    silu = 8

    elu = 9

    prelu = 10

    hardswish = 11

    softplus = 12

    mish = 13

class Scale(enum.Enum):
    """What sums are multiplied by; no kernel has one yet."""

    none = 0

    per_tensor = 1

    per_channel = 2

class Rounding(enum.Enum):
    """How a sum becomes a number of the target; no kernel clips yet."""

    nearest_even = 0

    saturating = 1

class PhasesLanes(enum.Enum):
    """What the lanes of a tile of `phases` are."""

    positions = 0

    stacked = 1

    channels = 2

    by_phase = 3

class Col2imLanes(enum.Enum):
    """What the lanes of a tile of `col2im` are."""

    positions = 0

    taps = 1

class GradientLanes(enum.Enum):
    """What the lanes of a tile of a weight gradient are."""

    x_channels = 0

    y_channels = 1

    y_phases = 2

    kernel = 3

class Problem:
    """
    A Geometry as the kernels see it: three axes (z, y, x), channels of one group.
    """

    def __init__(self, *, batch: int, groups: int, in_channels: int, out_channels: int, input: tuple[int, int, int], output: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int], dilation: tuple[int, int, int], lo: tuple[int, int, int]) -> None: ...

    @property
    def batch(self) -> int:
        """Items."""

    @property
    def groups(self) -> int:
        """Groups of channels."""

    @property
    def in_channels(self) -> int:
        """Channels of the input, of one group."""

    @property
    def out_channels(self) -> int:
        """Channels of the output, of one group."""

    @property
    def input(self) -> tuple[int, int, int]:
        """Size of the input."""

    @property
    def output(self) -> tuple[int, int, int]:
        """Size of the output."""

    @property
    def kernel(self) -> tuple[int, int, int]:
        """Size of the kernel."""

    @property
    def stride(self) -> tuple[int, int, int]:
        """Strides."""

    @property
    def dilation(self) -> tuple[int, int, int]:
        """Dilations."""

    @property
    def lo(self) -> tuple[int, int, int]:
        """Padding before the first output cell; negative extends the output."""

    def replace(self, **changes: Any) -> Problem:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class Operands:
    """Types of numbers; the source of a weight gradient is x, its weight y."""

    def __init__(self, *, source: DType, weight: DType, sums: DType, target: DType) -> None: ...

    @property
    def source(self) -> DType:
        """Of the array that the map reads."""

    @property
    def weight(self) -> DType:
        """Of the weights."""

    @property
    def sums(self) -> DType:
        """In which products are added."""

    @property
    def target(self) -> DType:
        """Of the array that the map writes."""

    def replace(self, **changes: Any) -> Operands:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class Epilogue:
    """
    What happens to a sum on its way to the target: scale, bias, activation, rounding.
    """

    def __init__(self, *, scale: Scale, bias: DType, activation: Activation, numbers: Sequence[float], rounding: Rounding) -> None: ...

    @property
    def scale(self) -> Scale:
        """What sums are multiplied by."""

    @property
    def bias(self) -> DType:
        """Type of the bias, where a run is given one."""

    @property
    def activation(self) -> Activation:
        """What follows."""

    @property
    def numbers(self) -> list[float]:
        """Of the activation: slopes, bounds."""

    @property
    def rounding(self) -> Rounding:
        """How a sum becomes a number of the target."""

    def replace(self, **changes: Any) -> Epilogue:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class PhasesPlan:
    """conv_transpose and conv as an implicit matrix product per phase."""

    def __init__(self, *, lanes: PhasesLanes, rows: int, vectors: int, parts: int, im2col: bool, box: tuple[int, int, int, int], channels: int, columns: int, groups: int, pack_by_task: bool, steps: int, prefetch: int) -> None: ...

    @property
    def lanes(self) -> PhasesLanes:
        """What the lanes of a tile are."""

    @property
    def rows(self) -> int:
        """Rows of a tile."""

    @property
    def vectors(self) -> int:
        """Vectors, or matrix registers, of a row of a tile."""

    @property
    def parts(self) -> int:
        """
        Of a number in matrix registers, 1 to 3; 0: the tile is made of vectors.
        """

    @property
    def im2col(self) -> bool:
        """Whether the panel repeats its input for every distance of a tap."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """
        Cells (batch, z, y, x) of the target's lattice that a task packs and computes.
        """

    @property
    def channels(self) -> int:
        """Of the target in one group, of a task; 0 for by_phase."""

    @property
    def columns(self) -> int:
        """Phases times channels of a task, for by_phase; else 0."""

    @property
    def groups(self) -> int:
        """That share a panel and are stored together."""

    @property
    def pack_by_task(self) -> bool:
        """Whether tasks pack the weights that they multiply with."""

    @property
    def steps(self) -> int:
        """Source channels whose taps are summed before the next ones'."""

    @property
    def prefetch(self) -> int:
        """Bytes by which packed weights are prefetched; 0: they are near."""

    def replace(self, **changes: Any) -> PhasesPlan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class WinogradPlan:
    """conv_transpose where phases have one or two taps, by F(3, 2)."""

    def __init__(self, *, rows: int, vectors: int, tiles: tuple[int, int, int], channels: int) -> None: ...

    @property
    def rows(self) -> int:
        """Rows of a tile of registers."""

    @property
    def vectors(self) -> int:
        """Vectors of a row."""

    @property
    def tiles(self) -> tuple[int, int, int]:
        """Tiles of outputs (batch, y, x) that a task transforms and computes."""

    @property
    def channels(self) -> int:
        """Of the target in one group, of a task."""

    def replace(self, **changes: Any) -> WinogradPlan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class Col2imPlan:
    """
    conv_transpose as a matrix product whose sums are added at their places.
    """

    def __init__(self, *, lanes: Col2imLanes, rows: int, vectors: int, box: tuple[int, int, int, int], channels: int, positions: int, depth: int, staged: bool, prefetch: int) -> None: ...

    @property
    def lanes(self) -> Col2imLanes:
        """What the lanes of a tile are."""

    @property
    def rows(self) -> int:
        """Rows of a tile."""

    @property
    def vectors(self) -> int:
        """Vectors of a row of a tile."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """
        Batch items, rows of the source (z, y) and cells of the target along x, of a task.
        """

    @property
    def channels(self) -> int:
        """Of the target in one group, of a task."""

    @property
    def positions(self) -> int:
        """Of the source, that are multiplied at a time."""

    @property
    def depth(self) -> int:
        """Source channels that are multiplied at a time."""

    @property
    def staged(self) -> bool:
        """Whether they are copied first."""

    @property
    def prefetch(self) -> int:
        """Bytes by which packed weights are prefetched; 0: they are near."""

    def replace(self, **changes: Any) -> Col2imPlan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class DotsPlan:
    """conv and the weight gradient as dot products."""

    def __init__(self, *, rows: int, columns: int, box: tuple[int, int, int, int], x_channels: int, y_channels: int, gathered: bool) -> None: ...

    @property
    def rows(self) -> int:
        """Rows of a tile of dot products."""

    @property
    def columns(self) -> int:
        """Columns of a tile of dot products."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Cells (batch, z, y, x) of x that a task reads or writes."""

    @property
    def x_channels(self) -> int:
        """Channels of x of a task; 0: all."""

    @property
    def y_channels(self) -> int:
        """Channels of y of a task; 0: all."""

    @property
    def gathered(self) -> bool:
        """
        Whether y is copied for each position of x, in the order of the weights.
        """

    def replace(self, **changes: Any) -> DotsPlan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class GradientPlan:
    """The weight gradient as matrix products over positions."""

    def __init__(self, *, lanes: GradientLanes, rows: int, vectors: int, parts: int, box: tuple[int, int, int, int], x_channels: int, y_channels: int, stretches: int) -> None: ...

    @property
    def lanes(self) -> GradientLanes:
        """What the lanes of a tile are."""

    @property
    def rows(self) -> int:
        """Rows of a tile."""

    @property
    def vectors(self) -> int:
        """Vectors, or matrix registers, of a row of a tile."""

    @property
    def parts(self) -> int:
        """
        Of a number in matrix registers, 1 to 3; 0: the tile is made of vectors.
        """

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Cells (batch, z, y, x) of x that are packed at a time."""

    @property
    def x_channels(self) -> int:
        """Channels of x of a task; 0: all."""

    @property
    def y_channels(self) -> int:
        """Channels of y of a task; 0: all."""

    @property
    def stretches(self) -> int:
        """Pieces of kernels' rows of a task, for lanes over the kernel; else 0."""

    def replace(self, **changes: Any) -> GradientPlan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

class Plan:
    """
    What all algorithms share, and the part of one; None: plain loops over the definition.
    """

    def __init__(self, *, problem: Problem, map: Map, layout: ArrayLayout, operands: Operands, epilogue: Epilogue, isa: str, segments: int, most_threads: int, part: PhasesPlan | WinogradPlan | Col2imPlan | DotsPlan | GradientPlan | None) -> None: ...

    @property
    def problem(self) -> Problem:
        """What is asked."""

    @property
    def map(self) -> Map:
        """Which map."""

    @property
    def layout(self) -> ArrayLayout:
        """The order of the arrays' axes."""

    @property
    def operands(self) -> Operands:
        """Types of numbers."""

    @property
    def epilogue(self) -> Epilogue:
        """What happens to sums."""

    @property
    def isa(self) -> str:
        """Which build of the kernels."""

    @property
    def segments(self) -> int:
        """In how many sums, added in order, the reduction is cut."""

    @property
    def most_threads(self) -> int:
        """More would cost more to wake than they save."""

    @property
    def part(self) -> None | PhasesPlan | WinogradPlan | Col2imPlan | DotsPlan | GradientPlan:
        """How it is done."""

    def replace(self, **changes: Any) -> Plan:
        """A copy with other values in the fields named."""

    def __repr__(self) -> str: ...

PLAN_BYTES: int = 408

def plan_address(plan: Plan) -> int:
    """
    Where a plan is in memory, for another library of this build to copy it.
    """

class Runner:
    """A plan made ready to run."""

    def __init__(self, plan: Plan) -> None: ...

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

def cpu_name() -> tuple[bytes, int, int, bytes]:
    """Vendor, family, model and name of an x86 CPU; of others empty."""

def get_num_threads() -> int:
    """Threads that a run uses."""

def set_team(parallel: int, most: int) -> None:
    """
    Runs on a framework's OpenMP team: addresses of GOMP_parallel and omp_get_max_threads; 0, 0 ends it.
    """

def set_num_threads(count: int) -> None:
    """Sets the threads that a run uses."""
