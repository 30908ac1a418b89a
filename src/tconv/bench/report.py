"""The output of `tconv bench`."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tconv.bench.turns import Result
from tconv.documents import Document, Line, Section, Table, markdown
from tconv.errors import TconvError
from tconv.files import check_file

__all__ = [
    "BEST",
    "Record",
    "best_peer",
    "busy",
    "document",
    "machine",
    "ratios",
    "summary",
    "table",
    "too_noisy",
]

#: The name of the fastest peer of each layer, besides the peers' names.
BEST = "best peer"

#: The share of the processors' time used by others from which a machine is called loaded.
_BUSY = 0.1


def machine(packages: Iterable[str] = ("torch",)) -> dict[str, Any]:
    """The processor, the best instruction set in use, and the versions of tconv, NumPy and `packages`."""
    from importlib.metadata import PackageNotFoundError, version

    from tconv.planning import isas

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the name from `platform` remains
    versions = {}
    for package in dict.fromkeys(("tconv", *packages, "numpy")):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": name,
        "instruction_set": isas()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def busy(seconds: float = 0.25) -> float | None:
    """The share of the processors' time that others use now; None where the system does not say."""

    def ticks() -> tuple[int, int]:
        first, *_ = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
        numbers = [int(number) for number in first.split()[1:9]]  # guests are counted in user
        return sum(numbers) - sum(numbers[3:5]), sum(numbers)  # idle, and waiting for a disk

    try:
        worked, passed = ticks()
        time.sleep(seconds)
        worked_then, passed_then = ticks()
    except (OSError, ValueError):
        return None
    return round((worked_then - worked) / max(1, passed_then - passed), 3)


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the bench."""

    machine: Mapping[str, Any]
    engines: Sequence[str]  #: tconv first
    results: Sequence[Result]

    def as_json(self) -> dict[str, Any]:
        """The data that `--json` prints and `read` reads."""
        return {
            "machine": dict(self.machine),
            "engines": list(self.engines),
            "geometric_mean": summary(self.results, self.engines),
            "too_noisy": too_noisy(self.results, self.engines),
            "layers": [asdict(result) for result in self.results],
        }

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read an earlier run.

        Raises:
            TconvError: the file is not the result of a run.
        """
        check_file(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            layers = [Result(**layer) for layer in record["layers"]]
            facts = record["machine"]
            missing = {"cpu", "instruction_set", "threads", "dtype", "versions"} - facts.keys()
            if missing:
                raise ValueError(f"its machine lacks {', '.join(sorted(missing))}")
            return cls(facts, record["engines"], layers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TconvError(f"{path} is not a result of `tconv bench --json`: {error}") from None


def _peers(engines: Iterable[str]) -> list[str]:
    """The engines other than tconv."""
    return [engine for engine in engines if not engine.startswith("tconv")]


def best_peer(result: Result) -> str | None:
    """The fastest peer on this layer; None if no peer has a time."""
    return min(_peers(result.seconds), key=result.seconds.__getitem__, default=None)


def ratios(results: Sequence[Result], ours: str, engine: str) -> list[float]:
    """(the engine's time / ours) on each layer that both have; `engine` may be `BEST`."""
    pairs = [(r, best_peer(r) if engine == BEST else engine) for r in results]
    return [r.seconds[e] / r.seconds[ours] for r, e in pairs if e in r.seconds and ours in r.seconds]


def summary(results: Sequence[Result], engines: Sequence[str]) -> dict[str, float]:
    """The geometric mean of (time / ours) for each engine, and for the best peer if there are several.

    >>> runs = [Result("a", "", {"tconv": 1.0, "torch": 2.0}), Result("b", "", {"tconv": 1.0, "torch": 8.0})]
    >>> summary(runs, ["tconv", "torch"])
    {'torch': 4.0}
    """
    several = [BEST] if len(_peers(engines)) > 1 else []
    means = {}
    for engine in [*engines[1:], *several]:
        found = ratios(results, engines[0], engine)
        if found:
            means[engine] = round(statistics.geometric_mean(found), 6)
    return means


def too_noisy(results: Sequence[Result], engines: Sequence[str]) -> list[str]:
    """The layers of which a ratio is too noisy to tell.

    Half of the turns differ by more than a quarter, or the quotient of the medians is outside that half.
    """
    return [r.name for r in results if any(_noisy(r, engines[0], engine) for engine in engines[1:])]


def _noisy(result: Result, ours: str, engine: str) -> bool:
    both = result.paired(ours, engine)
    if both is None or not {ours, engine} <= result.seconds.keys():
        return False
    return both.scattered or not both.low <= result.seconds[engine] / result.seconds[ours] <= both.high


def _ratio(result: Result, ours: str, engine: str | None) -> str:
    """The quotient of the medians, with the quartiles of the turns."""
    if engine is None or not {ours, engine} <= result.seconds.keys():
        return ""
    both = result.paired(ours, engine)
    spread = "" if both is None else f" ({both.low:.2f}-{both.high:.2f})"
    return f"{result.seconds[engine] / result.seconds[ours]:.2f}{spread}"


def table(record: Record) -> str:
    """The results as a Markdown table with the means, what failed, and the machine."""
    return markdown.render(document(record), readable=True)


def document(record: Record) -> Document:
    """The results as a table with the means, what failed, and the machine."""
    results, engines, facts = record.results, record.engines, record.machine
    ours, others, roofed = engines[0], engines[1:], any(r.roof for r in results)
    several = len(_peers(engines)) > 1
    compared = ["best peer", "/ best"] if several else [f"/ {e}" for e in others]
    head = ("layer", "problem", *(f"{e} ms" for e in engines), *compared, *["roof"] * roofed, "kernel")
    rows = []
    for r in results:
        mine, cells = r.seconds.get(ours), [r.name, r.problem]
        cells += [f"{r.seconds[e] * 1e3:.3f}" if e in r.seconds else "-" for e in engines]
        if several:
            best = best_peer(r)
            cells += [best or "", _ratio(r, ours, best)]
        else:
            cells += [_ratio(r, ours, e) for e in others]
        cells += [f"{r.roof / mine:.0%}" if r.roof and mine else ""] * roofed
        rows.append((*cells, r.notes.get(ours, "")))
    words = {"layer": "name", "problem": "code", "best peer": "words", "kernel": "words"}
    kinds = tuple(words.get(name, "number") for name in head)
    lines = []
    for engine, mean in summary(results, engines).items():
        found = ratios(results, ours, engine)
        against = f"the {BEST} of each layer" if engine == BEST else engine
        lines.append(
            f"geometric mean against {against}: {mean:.2f} times as fast "
            f"({sum(ratio < 1 for ratio in found)} of {len(found)} layers slower)"
        )
    if "random" in facts:
        shown = f"{len(results)} of the " * (len(results) != facts["random"])
        lines.insert(0, f"{shown}{facts['random']} layers drawn at random with seed {facts.get('seed')}")
    lines += [*_behind(results, ours), *_noise(record), *_remarks(results, engines)]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    asked = [f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}", facts["dtype"], *_asked(facts)]
    lines.append(f"{facts['cpu']}, {facts['instruction_set']}, {', '.join(asked)}; {versions}")
    if "roofs" in facts:
        roofs = facts["roofs"]
        lines.append(f"roof: {roofs['gflops']:g} Gflop/s, {roofs['gbytes']:g} GB/s ({roofs['how']})")
    layers = Table("layers", head, tuple(rows), kinds=kinds)
    return Document("", (Section("layers", "", (layers, *map(Line, lines))),))


def _behind(results: Sequence[Result], ours: str) -> list[str]:
    """The layers on which a peer is faster, with (the best peer's time / ours), the least first."""
    ratios = sorted(
        (r.seconds[best] / r.seconds[ours], r.name, best)
        for r in results
        if ours in r.seconds and (best := best_peer(r)) is not None and r.seconds[best] < r.seconds[ours]
    )
    behind = ", ".join(f"{name} {ratio:.2f} ({best})" for ratio, name, best in ratios)
    return [f"behind a peer: {behind}"] * bool(ratios)


def _noise(record: Record) -> list[str]:
    """What the spreads are, and a warning of ratios that are too noisy or a machine that was loaded."""
    results, (ours, *others) = record.results, record.engines
    lines = []
    if any(r.paired(ours, engine) for r in results for engine in others):
        lines.append("in parentheses: the quartiles of the turns' ratios")
    noisy, busy = too_noisy(results, record.engines), record.machine.get("busy") or 0.0
    why = [f"the machine was {busy:.0%} busy before this run"] * (busy > _BUSY)
    if noisy:
        scattered = f"too noisy to tell: {_listed(noisy, len(results))}, whose turns' ratios are far apart"
        why.append(f"{scattered}; on an idle machine, or with more --turns, they may be told")
    return [*lines, *["warning: " + "; ".join(why)] * bool(why)]


def _asked(facts: Mapping[str, Any]) -> list[str]:
    """The options that differ from their defaults, in words."""
    activation = facts.get("activation")
    words = {
        "a training step": facts.get("grad"),
        "channels_last": facts.get("layout") == "channels_last",
        "a new length every call": facts.get("new_lengths"),
        f"then {activation}": activation is not None,
    }
    return [word for word, said in words.items() if said]


def _remarks(results: Sequence[Result], engines: Sequence[str]) -> list[str]:
    """One line per reason why engines have no time, and per engine whose outputs are not equal."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in results:
        for engine, error in r.errors.items():
            # Without the problem at its start, the same reason is listed once.
            reason = error.removeprefix(f"{r.problem}: ")
            reasons.setdefault((engine, reason), []).append(r.name)
    lines = [
        f"{engine} has no time for {_listed(names, len(results))}: {error}"
        for (engine, error), names in reasons.items()
    ]
    for engine in engines:
        off = [note.partition("; within ")[2] for r in results for e, note in r.notes.items() if e == engine]
        shares = [float(share.split()[0]) for share in off if share]
        if shares:
            lines.append(
                f"{engine}: {len(shares)} outputs are not equal to ours, "
                f"but within {max(shares):.0e} of the largest number"
            )
    return lines


def _listed(names: Sequence[str], of: int) -> str:
    if len(names) == of > 1:
        return "any layer"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
