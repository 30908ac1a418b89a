"""What `tconv bench` prints."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tconv.bench.turns import Result
from tconv.errors import TconvError

__all__ = ["Record", "machine", "summary", "table"]


def machine() -> dict[str, Any]:
    """The processor, its instruction set in use, and the versions of what was compared."""
    from importlib.metadata import PackageNotFoundError, version

    from tconv.planning import isas

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the name that platform knows stands
    versions = {}
    for package in ("tconv", "torch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"cpu": name, "instruction_set": isas()[0], "versions": versions}


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the bench."""

    machine: Mapping[str, Any]
    engines: Sequence[str]  #: tconv first
    results: Sequence[Result]

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints and `read` reads."""
        return {
            "machine": dict(self.machine),
            "engines": list(self.engines),
            "geometric_mean": summary(self.results, self.engines),
            "layers": [asdict(result) for result in self.results],
        }

    @classmethod
    def read(cls, path: Path) -> Record:
        """An earlier run.

        Raises:
            TconvError: the file is none.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            layers = [Result(**layer) for layer in record["layers"]]
            facts = record["machine"]
            missing = {"cpu", "instruction_set", "threads", "dtype", "versions"} - facts.keys()
            if missing:
                raise ValueError(f"its machine lacks {', '.join(sorted(missing))}")
            return cls(facts, record["engines"], layers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TconvError(f"{path} is no result of `tconv bench --json`: {error}") from None


def _ratios(results: Sequence[Result], engine: str) -> list[float]:
    return [
        r.seconds[engine] / r.seconds["tconv"]
        for r in results
        if engine in r.seconds and "tconv" in r.seconds
    ]


def summary(results: Sequence[Result], engines: Sequence[str]) -> dict[str, float]:
    """The geometric mean of (peer's time / ours) for each peer.

    >>> runs = [Result("a", "", {"tconv": 1.0, "torch": 2.0}), Result("b", "", {"tconv": 1.0, "torch": 8.0})]
    >>> summary(runs, ["tconv", "torch"])
    {'torch': 4.0}
    """
    means = {}
    for engine in engines[1:]:
        ratios = _ratios(results, engine)
        if ratios:
            means[engine] = round(statistics.geometric_mean(ratios), 6)
    return means


def table(record: Record) -> str:
    """The results as a Markdown table with a line on the machine."""
    results, engines, facts = record.results, record.engines, record.machine
    head = [
        "layer",
        "problem",
        *(f"{engine} ms" for engine in engines),
        *(f"/ {e}" for e in engines[1:]),
        "kernel",
    ]
    rows = []
    for r in results:
        cells = [r.name, f"`{r.problem}`"]
        cells += [f"{r.seconds[e] * 1e3:.3f}" if e in r.seconds else "failed" for e in engines]
        ours = r.seconds.get("tconv")
        cells += [f"{r.seconds[e] / ours:.2f}" if ours and e in r.seconds else "" for e in engines[1:]]
        rows.append([*cells, r.notes.get("tconv", "")])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    means = summary(results, engines)
    for engine, mean in means.items():
        ratios = _ratios(results, engine)
        slower = sum(ratio < 1 for ratio in ratios)
        lines.append(
            f"\ngeometric mean against {engine}: {mean:.2f} times as fast "
            f"({slower} of {len(ratios)} layers slower)"
        )
    for r in results:
        lines += [f"{r.name}: {engine} failed: {error}" for engine, error in r.errors.items()]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    lines.append(
        f"\n{facts['cpu']}, {facts['instruction_set']}, {facts['threads']} threads, {facts['dtype']}; "
        f"{versions}"
    )
    return "\n".join(lines)
