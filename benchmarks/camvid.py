"""Streets: FCN-8s on EfficientNet-Lite0, and the comparison of the FCN paper's section 4.2, on CamVid.

`python benchmarks/camvid.py main` trains the main run, `compare` the comparison, one run after the other,
each in a folder of its own; `run NAME` trains one of them. A command that was stopped resumes. `report`
writes benchmarks/camvid.md from the results that are there.

CamVid's licence allows research and no redistribution: its pictures are read by path, and pictures of good
and bad cases are written to the run's folder only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from camvid_report import CASES, mean_iou, report

from tconv.runs.memory import keep_memory

ROOT = Path(__file__).resolve().parents[1]
MAIN = "main"


class Variant(NamedTuple):
    """A run of the comparison; all else is the recipe's."""

    net: str
    upsampling: str
    seed: int = 0


VARIANTS = {
    "fcn32s": Variant("fcn32s", "learned"),
    "fcn16s": Variant("fcn16s", "learned"),
    "fcn8s": Variant("fcn8s", "learned"),
    "fcn4s": Variant("fcn4s", "learned"),
    "fixed": Variant("fcn8s", "fixed"),
    "nearest": Variant("fcn8s", "nearest"),
    "subpixel": Variant("fcn8s", "subpixel"),
}
BASE = "fcn8s"
SEEDS = 3


def train(args: argparse.Namespace, name: str, variant: Variant, epochs: int | None) -> dict[str, Any]:
    """Train a run, or what is left of it, measure it on the split, and keep the result beside it."""
    from tconv.train.checkpoint import load_segmenter
    from tconv.train.data import open_data
    from tconv.train.evaluate import evaluate
    from tconv.train.recipe import read_recipe
    from tconv.train.run import fit

    folder = args.out / name
    result = folder / f"{args.split}.json"
    if result.is_file():
        return dict(json.loads(result.read_text()))
    recipe = read_recipe(args.recipe)
    settings: Any = {**recipe.settings, **variant._asdict()}
    if epochs is not None:
        settings["epochs"] = epochs
    there = (folder / "last.ckpt").is_file()
    weights = None if there else args.weights or recipe.weights
    print(f"{name}: {settings['net']}, {settings['upsampling']}, seed {settings['seed']}", file=sys.stderr)
    data = open_data(args.data)
    run = fit(data, folder, resume=there, weights=weights, **settings)
    # The last epoch, whose weights are averaged: no epoch was chosen by what is measured here.
    segmenter = load_segmenter(run.last)
    begun = time.perf_counter()
    plain = evaluate(segmenter, data, split=args.split)
    seconds = time.perf_counter() - begun
    found = {
        "name": name,
        "settings": settings,
        "rows": run.rows,
        "classes": list(plain.classes),
        "measures": plain.as_dict(),
        "flips": evaluate(segmenter, data, split=args.split, flips=True).as_dict(),
        "confusions": _confusions(segmenter, data.split(args.split), folder, args.cases),
        "seconds_per_picture": seconds / plain.pictures,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }
    result.write_text(json.dumps(found))
    return found


def _confusions(segmenter: Any, split: Any, folder: Path, cases: int) -> dict[str, list[list[int]]]:
    """Confusion matrix of each picture; the best and worst pictures are drawn: input, truth, labels."""
    from PIL import Image

    from tconv.train.pictures import IGNORED
    from tconv.train.predict import overlay, scores

    classes = len(segmenter.classes)
    matrices, drawn = {}, []
    for index, name in enumerate(split.names):
        picture, label = split[index]
        guess = scores(segmenter, picture).argmax(0).numpy().astype(np.uint8)
        counted = label != IGNORED
        pairs = label[counted].astype(np.int64) * classes + guess[counted]
        matrices[name] = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        drawn.append((mean_iou(matrices[name]), index, guess))
    order = sorted(drawn, key=lambda case: case[0])
    for kind, chosen in {"bad": order[:cases], "good": order[::-1][:cases]}.items():
        for place, (iou, index, guess) in enumerate(chosen, 1):
            picture, label = split[index]
            known = np.where(label == IGNORED, guess, label)
            rows = [np.rint(picture * 255).astype(np.uint8)]
            rows += [overlay(picture, each, segmenter.classes, segmenter.colours) for each in (known, guess)]
            path = folder / "cases" / f"{kind}{place}-{split.names[index]}-{iou:.2f}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.concatenate(rows, 1)).save(path)
    return {name: matrix.tolist() for name, matrix in matrices.items()}


def closest(results: dict[str, dict[str, Any]]) -> str:
    """The variant whose mean IoU is nearest to that of `BASE`."""
    base = results[BASE]["measures"]["mean_iou"]
    others = [name for name in VARIANTS if name in results and name != BASE]
    return min(others, key=lambda name: abs(results[name]["measures"]["mean_iou"] - base))


def seeds_of(name: str) -> dict[str, Variant]:
    """The runs of further seeds of a variant."""
    return {f"{name}-seed{seed}": VARIANTS[name]._replace(seed=seed) for seed in range(1, SEEDS)}


def main(argv: Sequence[str] | None = None) -> int:
    """Train what was asked for and is not there yet, or write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("main", "compare", "run", "report"))
    parser.add_argument("name", nargs="?", help=f"a run of the comparison: {', '.join(VARIANTS)}")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared/data/camvid", help="CamVid's folder"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs/camvid")
    parser.add_argument("--recipe", default="streets")
    parser.add_argument("--weights", help="a file of EfficientNet-Lite0's weights; default: the recipe's")
    parser.add_argument("--epochs", type=int, help="of the main run; default: the recipe's")
    parser.add_argument("--compare-epochs", type=int, default=12, help="of each other run; default: 12")
    parser.add_argument("--split", default="val")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks/camvid.md")
    args = parser.parse_args(argv)
    keep_memory()
    if args.what == "report":
        found = {
            path.parent.name: json.loads(path.read_text())
            for path in sorted(args.out.glob(f"*/{args.split}.json"))
        }
        seeds = {name: list(seeds_of(name)) for name in VARIANTS}
        args.page.write_text(report(found, args.split, MAIN, BASE, tuple(VARIANTS), seeds))
    elif args.what == "main":
        train(args, MAIN, Variant("fcn8s", "learned"), args.epochs)
    else:
        every = {**VARIANTS, **{k: v for name in VARIANTS for k, v in seeds_of(name).items()}}
        if args.what == "run" and args.name not in every:
            parser.error(f"name: one of {', '.join(every)}")
        chosen = {args.name: every[args.name]} if args.what == "run" else VARIANTS
        results = {name: train(args, name, each, args.compare_epochs) for name, each in chosen.items()}
        if args.what == "compare":
            for name in (closest(results), BASE):
                for again, variant in seeds_of(name).items():
                    train(args, again, variant, args.compare_epochs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
