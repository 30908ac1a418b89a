"""Write the README's block on speed, and its chart docs/speed.svg.

    python benchmarks/readme.py [RESULT ...]           # by default those that the README names
    python benchmarks/readme.py --join PART ... > RESULT   # one run from parts of the list of layers

RESULT is a saved `tconv bench --json`. The sentences, the chart and the table are those of the first; all are
compared, a column each.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from tconv.bench.chart import draw
from tconv.bench.report import BEST, Record, ratios, summary, table
from tconv.errors import TconvError

ROOT = Path(__file__).parents[1]
CHART = ROOT / "docs/speed.svg"
MARKS = re.compile(
    r"(<!-- speed: made by `python benchmarks/readme.py ([^`]+)` -->\n).*?(<!-- /speed -->)", re.DOTALL
)
NAMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "jax": "JAX"}
SETS = {"amx": "AMX", "avx512": "AVX-512", "avx2": "AVX2", "baseline": "SSE2", "neon": "NEON"}


def records_of(text: str) -> list[Record]:
    """The runs that the README `text` names."""
    marked = MARKS.search(text)
    assert marked is not None, "the README has no block between <!-- speed: ... --> and <!-- /speed -->"
    return [Record.read(ROOT / name) for name in marked[2].split()]


def join(parts: Sequence[Record]) -> Record:
    """The run of which these are parts, on one machine with the same options; its roofs are the best.

    Raises:
        TconvError: they differ in more than their layers.
    """
    varying = ("roofs", "busy")

    def fixed(record: Record) -> object:
        return [record.engines, {name: it for name, it in record.machine.items() if name not in varying}]

    if any(fixed(part) != fixed(parts[0]) for part in parts):
        raise TconvError("the parts differ in machine, versions or options; those of one run would fit")
    roofs = [part.machine["roofs"] for part in parts]
    best = {name: max(one[name] for one in roofs) for name in ("gflops", "gbytes")}
    facts = {
        **parts[0].machine,
        "roofs": {**roofs[0], **best},
        "busy": max((part.machine.get("busy") or 0.0 for part in parts), default=0.0),
    }
    return Record(facts, parts[0].engines, [result for part in parts for result in part.results])


def name_of(record: Record) -> str:
    isa = record.machine["instruction_set"]
    return SETS.get(isa, isa)


def columns(records: Sequence[Record]) -> str:
    """How many times as fast, against whom in rows, with which instruction set and CPU in columns."""
    first, means = records[0], [summary(record.results, record.engines) for record in records]
    lines = [
        "| geometric mean, and layers slower | " + " | ".join(map(name_of, records)) + " |",
        "|---" * (1 + len(records)) + "|",
    ]
    for engine in sorted(means[0], key=lambda name: name != BEST):
        cells = []
        for record, mean in zip(records, means, strict=True):
            if engine not in mean:
                cells.append("not measured")
                continue
            each = ratios(record.results, record.engines[0], engine)
            cells.append(f"{mean[engine]:.2f}, {sum(ratio < 1 for ratio in each)} of {len(each)}")
        title = "the fastest of them on each layer" if engine == BEST else NAMES.get(engine, engine)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    cpus = "; ".join(f"{name_of(record)} on {record.machine['cpu']}" for record in records)
    return (
        "\n".join(lines) + f"\n\n{cpus}. The instruction set is tconv's; the others use all that the CPU has."
        f"{'' if alike(records) else ' Versions differ: ' + versions(records[1:], first) + '.'}\n\n"
    )


def alike(records: Sequence[Record]) -> bool:
    return all(record.machine["versions"] == records[0].machine["versions"] for record in records)


def versions(records: Sequence[Record], first: Record) -> str:
    """What is another version than in `first`."""
    return "; ".join(
        f"{name_of(record)} "
        + ", ".join(
            f"{NAMES.get(name, name)} {it}"
            for name, it in record.machine["versions"].items()
            if first.machine["versions"].get(name) != it
        )
        for record in records
        if record.machine["versions"] != first.machine["versions"]
    )


def block(records: Sequence[Record]) -> str:
    """A few sentences, a column for each record, the chart, and the first one's table, collapsed."""
    record = records[0]
    facts, ours = record.machine, record.engines[0]
    means = summary(record.results, record.engines)
    slower = {engine: sum(r < 1 for r in ratios(record.results, ours, engine)) for engine in means}
    peers = {engine: f"{NAMES[engine]} {facts['versions'][engine]}" for engine in means if engine in NAMES}
    *firsts, last = peers.values()
    if BEST in means:
        against, key = f"the fastest of {', '.join(firsts)} and {last} on each layer", BEST
    else:
        against, key = last, next(iter(peers))
    each = "; ".join(f"{NAMES[e]} alone {means[e]:.1f} times, {slower[e]} slower" for e in peers)
    return (
        f"Over {len(record.results)} layers of published networks, {facts['dtype']}, "
        f"{facts['threads']} threads, batch as published:\n**{means[key]:.1f} times as fast as {against}** "
        f"in the geometric mean ({slower[key]} of them slower), on {facts['cpu']} "
        f"with {name_of(record)}.\n"
        + (f"Against {each}.\n" if BEST in means else "")
        + "`tconv bench` measures it on your machine: each engine in a process of its own, in turns, answers "
        "compared\nfirst, medians.\n\n"
        + (columns(records) if len(records) > 1 else "")
        + "![Every layer: how many times as fast as the fastest peer](docs/speed.svg)\n\n"
        f"<details><summary>All layers with {name_of(record)}</summary>\n\n{table(record)}\n\n</details>\n"
    )


def main() -> None:
    """Write both, or print a joined run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="*", type=Path)
    parser.add_argument("--join", action="store_true", help="print one result made of these parts of it")
    asked = parser.parse_args()
    if asked.join:
        print(json.dumps(join([Record.read(path) for path in asked.results]).as_json(), indent=1))
        return
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if asked.results:
        names = " ".join(str(path.resolve().relative_to(ROOT)) for path in asked.results)
        text = MARKS.sub(lambda m: m[0].replace(m[2], names, 1), text)
    records = records_of(text)
    readme.write_text(MARKS.sub(lambda m: m[1] + block(records) + m[3], text), encoding="utf-8")
    draw(records[0], CHART)


if __name__ == "__main__":
    main()
