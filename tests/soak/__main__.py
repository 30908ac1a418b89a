"""`python -m tests.soak --minutes 30 --seed 1`: prints counts, and exits with 1 if anything was wrong.

A third of the time each: random problems against the definitions; broken files; kills.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests import ROOT
from tests.soak.kills import Training, kill_writers
from tests.soak.values import check

#: Models that one process reads.
_BATCH = 500


def _values(until: float, seed: int) -> tuple[Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    faults = []
    for number in _numbers(until):
        try:
            counts[check(np.random.default_rng([seed, number]))] += 1
        except AssertionError as fault:
            faults.append(f"values {seed} {number}: {fault}")
    return counts, faults


def _files(until: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Each batch in a process of its own, whose memory is limited."""
    counts: Counter[str] = Counter()
    faults = []
    for number in _numbers(until):
        way = ("formats", "inspect", "diagnose", "rewrite")[number % 4]
        first = 10_000_000 + seed * 1_000_000 + number * _BATCH
        program = ["tests.soak.formats"] if way == "formats" else ["tests.onnx.fuzz", way]
        words = [sys.executable, "-m", *program, str(first), str(_BATCH)]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
        lines = done.stdout.splitlines() or ["nothing was printed"]
        if done.returncode:
            wrong = [line for line in lines if not line.startswith("case ")]
            faults.append(f"{' '.join(words[2:])}: {wrong[:5]} {lines[-1]} {done.stderr[-500:]}")
        else:
            counts[f"{way}: files"] += _BATCH
            counts[f"{way}: refused"] += int(lines[-1].split(", ")[1].split()[0])
    return counts, faults


def _training(until: float, seed: int) -> tuple[Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        runs = Training(Path(folder))
        for number in _numbers(until):
            try:
                counts["kills in training"] += runs.kill(np.random.default_rng([seed, number]))
                counts["runs finished and compared"] += 1
            except Exception as fault:
                faults.append(f"training {seed} {number}: {fault!r}")
    return counts, faults


def _writing(until: float, seed: int) -> tuple[Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    faults = []
    for number in _numbers(until):
        with tempfile.TemporaryDirectory() as folder:
            try:
                counts["kills in writing"] += kill_writers(
                    Path(folder), np.random.default_rng([seed, number])
                )
            except Exception as fault:
                faults.append(f"writing {seed} {number}: {fault!r}")
    return counts, faults


def _numbers(until: float) -> Iterator[int]:
    """0, 1, ... until then; 0 in any case."""
    number = 0
    while not number or time.monotonic() < until:
        yield number
        number += 1


PARTS: dict[str, tuple[float, Callable[[float, int], tuple[Counter[str], list[str]]]]] = {
    # Writers before training, which starts PyTorch's threads: a forked child has none of them.
    "values": (1 / 3, _values),
    "files": (1 / 3, _files),
    "writing": (1 / 9, _writing),
    "training": (2 / 9, _training),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS, help="one part, for the whole time")
    args = parser.parse_args()
    wrong = 0
    for name, (share, part) in PARTS.items():
        if args.only not in (None, name):
            continue
        begin = time.monotonic()
        counts, faults = part(begin + 60 * args.minutes * (1 if args.only else share), args.seed)
        print(
            f"{name}, {time.monotonic() - begin:.0f} s:",
            ", ".join(f"{n} {k}" for k, n in counts.most_common()),
        )
        for fault in faults:
            print(f"  WRONG {fault}", flush=True)
        wrong += len(faults)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
