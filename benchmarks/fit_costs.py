"""Measure what work costs on this machine, and print a record for src/tconv/planning/records.py.

    python benchmarks/fit_costs.py                    # the best instruction set, some minutes
    python benchmarks/fit_costs.py --isa avx2 --plans 400

Plans of many layers, cheap and expensive ones, are timed on one thread. Then the numbers of the record are
fitted, so that the formulas' estimates agree with the times. The fit is a ridge regression of logarithms,
which keeps each number near its start unless a move pays; the formulas are differentiated numerically. Sizes
of caches are read from the system. Measure on an idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tconv import _core
from tconv.geometry import Geometry
from tconv.planning import ALGORITHMS, Candidate, MapName, Plan, isas
from tconv.planning.cost import MOST_WORKSPACE, Machine, machine
from tconv.planning.problem import MAPS, problem_of
from tconv.planning.records import RECORDS, Caches, Record

LAYERS = Path(__file__).parents[1] / "src/tconv/bench/layers.txt"
RIDGE = 0.05  #: penalty of moving a number by a factor e, in squared logarithms of the mean plan's error


class Sample(NamedTuple):
    """A plan that can be timed: candidate `index` of an algorithm for a map on a Geometry."""

    geometry: Geometry
    map: MapName
    algorithm: str
    index: int


def leaves(record: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the numbers that can be fitted: cycles and factors, not sizes."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            if not isinstance(value, Caches) and field.name != "tasks":
                yield from leaves(value, (*path, field.name))
        elif field.name != "run" and not field.name.startswith("pack_"):
            yield (*path, field.name)


def value_of(record: Any, path: Sequence[str]) -> float:
    """The number at a path."""
    for name in path:
        record = getattr(record, name)
    return float(record)


def moved(record: Any, path: Sequence[str], value: float) -> Any:
    """The record with `value` at a path."""
    if len(path) > 1:
        value = moved(getattr(record, path[0]), path[1:], value)
    return dataclasses.replace(record, **{path[0]: value})


def weighed(facts: Machine, geometry: Geometry, map: MapName, algorithm: str) -> list[Candidate]:
    """The candidates of one algorithm, by the record of `facts`."""
    found, problem = ALGORITHMS[algorithm], problem_of(geometry)
    return list(found.weigh(problem, map, "f32", facts, False)) if found.applies(problem, map, "f32") else []


def samples(facts: Machine, geometries: Sequence[Geometry], count: int, seed: int) -> list[Sample]:
    """The cheapest plans of every algorithm, and as many others at random."""
    draw, cheap, others = random.Random(seed), [], []
    for geometry in geometries:
        for map in MAPS:
            for name in ALGORITHMS:
                costs = [candidate.cost for candidate in weighed(facts, geometry, map, name)]
                if not costs or (name == "reference" and costs[0] > 1e8):
                    continue
                least = min(range(len(costs)), key=costs.__getitem__)
                cheap.append(Sample(geometry, map, name, least))
                near = [i for i, cost in enumerate(costs) if i != least and cost < 4 * costs[least]]
                others += [Sample(geometry, map, name, i) for i in draw.sample(near, min(2, len(near)))]
    draw.shuffle(cheap)
    draw.shuffle(others)
    return cheap[: count // 2] + others[: count - len(cheap[: count // 2])]


def estimates(facts: Machine, chosen: Sequence[Sample]) -> np.ndarray:
    """Cycles of each sample by the record of `facts`."""
    known: dict[tuple[Geometry, MapName, str], list[Candidate]] = {}
    made = []
    for sample in chosen:
        of = sample[:3]
        if of not in known:
            known[of] = weighed(facts, *of)
        made.append(known[of][sample.index].cost)
    return np.array(made)


def seconds(facts: Machine, sample: Sample) -> float | None:
    """Seconds of the fastest of several runs with packed weights; None if it needs too much memory."""
    candidate = weighed(facts, *sample[:3])[sample.index]
    chosen = Plan.of(candidate, sample.geometry, sample.map, dtype="f32", isa=facts.isa)
    g, runner = sample.geometry, chosen.runner
    if runner.workspace_bytes > MOST_WORKSPACE:
        return None
    shapes = {
        "conv_transpose": (g.input_shape, g.weight_shape, g.output_shape),
        "conv": (g.output_shape, g.weight_shape, g.input_shape),
        "weight_gradient": (g.input_shape, g.output_shape, g.weight_shape),
    }
    source, weight, target = (np.ones(shape, np.float32) for shape in shapes[sample.map])
    given: Any = runner.pack(weight) if runner.packed_bytes else weight
    times: list[float] = []
    while len(times) < 4 or sum(times) < 0.03:
        begin = time.perf_counter()
        runner.run(source, given, None, target)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def fit(facts: Machine, chosen: Sequence[Sample], times: np.ndarray, rounds: int = 4) -> Record:
    """The record whose estimates agree best with `times`, which may be in any unit."""
    record, start = facts.record, facts.record
    paths = list(leaves(record))
    for _ in range(rounds):
        usual = np.log(estimates(facts._replace(record=record), chosen))
        missed = np.log(times) - usual
        missed -= np.median(missed)  # the unit
        slopes = []
        for path in paths:
            more = moved(record, path, value_of(record, path) * 1.02)
            slopes.append((np.log(estimates(facts._replace(record=more), chosen)) - usual) / np.log(1.02))
        slope = np.array(slopes).T
        slope -= np.median(slope, axis=0)
        far = np.array([np.log(value_of(record, path) / value_of(start, path)) for path in paths])
        ridge = RIDGE * len(chosen) / len(paths) * np.eye(len(paths))
        step = np.linalg.solve(slope.T @ slope + ridge, slope.T @ missed - ridge @ far)
        for path, by in zip(paths, np.clip(step, -0.5, 0.5), strict=True):
            record = moved(record, path, value_of(record, path) * float(np.exp(by)))
    return record


def error(facts: Machine, chosen: Sequence[Sample], times: np.ndarray) -> float:
    """The factor by which estimates are off, as the mean of logarithms, in the best unit."""
    missed = np.log(times) - np.log(estimates(facts, chosen))
    return float(np.exp(np.abs(missed - np.median(missed)).mean()))


def caches_of(record: Record, read: Callable[[int], int]) -> Caches:
    """The record's caches for second and third levels of other sizes; `read` gives bytes of a level, or 0."""
    second, third = read(2) or 2 << 20, read(3)
    usual = record.caches
    sizes = {field.name: getattr(usual, field.name) for field in dataclasses.fields(usual)}
    for name in ("sums", "task_sums", "near", "plane", "matrix"):
        sizes[name] = sizes[name] * second // (2 << 20)
    sizes["panels"] = tuple(panel * second // (2 << 20) for panel in usual.panels)
    return Caches(**{**sizes, "far": third // 2 or usual.far})


def cache_bytes(level: int) -> int:
    """Bytes of a level of this machine's cache, or 0."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if index.joinpath("level").read_text().strip() == str(level):
            return int(index.joinpath("size").read_text().strip().removesuffix("K")) << 10
    return 0


def source_of(record: Any, name: str = "Record", depth: int = 0) -> str:
    """A record as Python source."""
    inner, lines = "    " * (depth + 1), [f"{name}("]
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            shown = source_of(value, type(value).__name__, depth + 1)
        else:
            shown = f"{value:.3g}" if isinstance(value, float) else repr(value)
        lines.append(f"{inner}{field.name}={shown},")
    return "\n".join([*lines, "    " * depth + ")"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--isa", choices=isas(), default=isas()[0], help="an instruction set of this CPU")
    parser.add_argument("--plans", type=int, default=240, metavar="N", help="plans to time")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of their random choice")
    args = parser.parse_args()
    _core.set_num_threads(1)
    lines = (line.split("#")[0].split() for line in LAYERS.read_text(encoding="utf-8").splitlines())
    geometries = [Geometry.parse(" ".join(words[1:])) for words in lines if words]
    start = RECORDS[args.isa]
    start = dataclasses.replace(start, caches=caches_of(start, cache_bytes))
    facts = machine(args.isa, "f32")._replace(record=start)
    chosen, times = [], []
    for number, sample in enumerate(drawn := samples(facts, geometries, args.plans, args.seed), 1):
        took = seconds(facts, sample)
        print(f"\r{number} of {len(drawn)} plans", end="", file=sys.stderr, flush=True)
        if took is not None:
            chosen.append(sample)
            times.append(took)
    print(file=sys.stderr)
    measured = np.array(times)
    fitted = fit(facts, chosen, measured)
    after = facts._replace(record=fitted)
    print(f"# {args.isa}: {len(chosen)} plans on one thread; estimates were off by a factor of")
    print(
        f"# {error(facts, chosen, measured):.2f} before and are by {error(after, chosen, measured):.2f} now."
    )
    print(source_of(fitted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
