"""Write the README's block on speed, and its chart docs/speed.svg: python benchmarks/readme.py [RESULT].

RESULT is a saved `tconv bench --json`; by default it is the one that the README names.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tconv.bench.chart import draw
from tconv.bench.report import BEST, Record, ratios, summary, table

ROOT = Path(__file__).parents[1]
CHART = ROOT / "docs/speed.svg"
MARKS = re.compile(r"(<!-- speed: made by `tconv bench --from (\S+)` -->\n).*?(<!-- /speed -->)", re.DOTALL)
NAMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "jax": "JAX"}


def record_of(text: str) -> Record:
    """The run that the README `text` names."""
    marked = MARKS.search(text)
    assert marked is not None, "the README has no block between <!-- speed: ... --> and <!-- /speed -->"
    return Record.read(ROOT / marked[2])


def block(record: Record) -> str:
    """A few sentences, the chart, and the table in a collapsed block."""
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
        f"with {facts['instruction_set'].upper()}.\n"
        + (f"Against {each}.\n" if BEST in means else "")
        + "`tconv bench` measures it on your machine: each engine in a process of its own, in turns, answers "
        "compared\nfirst, medians.\n\n"
        "![Every layer: how many times as fast as the fastest peer](docs/speed.svg)\n\n"
        f"<details><summary>All layers</summary>\n\n{table(record)}\n\n</details>\n"
    )


def main() -> None:
    """Write both."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if len(sys.argv) > 1:
        name = str(Path(sys.argv[1]).resolve().relative_to(ROOT))
        text = MARKS.sub(lambda m: m[0].replace(m[2], name, 1), text)
    record = record_of(text)
    readme.write_text(MARKS.sub(lambda m: m[1] + block(record) + m[3], text), encoding="utf-8")
    draw(record, CHART)


if __name__ == "__main__":
    main()
