"""The costs of work: the numbers of planning's formulas. Those of each kind of CPU are in `kinds`.

Cycles are those of one core; only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Caches", "Col2im", "Phases", "Ports", "Record", "Stream", "Tasks"]


@dataclass(frozen=True, slots=True)
class Caches:
    """Bytes."""

    #: Sizes of a panel of input that are tried: for half of a second-level cache of 1 MiB, all of it, 2 MiB.
    panels: tuple[int, int, int] = (384 << 10, 768 << 10, 1536 << 10)
    first: int = 48 << 10  #: of the first-level cache
    sums: int = 384 << 10  #: of sums that stay in the second-level cache together with a panel
    task_sums: int = 1 << 20  #: of sums of a weight gradient's task, in addition to its panels
    near: int = 1 << 20  #: of packed weights that stay near the core; more are prefetched
    far: int = 16 << 20  #: of packed weights, above which they are read from memory at every call
    ahead: int = 8 << 10  #: how far ahead weights are prefetched
    plane: int = 768 << 10  #: of y that stay in the second-level cache while x is read, in `dots`
    kernels: int = 6 << 10  #: of a row of weights that stays in the first-level cache, in `dots`
    matrix: int = 2 << 20  #: of workspace of a weight gradient in matrix registers


@dataclass(frozen=True, slots=True)
class Ports:
    """How many operations a core starts per cycle."""

    multiply: float = 2.0  #: fused multiply-adds of vectors
    load: float = 2.0  #: vectors or broadcasts loaded
    split: float = 1.0  #: further loads for a vector that crosses a cache line, as those of a whole line do
    line: float = 2.0  #: cycles to load a cache line from the second-level cache
    latency: float = 4.0  #: cycles from one multiply to the next on the same sums


@dataclass(frozen=True, slots=True)
class Stream:
    """Cycles per byte of packed weights, from the near cache, the far cache or memory."""

    near: float = 0.02
    middle: float = 0.1
    far: float = 0.15


@dataclass(frozen=True, slots=True)
class Tasks:
    """When to split work."""

    worth: float = 40_000.0  #: cycles from which a separate task is worth it
    thread: float = 12_000.0  #: cycles from which one more thread is worth waking
    uneven: float = 0.4  #: part of a task by which the last thread is late


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tiles of matrix registers."""

    product: float = 16.0  #: cycles of a product of two registers
    fed: float = 1.3  #: factor by which they are slower than that
    column: float = 37.0  #: cycles of each register across
    block: float = 48.0  #: cycles of each block of channels
    overlap: float = 0.4  #: share of the time to stream weights that products do not hide
    cut: float = 0.8  #: cycles to split a number into parts


@dataclass(frozen=True, slots=True)
class Phases:
    """`phases`: cycles, except for factors."""

    fed: float = 1.33  #: factor: operands of a tile are read from the second-level cache
    fed_by_weights: float = 1.46  #: ... and its vectors are weights, which are read once
    call: float = 12.0  #: to enter a tile
    again: float = 1.0  #: to load and store a vector of sums again, for taps that some phases lack
    check: float = 2.0  #: to look for NaN in a vector of sums
    row: float = 24.0  #: to begin a row of the target
    line: float = 40.0  #: to begin a line of the source
    pack: float = 0.7  #: to pack a number
    lone: float = 1.5  #: factor on packing: a single box is packed by several threads
    crowd: float = 1.4  #: of the middle panel: a larger one does not fit into the cache
    crowded: float = 0.25  #: additional factor where it does not
    crowded_matrix: float = 0.5  #: ... in matrix registers
    store: float = 0.75  #: to store a sum whose phases are interleaved by vectors
    store_long: float = 1.5  #: ... one by one, in long rows
    store_short: float = 3.0  #: ... in short rows
    store_run: float = 0.6  #: ... of a row whose phases are adjacent
    store_run_begin: float = 1.5  #: to begin such a run
    turn: float = 0.5  #: to transpose a sum, channels last
    read_last: float = 4.0  #: to read a run of channels
    write_last: float = 8.0  #: to write one
    lay: float = 0.15  #: to store a sum in its order
    lay_begin: float = 6.0  #: to begin a run of them
    run: int = 32  #: numbers of a run that is worth reading or writing separately


@dataclass(frozen=True, slots=True)
class Winograd:
    """`winograd`: cycles, except for factors."""

    fed: float = 0.8  #: factor on that of `phases`: all phases of a frequency read the same panel
    crowded: float = 0.3  #: additional factor where transformed input is too large for the cache
    move_in: float = 0.4  #: of a number in the first transform
    move_in_vector: float = 10.0  #: ... and of a vector
    move_out: float = 1.8  #: of a number in the second
    turn_in: float = 0.3  #: factor of lanes, channels last
    turn_out: float = 0.6
    line: float = 0.6  #: factor on beginning a line of the source
    deal: float = 0.9  #: to distribute a tile of it
    call: float = 40.0  #: to enter a tile
    phase: float = 100.0  #: to transform a phase back
    row: float = 2.0  #: factor on beginning a row of the target
    stream: float = 1.3  #: factor on reading weights


@dataclass(frozen=True, slots=True)
class Col2im:
    """`col2im`: cycles, except for factors and bytes."""

    fed: float = 1.1  #: factor on a tile whose vectors are the source
    fed_by_weights: float = 1.2  #: ... and whose vectors are weights
    block: int = 24 << 10  #: bytes of products that are added while they are in the first-level cache
    block_taps: int = 128 << 10  #: ... in the second-level cache, where lanes are over taps
    step: int = 32 << 10  #: bytes of the source that several tiles read from the first-level cache
    sum: float = 1.5  #: to load and to store a vector of products, for each step of channels
    read: float = 0.02  #: of a byte of the source, from the caches
    read_far: float = 0.09  #: ... from memory
    copy: float = 0.2  #: of a number of the source, where it is copied first
    add: float = 1.5  #: to add a vector of products at its place
    add_begin: float = 8.0  #: to begin a row of them
    collect: float = 1.0  #: to add a vector of products in short rows
    term: float = 2.0  #: ... and to find its place, for up to four channels
    run_begin: float = 10.0  #: ... where lanes are over taps
    far: float = 1.6  #: factor: weights from memory, where lanes are over taps, have no prefetch
    share: float = 0.5  #: of a sum that several tasks share
    measured: float = 1.42  #: factor: as measured, relative to the count


@dataclass(frozen=True, slots=True)
class Dots:
    """`dots`: cycles, except for factors."""

    call: float = 20.0  #: to enter a tile
    add: float = 3.5  #: to add the lanes of a dot product
    move: float = 1.2  #: of a number of y to its phase
    move_wide: float = 3.0  #: ... where strides are wider than 2
    line: float = 12.0  #: to begin a line of y
    x: float = 0.2  #: of a number of x, in each pass
    x_pass: float = 200.0  #: to begin a pass
    x_line: float = 8.0  #: to begin a line of x
    alone: float = 2.0  #: factor: a single task leaves other cores idle
    segment: float = 0.5  #: to add a number of a further sum
    measured: float = 1.45  #: factor: a weight gradient as measured, relative to the count
    copy: float = 0.3  #: of a number of y, copied in memory order
    weight: float = 0.03  #: of a byte of weights, from beyond the second-level cache
    box: float = 300.0  #: to begin a box
    run: float = 8.0  #: to begin a row of a kernel, copied for one position
    again: float = 0.1  #: share of the copies that each further task repeats
    gathered: float = 1.5  #: factor: such a convolution as measured, relative to the count


@dataclass(frozen=True, slots=True)
class Gradient:
    """The weight gradient by vectors: cycles, except for factors."""

    call: float = 100.0  #: to enter a tile and to write its sums
    fed: float = 1.2  #: factor on a tile: panels are not read in order
    turn_x: float = 0.7  #: to transpose a number of x
    turn_y: float = 1.0  #: ... of y
    turn_sum: float = 1.5  #: ... of the gradient
    segment: float = 0.12  #: to add a byte of a further sum
    measured: float = 1.4  #: factor: as measured, relative to the count
    wide_sum: float = 0.5  #: of a sum in memory, for each box where sums do not fit into the cache
    wide_copy: float = 0.3  #: of a number of y, copied in memory order


@dataclass(frozen=True, slots=True)
class Correlate:
    """The weight gradient in matrix registers: cycles, except for factors."""

    lay: float = 20.0  #: to store one register of sums at their places
    x: float = 1.3  #: to pack a number of x into its panel, in parts
    y: float = 2.7  #: ... of y
    wide: float = 1.0  #: in addition for y where strides are wider than 2
    line: float = 5.0  #: to begin a line of y
    out: float = 2.0  #: to store a number of the gradient at its place
    add: float = 0.7  #: to add one of a further segment
    crowded: float = 0.2  #: additional factor where the workspace does not fit into the cache


@dataclass(frozen=True, slots=True)
class Record:
    """One instruction set."""

    caches: Caches = field(default_factory=Caches)
    ports: Ports = field(default_factory=Ports)
    stream: Stream = field(default_factory=Stream)
    tasks: Tasks = field(default_factory=Tasks)
    matrix: Matrix = field(default_factory=Matrix)
    phases: Phases = field(default_factory=Phases)
    winograd: Winograd = field(default_factory=Winograd)
    col2im: Col2im = field(default_factory=Col2im)
    dots: Dots = field(default_factory=Dots)
    gradient: Gradient = field(default_factory=Gradient)
    correlate: Correlate = field(default_factory=Correlate)
    reference: float = 8.0  #: cycles of a product in plain loops
    pack_phases: float = 2.5  #: cycles to pack a weight, where that is done at every call
    pack_col2im: float = 2.0  #: ... for `col2im`
    pack_winograd: float = 13.0  #: ... and to transform it
