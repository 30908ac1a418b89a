"""What a plan is: integers and names, fixed once, printed as a table that a person reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias

from tconv import _core
from tconv.errors import TconvError
from tconv.geometry.normalize import shown

if TYPE_CHECKING:
    from tconv.geometry import Geometry

__all__ = [
    "ACTIVATIONS",
    "DTYPES",
    "LAYOUTS",
    "MAPS",
    "Activation",
    "Layout",
    "MapName",
    "Plan",
    "Problem",
    "activation_code",
    "real",
]

MapName: TypeAlias = Literal["conv_transpose", "conv", "weight_gradient"]
Layout: TypeAlias = Literal["channels_first", "channels_last"]
Activation: TypeAlias = str | tuple[str | float, ...] | None

#: The codes of core/plan.hpp, in its order.
MAPS: tuple[MapName, ...] = ("conv_transpose", "conv", "weight_gradient")
DTYPES = ("f32", "f64", "f16", "bf16", "c64", "c128", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
LAYOUTS: tuple[Layout, ...] = ("channels_first", "channels_last")
ACTIVATIONS = ("none", "relu", "leaky_relu", "clamp", "tanh", "sigmoid")
_ALGORITHMS = ("reference", "phases", "winograd", "dots")
_LANES = ("positions", "channels", "stacked", "kernel")


def activation_code(activation: Activation) -> tuple[int, float, float, float]:
    """(code, slope, lo, hi) of an activation as users spell it.

    >>> activation_code(("leaky_relu", 0.2))
    (2, 0.2, 0.0, 0.0)
    """
    parts = activation if isinstance(activation, tuple | list) and len(activation) else (activation,)
    name, numbers = parts[0], parts[1:]
    expected = {"leaky_relu": 1, "clamp": 2}.get(str(name), 0)
    unknown = name is not None and not (isinstance(name, str) and name in ACTIVATIONS[1:])
    if unknown or len(numbers) != expected:
        raise TconvError(
            f"activation={shown(activation)} is unknown; "
            'None, "relu", "tanh", "sigmoid", ("leaky_relu", slope) or ("clamp", lo, hi) would fit'
        )
    if not all(isinstance(number, Real) for number in numbers):
        raise TconvError(f"activation={activation!r} needs numbers after the name")
    try:
        values = [float(number) for number in numbers]
    except OverflowError:
        raise TconvError(f"activation={shown(activation)}: numbers that a float can hold would fit") from None
    if name == "leaky_relu":
        return 2, values[0], 0.0, 0.0
    if name == "clamp":
        if not values[0] <= values[1]:
            raise TconvError(f"activation={activation!r}: the lower bound must not exceed the upper one")
        return 3, 0.0, values[0], values[1]
    return (ACTIVATIONS.index(name) if isinstance(name, str) else 0), 0.0, 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Problem:
    """A Geometry as the kernels see it: three axes, channels of one group.

    A Geometry with fewer axes gets leading ones of size 1. Where an axis has one input, the stride changes
    nothing, and the size of an undilated kernel takes its place: every phase then has one tap instead of all.
    """

    batch: int
    groups: int
    in_channels: int
    out_channels: int
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]
    dilation: tuple[int, int, int]
    lo: tuple[int, int, int]

    @classmethod
    def of(cls, geometry: Geometry) -> Problem:
        """The problem that the maps on `geometry` solve."""

        axes = [
            (i, o, k, k if i == d == 1 else s, d, lo)
            for i, o, k, s, d, (lo, _) in zip(
                geometry.input,
                geometry.output,
                geometry.kernel,
                geometry.stride,
                geometry.dilation,
                geometry.padding,
                strict=True,
            )
        ]
        # Neighbouring axes over which one input stamps the whole kernel uncropped are one axis.
        for a in range(len(axes) - 1, 0, -1):
            if all(axis == (1, axis[2], axis[2], axis[2], 1, 0) for axis in axes[a - 1 : a + 1]):
                k = axes[a - 1][2] * axes[a][2]
                axes[a - 1 : a + 1] = [(1, k, k, k, 1, 0)]
        axes[:0] = [(1, 1, 1, 1, 1, 0)] * (3 - len(axes))
        columns = [(z, y, x) for z, y, x in zip(*axes, strict=True)]
        return cls(
            geometry.batch,
            geometry.groups,
            geometry.in_channels // geometry.groups,
            geometry.out_channels // geometry.groups,
            *columns,
        )


def real(problem: Problem, dtype: str) -> tuple[Problem, str]:
    """The real problem and dtype by which complex numbers are computed; others stay as they are.

    Each channel counts twice, with its real and with its imaginary part (core/complex.hpp).
    """
    if dtype[0] != "c":
        return problem, dtype
    twice = replace(problem, in_channels=2 * problem.in_channels, out_channels=2 * problem.out_channels)
    return twice, {"c64": "f32", "c128": "f64"}[dtype]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """How one map on one Geometry is computed. `repr(plan)` shows it; `plan.runner` does it.

    Fields of the register tile, the box and the chunk are explained in core/plan.hpp.
    """

    geometry: Geometry
    map: MapName
    dtype: str
    algorithm: str
    isa: str
    activation: Activation
    problem: Problem
    layout: Layout = "channels_first"  #: of source and target; of x and y for the weight gradient
    rows: int = 1
    vectors: int = 1
    lanes: str = "positions"
    parts: int = 0
    im2col: bool = False
    box: tuple[int, int, int, int] = (1, 1, 1, 1)
    chunk: int = 1
    segments: int = 1
    most_threads: int = 1 << 10
    computed_macs: int = 0
    cost: float = 0.0
    #: Ready to run; see _core.pyi.
    runner: _core.Runner = field(init=False)

    def __post_init__(self) -> None:
        """Hand the integers to the kernels."""
        code, slope, lo, hi = activation_code(self.activation)
        p = self.problem
        runner = _core.make_runner(
            map=MAPS.index(self.map),
            dtype=DTYPES.index(self.dtype),
            algorithm=_ALGORITHMS.index(self.algorithm),
            isa=self.isa,
            batch=p.batch,
            groups=p.groups,
            in_channels=p.in_channels,
            out_channels=p.out_channels,
            input=p.input,
            output=p.output,
            kernel=p.kernel,
            stride=p.stride,
            dilation=p.dilation,
            lo=p.lo,
            rows=self.rows,
            vectors=self.vectors,
            lanes=_LANES.index(self.lanes),
            parts=self.parts,
            im2col=self.im2col,
            box=self.box,
            chunk=self.chunk,
            last=self.layout == "channels_last",
            segments=self.segments,
            most_threads=self.most_threads,
            activation=code,
            slope=slope,
            clamp_lo=lo,
            clamp_hi=hi,
        )
        object.__setattr__(self, "runner", runner)

    @property
    def kernel(self) -> str:
        """Name of the kernel, such as f32_phases_14x2__avx512."""
        return self.runner.kernel

    @property
    def packing(self) -> tuple[object, ...]:
        """Plans with equal packing read the same packed weights."""
        p = self.problem
        by_phase = self.lanes == "channels" and self.layout == "channels_last"
        chunk = self.chunk if self.algorithm == "winograd" else None
        return (
            *(self.map, self.dtype, self.algorithm, self.isa),
            *(self.rows, self.vectors, self.lanes, self.parts, by_phase, chunk, p.stride, p.kernel),
        )

    def __repr__(self) -> str:
        """The plan as a table."""
        nominal = self.geometry.macs
        lines = [
            ("problem", str(self.geometry)),
            ("map", self.map if self.activation is None else f"{self.map}, then {self.activation}"),
            ("layout", self.layout),
            ("kernel", self.kernel),
            ("multiplications", f"{nominal:,} nominal, {self.computed_macs:,} computed"),
        ]
        if self.algorithm != "reference":
            n, z, y, x = self.box
            lines += [
                ("lanes", f"over {self.lanes}"),
                ("box", f"batch {n}, cells {z}x{y}x{x}; {self.chunk} channels a task"),
                (
                    "memory",
                    f"{self.runner.packed_bytes:,} B packed weights, "
                    f"{self.runner.workspace_bytes:,} B workspace a thread, "
                    f"{self.runner.shared_bytes:,} B shared",
                ),
                ("estimate", f"{self.cost:,.0f} cycles of one core"),
            ]
            if self.map == "weight_gradient":
                lines.append(("sums", f"{self.segments}, added in order"))
        return "\n".join(f"{name:<16}{value}" for name, value in lines)
