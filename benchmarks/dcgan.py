"""Does the checkerboard of a generator's weights show in its pictures? Several seeds of `tconv demo dcgan`.

Runs the demo once for each seed, in folders that are resumed, and prints a table in Markdown: mean and
standard deviation over the seeds, and paired differences from `nearest`, whose weights have no pattern.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tconv.demos import dcgan

#: Two-sided 5 % points of Student's t with 1, 2, ... degrees of freedom.
CRITICAL = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)

BASE = "nearest"
TOGETHER = "the others together"

#: Title -> the number of a way in the demo's JSON.
MEASURES = {
    "Frechet distance": lambda way: way["frechet"],
    "weights, every 2": lambda way: way["ripple"][2],
    "pictures, every 2": lambda way: way["excess"][2],
    "weights, every 4": lambda way: way["ripple"][4],
    "pictures, every 4": lambda way: way["excess"][4],
}


#: Those that are ratios of powers.
POWERS = ("pictures, every 2", "pictures, every 4")


def paired(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, bool]:
    """The mean difference, Student's t of the pairs, and whether it is significant at 5 %.

    >>> paired([3.0, 4.1, 5.0], [1.0, 2.0, 3.0])[2]
    True
    """
    gaps = [a - b for a, b in zip(values, base, strict=True)]
    if len(gaps) < 2:
        return mean(gaps), math.nan, False
    spread = stdev(gaps) / math.sqrt(len(gaps))
    t = mean(gaps) / spread if spread else math.inf * (mean(gaps) > 0 or -1)
    return mean(gaps), t, abs(t) > CRITICAL[min(len(gaps) - 2, len(CRITICAL) - 1)]


def summary(runs: Sequence[Mapping[str, Any]]) -> str:
    """A table in Markdown: mean and deviation of each way, and its comparison with `BASE`.

    The last row compares the mean of all others. Powers are compared by their logarithms, and told as ratios.
    """
    ways = list(runs[0]["ways"])
    lines = ["| way | " + " | ".join(MEASURES) + " |", "|---|" + "---:|" * len(MEASURES)]
    rows: dict[str, list[str]] = {way: [] for way in [*ways, TOGETHER]}
    for title, number in MEASURES.items():
        as_log = title in POWERS
        scaled = {way: [_scaled(number(run["ways"][way]), as_log) for run in runs] for way in ways}
        others = [scaled[way] for way in ways if way != BASE]
        scaled[TOGETHER] = [mean(of_seed) for of_seed in zip(*others, strict=True)]
        for way, values in scaled.items():
            plain = [] if way == TOGETHER else [number(run["ways"][way]) for run in runs]
            cell = _spread(plain)
            if way != BASE:
                gap, t, sure = paired(values, scaled[BASE])
                told = f"x{math.exp(gap):.2f}" if as_log else f"{gap:+.2f}"
                cell += f" ({told}, t {t:.1f}{', significant' if sure else ''})"
            rows[way].append(cell.strip())
    lines += [f"| {way} | " + " | ".join(cells) + " |" for way, cells in rows.items()]
    floors = ", ".join(f"{run['frechet_floor']:.2f}" for run in runs)
    real = ", ".join(f"{run['excess_of_training'][2]:.2f}" for run in runs)
    lines += ["", f"Training against test pictures: Frechet distance {floors}; pictures, every 2: {real}."]
    return "\n".join(lines)


def _scaled(value: float, as_log: bool) -> float:
    return math.log(value) if as_log else value


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the four IDX files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=dcgan.STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs/dcgan-seeds"))
    args = parser.parse_args(argv)
    runs = []
    for seed in range(args.seeds):
        found = dcgan.run(args.out / str(seed), seed=seed, steps=args.steps, data=args.data)
        runs.append(dcgan.as_dict(found))
        (args.out / str(seed) / "result.json").write_text(json.dumps(runs[-1]))
    print(f"{args.seeds} seeds, {args.steps} steps of each way, {runs[0]['data']}.\n")
    print(summary(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
