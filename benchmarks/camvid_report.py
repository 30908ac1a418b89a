"""The page of `camvid.py`: results as Markdown, and what is significant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

CASES = 3
#: Two-sided 5 % points of Student's t with 1, 2, ... degrees of freedom.
CRITICAL = (12.71, 4.30, 3.18, 2.78, 2.57)


def mean_iou(confusion: Any) -> float:
    """Mean IoU over the classes that are present or predicted.

    >>> round(mean_iou(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])), 4)
    0.7083
    """
    right = np.diag(confusion).astype(float)
    either = confusion.sum(0) + confusion.sum(1) - right
    return float((right[either > 0] / either[either > 0]).mean())


def interval(one: Any, two: Any, draws: int = 1000) -> tuple[float, float]:
    """95 % of the differences in mean IoU, two minus one, when pictures are drawn again with repetition."""
    first, second = np.array(list(one.values())), np.array([two[name] for name in one])
    random = np.random.default_rng(0)
    gaps = []
    for _ in range(draws):
        chosen = random.integers(0, len(first), len(first))
        gaps.append(mean_iou(second[chosen].sum(0)) - mean_iou(first[chosen].sum(0)))
    low, high = np.quantile(gaps, (0.025, 0.975))
    return float(low), float(high)


def paired(one: Sequence[float], two: Sequence[float]) -> str:
    """The mean difference of pairs, Student's t, and whether it is significant at 5 %.

    >>> paired([0.60, 0.61, 0.60], [0.70, 0.72, 0.71])
    '+0.107 (t 32.0, significant)'
    """
    gaps = [b - a for a, b in zip(one, two, strict=True)]
    spread = stdev(gaps) / math.sqrt(len(gaps))
    t = mean(gaps) / spread if spread else math.inf
    sure = abs(t) > CRITICAL[min(len(gaps) - 2, len(CRITICAL) - 1)]
    return f"{mean(gaps):+.3f} (t {t:.1f}, {'significant' if sure else 'not significant'})"


def report(
    results: dict[str, dict[str, Any]],
    split: str,
    main: str,
    base: str,
    variants: Sequence[str],
    seeds: dict[str, list[str]],
) -> str:
    """The page in Markdown, of the results that are there: name of a run -> what `camvid.py` kept of it.

    ``seeds``: the runs of further seeds of each of the variants.
    """
    lines = [
        "# CamVid",
        "",
        "Written by `python benchmarks/camvid.py report`. Weights of the last epoch, a moving average;"
        f" split {split}, pictures whole at their own size; nothing was chosen on it but the recipe.",
    ]
    if main in results:
        lines += _main_part(results[main])
    if base in results:
        lines += _comparison(results, base, variants, seeds)
    return "\n".join(lines) + "\n"


def _main_part(found: dict[str, Any]) -> list[str]:
    rows, measures, flips = found["rows"], found["measures"], found["flips"]
    minutes = sum(row["seconds"] for row in rows) / 60
    step = max(1, len(rows) // 12)
    shown = [row for row in rows if row["epoch"] in (1, 2, 5) or row["epoch"] % step == 0 or row is rows[-1]]
    return [
        "", "## The main run", "",
        f"{found['settings']['net']}, {found['settings']['upsampling']} upsampling, {len(rows)} epochs in "
        f"{minutes:.0f} minutes: **mean IoU {measures['mean_iou']:.3f}**, pixel accuracy "
        f"{measures['pixel_accuracy']:.3f}; with the mirror image {flips['mean_iou']:.3f} and "
        f"{flips['pixel_accuracy']:.3f}. {1e3 * found['seconds_per_picture']:.0f} ms a picture "
        f"({found['machine']}).",
        "", "| class | IoU | with the mirror image |", "|---|---:|---:|",
        *[
            f"| {name} | {_number(iou)} | {_number(flips['iou'][name])} |"
            for name, iou in measures["iou"].items()
        ],
        "", "| epoch | training loss | val loss | val mean IoU |", "|---:|---:|---:|---:|",
        *[
            "| {epoch} | {train_loss:.3f} | {val_loss:.3f} | {val_mean_iou:.3f} |".format(**row)
            for row in shown
        ],
        "", f"Good and bad cases are in the run's folder, `cases/`; {_cases(found)}",
    ]  # fmt: skip


def _cases(found: dict[str, Any]) -> str:
    by_iou = sorted((mean_iou(np.array(matrix)), name) for name, matrix in found["confusions"].items())
    told = [
        ", ".join(f"{name} {iou:.2f}" for iou, name in part)
        for part in (by_iou[-CASES:][::-1], by_iou[:CASES])
    ]
    return f"mean IoU of the best pictures: {told[0]}; of the worst: {told[1]}."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _comparison(
    results: dict[str, dict[str, Any]],
    name_of_base: str,
    variants: Sequence[str],
    seeds: dict[str, list[str]],
) -> list[str]:
    base = results[name_of_base]
    lines = [
        "", "## Strides and upsamplings", "",
        f"The same seed, recipe and {base['settings']['epochs']} epochs each. The interval is of the"
        f" difference from {name_of_base} with learned upsampling, over pictures drawn again (95 % of a"
        " bootstrap): it says how much the choice of pictures matters, not how much another seed would."
        " Pictures of a sequence resemble each other, so it is rather too narrow.",
        "", "| run | net | upsampling | mean IoU | pixel accuracy | difference | interval | minutes |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name in variants:
        if name not in results:
            continue
        found, settings = results[name]["measures"], results[name]["settings"]
        cells = [name, settings["net"], settings["upsampling"], f"{found['mean_iou']:.3f}"]
        cells += [f"{found['pixel_accuracy']:.3f}"]
        if name == name_of_base:
            cells += ["", ""]
        else:
            low, high = interval(base["confusions"], results[name]["confusions"])
            gap = found["mean_iou"] - base["measures"]["mean_iou"]
            cells += [f"{gap:+.3f}", f"{low:+.3f} to {high:+.3f}"]
        cells += [f"{sum(row['seconds'] for row in results[name]['rows']) / 60:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    pairs = [
        name for name in variants if name != name_of_base and all(each in results for each in seeds[name])
    ]
    for name in pairs if all(each in results for each in seeds[name_of_base]) else []:
        values = [
            [results[each]["measures"]["mean_iou"] for each in (one, *seeds[one])]
            for one in (name, name_of_base)
        ]
        told = [", ".join(f"{value:.3f}" for value in each) for each in values]
        lines += [
            "",
            f"{len(values[0])} seeds of the closest pair: {name} {told[0]}; {name_of_base} {told[1]}; "
            f"{name_of_base} minus {name} "
            f"{paired(*values)}.",
        ]
    return lines
