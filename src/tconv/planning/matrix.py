"""Planning of `matrix`: phases whose sums of bfloat16 products are made by a CPU's matrix unit (AMX)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd, prod
from typing import Any

from tconv import _core
from tconv.planning.cost import L2_SUMS, MIN_TASKS, PANELS, TASK_CYCLES, split, stream_cycles
from tconv.planning.phases import Lattice
from tconv.planning.plans import MapName, Problem

__all__ = ["applies", "candidates", "choose"]

#: What the unit multiplies at once: rows of weights, columns of positions, pairs of source channels.
_ROWS, _COLUMNS, _PAIRS = 16, 16, 16


def applies(problem: Problem, map: MapName, dtype: str) -> bool:
    """Layers of bfloat16, where the CPU has the unit."""
    return dtype == "bf16" and map != "weight_gradient" and problem.batch > 0 and _core.matrix_unit()


def choose(problem: Problem, map: MapName) -> dict[str, Any]:
    """The cheapest box and chunk, as fields of a Plan."""
    return min(candidates(problem, map), key=lambda fields: fields["cost"])


def candidates(problem: Problem, map: MapName) -> Iterator[dict[str, Any]]:
    """All plans that are weighed."""
    # A number of the panel is a pair of source channels, in folds of even size that the unit holds.
    name = "in_channels" if map == "conv_transpose" else "out_channels"
    pairs = -(-getattr(problem, name) // 2)
    folds = -(-pairs // _PAIRS)
    paired = replace(problem, **{name: folds * -(-pairs // folds)})
    yield from _over(Lattice(paired, map, False, 4), "positions", folds, problem.groups)
    axes = zip(problem.kernel, problem.stride, problem.dilation, strict=True)
    if (
        map == "conv_transpose"
        and prod(problem.stride) > 1
        and all(d == 1 and k % s == 0 for k, s, d in axes)
    ):
        yield from _over(Lattice(paired, map, True, 4), "stacked", folds, problem.groups)


def _over(lattice: Lattice, lanes: str, folds: int, groups: int) -> Iterator[dict[str, Any]]:
    stacked = lattice.phases if lanes == "stacked" else 1
    total_rows, taps = lattice.target * stacked, lattice.taps // stacked
    store = {1: 0.2, 2: 0.25, 4: 0.3}.get(lattice.axes[2].phases, 1.2)
    packed = total_rows * taps * lattice.depth * 4
    seen = set()
    for rows in {split(total_rows, _ROWS), split(total_rows, 2 * _ROWS)}:
        unit = rows // gcd(rows, stacked)  # channels whose phases fill whole tiles
        kept = max(rows, min(unit, lattice.target) * stacked) if stacked > 1 else rows * lattice.phases
        most = min(max(64, L2_SUMS // (kept * 4)), 4096)
        for panel in PANELS:
            box = lattice.box(most, panel)
            if (rows, box) in seen:
                continue
            seen.add((rows, box))
            positions, held = lattice.extent(box)
            columns, blocks = -(-positions // _COLUMNS), -(-total_rows // rows)
            # Twice what the unit takes: tiles of the panel come from the second-level cache.
            each = 45.0 if rows <= _ROWS else 75.0
            busy = blocks * columns * taps * folds * each
            busy += blocks * -(-columns // 2) * (lattice.phases // stacked) * 80.0
            busy += positions * lattice.phases * lattice.target * store
            busy += prod(box[:3]) * lattice.axes[0].phases * lattice.axes[1].phases * lattice.target * 60.0
            boxes = lattice.boxes(box)
            cycles = ((busy + held * 0.06) * boxes + stream_cycles(packed, boxes)) * groups
            wanted = min(MIN_TASKS, int(cycles / TASK_CYCLES))
            units = -(-lattice.target // unit)
            pieces = max(1, min(units, -(-wanted // (boxes * groups))))
            chunk = -(-units // pieces) * unit
            if stacked > 1:
                fits = L2_SUMS // (positions * stacked * 4) // unit * unit
                chunk = max(unit, min(chunk, fits))
            work = columns * _COLUMNS * total_rows * taps * lattice.depth * 2 * boxes * groups
            yield {
                "rows": rows,
                "vectors": 2,
                "lanes": lanes,
                "box": box,
                "chunk": chunk,
                "computed_macs": work,
                "cost": cycles,
            }
