"""Write the README's block on speed from a kept result: python benchmarks/readme.py."""

from __future__ import annotations

import re
from pathlib import Path

from tconv.bench.report import Record, summary, table

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/first.json"
MARKS = re.compile(r"(<!-- speed: .*? -->\n).*?(<!-- /speed -->)", re.DOTALL)


def block(result: Path = RESULT) -> str:
    """One sentence, and the table behind a fold."""
    record = Record.read(result)
    facts = record.machine
    mean = summary(record.results, record.engines)["torch"]
    slower = sum(r.seconds["torch"] < r.seconds["tconv"] for r in record.results)
    return (
        f"Over {len(record.results)} layers of published networks, {facts['dtype']}, "
        f"{facts['threads']} threads, batch as published:\n**{mean:.1f} times as fast as PyTorch "
        f"{facts['versions']['torch']}** in the geometric mean ({slower} of them slower), on {facts['cpu']} "
        f"with {facts['instruction_set'].upper()}.\n`tconv bench` measures it on your machine: each engine "
        "in a process of its own, in turns, answers compared\nfirst, medians.\n\n"
        f"<details><summary>All layers</summary>\n\n{table(record)}\n\n</details>\n"
    )


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = MARKS.sub(lambda match: match[1] + block() + match[2], readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")
