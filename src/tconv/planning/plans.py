"""A plan: the struct that the engine executes, and its estimated cost, printed as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from tconv import _core
from tconv.errors import TconvError
from tconv.planning.activations import Activation, numbers_fit
from tconv.planning.problem import (
    Layout,
    MapName,
    epilogue_of,
    operands_of,
    problem_of,
)
from tconv.planning.tuning_file import record_of

if TYPE_CHECKING:
    from tconv.geometry import Geometry

__all__ = ["Candidate", "Part", "Plan", "algorithm_of"]

#: How one algorithm computes a map; None: plain loops over the definition.
Part: TypeAlias = (
    _core.PhasesPlan | _core.WinogradPlan | _core.Col2imPlan | _core.DotsPlan | _core.GradientPlan | None
)


class Candidate(NamedTuple):
    """A possible plan, with its cost."""

    part: Part
    computed_macs: int
    cost: float  #: cycles of one core
    segments: int = 1


def algorithm_of(part: Part) -> str:
    """The name in `ALGORITHMS`."""
    if part is None:
        return "reference"
    names = {"WinogradPlan": "winograd", "Col2imPlan": "col2im", "DotsPlan": "dots"}
    return names.get(type(part).__name__, "phases")


def tile_of(part: Part) -> tuple[int, int]:
    """Rows and vectors, or columns of dot products."""
    if part is None:
        return 1, 1
    return part.rows, part.columns if isinstance(part, _core.DotsPlan) else part.vectors


def lanes_of(part: Part) -> str:
    """What the lanes of a tile run over."""
    if isinstance(part, _core.PhasesPlan | _core.Col2imPlan | _core.GradientPlan):
        return part.lanes.name
    return "tiles" if isinstance(part, _core.WinogradPlan) else "the reduction"


def task_of(part: Part) -> str:
    """What one task computes."""
    if isinstance(part, _core.WinogradPlan):
        n, y, x = part.tiles
        return f"batch {n}, tiles {y}x{x}; {part.channels} channels per task"
    assert part is not None
    n, z, y, x = part.box
    if isinstance(part, _core.Col2imPlan):
        source = f"{part.positions} positions and {part.depth} channels at a time"
        return f"batch {n}, rows {z}x{y}, cells {x}; {part.channels} channels per task; {source}"
    if isinstance(part, _core.PhasesPlan):
        apart = f", {part.groups} groups" if part.groups > 1 else ""
        units = f"{part.columns} columns" if part.columns else f"{part.channels} channels{apart}"
    elif isinstance(part, _core.GradientPlan) and part.stretches:
        units = f"{part.stretches} ranges of kernel rows"
    else:
        units = f"{part.x_channels or part.y_channels} channels of {'x' if part.x_channels else 'y'}"
    return f"batch {n}, cells {z}x{y}x{x}; {units} per task"


def checked(what: Geometry, core: _core.Plan) -> _core.Plan:
    """`core`, if there are kernels for its dtypes and its epilogue.

    Raises:
        TconvError: dtypes that differ, a scale, or a rounding that no kernel has; numbers that an activation
            lacks.
    """
    operands, epilogue = core.operands, core.epilogue
    one, sums = operands.source, operands.source
    if one in (_core.DType.f16, _core.DType.bf16):
        sums = _core.DType.f32
    given = (operands.source, operands.weight, operands.sums, operands.target, epilogue.bias)
    if given != (one, one, sums, one, one):
        words = zip(("source", "weight", "sums", "target", "bias"), given, strict=True)
        found = ", ".join(f"{name} {dtype.name}" for name, dtype in words)
        raise TconvError(
            f"{what}: no kernel for {found}; {one.name} for all, summed in {sums.name}, would fit"
        )
    if epilogue.scale != _core.Scale.none:
        raise TconvError(f"{what}: no kernel scales its sums ({epilogue.scale.name}); none would fit")
    if epilogue.rounding != _core.Rounding.nearest_even:
        raise TconvError(f"{what}: no kernel rounds {epilogue.rounding.name}; nearest_even would fit")
    channels = what.out_channels if core.map == _core.Map.conv_transpose else what.in_channels
    if fault := numbers_fit(epilogue, channels):
        raise TconvError(f"{what}: {fault}")
    return core


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """How one map on one Geometry is computed. `repr(plan)` shows it; `plan.runner` computes it."""

    geometry: Geometry
    activation: Activation  #: as the user spelled it
    core: _core.Plan  #: what the engine executes; core/plan.hpp explains its fields
    computed_macs: int = 0
    cost: float = 0.0  #: estimated cycles of one core
    chosen: str = ""  #: how, where it is not the cheapest by the default estimate
    others: Callable[[], Iterable[Candidate]] = tuple  #: computes all candidates again, the cheapest first
    runner: _core.Runner = field(init=False)  #: ready to run

    def __post_init__(self) -> None:
        """Prepare the runner.

        Raises:
            TconvError: no kernel has such operands or such an epilogue.
        """
        object.__setattr__(self, "runner", _core.Runner(checked(self.geometry, self.core)))

    @classmethod
    def of(
        cls,
        candidate: Candidate,
        geometry: Geometry,
        map: MapName,
        *,
        dtype: str,
        isa: str,
        layout: Layout = "channels_first",
        activation: Activation = None,
        problem: _core.Problem | None = None,
        others: Callable[[], Iterable[Candidate]] = tuple,
    ) -> Plan:
        """The plan of a candidate; `problem`: that of the geometry, if the caller has it."""
        threads = int(candidate.cost / record_of(isa).tasks.thread)
        core = _core.Plan(
            problem=problem or problem_of(geometry),
            map=_core.Map[map],
            layout=_core.ArrayLayout[layout],
            operands=operands_of(dtype),
            epilogue=epilogue_of(activation, dtype),
            isa=isa,
            segments=candidate.segments,
            most_threads=min(1 << 10, max(1, threads)),
            part=candidate.part,
        )
        return cls(
            geometry=geometry,
            activation=activation,
            core=core,
            computed_macs=candidate.computed_macs,
            cost=candidate.cost,
            others=others,
        )

    @property
    def map(self) -> MapName:
        """Which of the three maps."""
        return cast(MapName, self.core.map.name)

    @property
    def dtype(self) -> str:
        """The dtype of the source."""
        return self.core.operands.source.name

    @property
    def isa(self) -> str:
        """The instruction set."""
        return self.core.isa

    @property
    def layout(self) -> Layout:
        """Of source and target; of x and y for the weight gradient."""
        return cast(Layout, self.core.layout.name)

    @property
    def algorithm(self) -> str:
        """A name in `ALGORITHMS`."""
        return algorithm_of(self.core.part)

    @property
    def kernel(self) -> str:
        """Name of the kernel, such as f32_phases_14x2__avx512."""
        return self.runner.kernel

    @property
    def alternatives(self) -> tuple[Candidate, ...]:
        """The nearest rejected candidates: the cheapest of another algorithm, other lanes, another tile."""
        return nearest(self.core.part, self.others())

    @property
    def name(self) -> str:
        """How this map is computed, in one line: of all candidates for a problem, no other has it."""
        return f"{self.core.part!r}, segments={self.core.segments}"

    @property
    def packing(self) -> tuple[object, ...]:
        """Plans with equal packing read the same packed weights."""
        core, part = self.core, self.core.part
        own: tuple[object, ...] = tile_of(part)
        if isinstance(part, _core.PhasesPlan):
            own = (*own, part.lanes, part.parts)
            if part.lanes == _core.PhasesLanes.stacked:  # where the zeros of uneven phases are
                sizes = zip(core.problem.output, core.problem.stride, strict=True)
                own = (*own, part.channels, core.problem.lo, *(o % s for o, s in sizes))
        elif isinstance(part, _core.WinogradPlan):
            own = (*own, part.channels)
        elif isinstance(part, _core.Col2imPlan):
            own = (*own, part.lanes, part.channels, part.depth)
        problem = core.problem
        return self.map, self.dtype, self.algorithm, self.isa, own, problem.stride, problem.kernel

    def __repr__(self) -> str:
        """The plan as a table."""
        part = self.core.part
        lines = [
            ("problem", str(self.geometry)),
            ("map", self.map if self.activation is None else f"{self.map}, then {self.activation}"),
            ("layout", self.layout),
            ("kernel", self.kernel),
            ("multiplications", f"{self.geometry.macs:,} nominal, {self.computed_macs:,} computed"),
        ]
        if part is not None:
            lines += [
                ("lanes", f"over {lanes_of(part)}"),
                ("box", task_of(part)),
                (
                    "memory",
                    f"{self.runner.packed_bytes:,} B packed weights, "
                    f"{self.runner.workspace_bytes:,} B workspace per thread, "
                    f"{self.runner.shared_bytes:,} B shared",
                ),
                ("estimate", f"{self.cost:,.0f} cycles of one core"),
            ]
            if self.map == "weight_gradient":
                lines.append(("sums", f"{self.core.segments}, added in order"))
        if self.chosen:
            lines.append(("chosen", self.chosen))
        for name, other in zip(("rejected", "", ""), self.alternatives, strict=False):
            lines.append((name, self._line(other)))
        return "\n".join(f"{name:<16}{value}" for name, value in lines)

    def _line(self, other: Candidate) -> str:
        rows, columns = tile_of(other.part)
        how = "" if other.part is None else f" {rows}x{columns}, lanes over {lanes_of(other.part)}"
        times = f", {other.cost / self.cost:.2f} times that" if self.cost else ""
        return f"{algorithm_of(other.part)}{how}: {other.cost:,.0f} cycles{times}"


def nearest(part: Part, others: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The cheapest of another algorithm, of other lanes, of another tile; `others` are in order of cost."""
    own = algorithm_of(part), lanes_of(part), tile_of(part)
    found: dict[int, Candidate] = {}
    for other in others:
        theirs = algorithm_of(other.part), lanes_of(other.part), tile_of(other.part)
        kind = next((i for i in range(3) if theirs[i] != own[i]), None)
        if kind is not None and kind not in found:
            found[kind] = other
            if len(found) == 3:
                break
    return tuple(sorted(found.values(), key=lambda candidate: candidate.cost))
