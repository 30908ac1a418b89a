"""Pupils of mice: FCN-8s fine-tuned on about 24 photographs, tested on the sessions it never saw.

32 photographs with masks by hand come with the sources of mouse-pupil-analysis (MIT):

    pip download --no-deps --no-binary=:all: mouse-pupil-analysis==0.3.0
    tar xzf mouse_pupil_analysis-0.3.0.tar.gz
    python benchmarks/pupils.py mouse_pupil_analysis-0.3.0/sample_data --out runs/pupils

The four folds are those of the package; each holds whole sessions (an animal, a day, a condition), so that no
picture of a test session was trained on. Each run is resumed; results are kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tconv.errors import TconvError
from tconv.runs.memory import keep_memory

#: From random weights a net learns nothing from 24 pictures whose pupils cover 0.3 to 46 % of them.
SETTINGS: dict[str, Any] = {
    "net": "fcn8s",
    "backbone": "efficientnet-lite0",
    "weights": "auto",
    "upsampling": "learned",
    "head": 64,
    "epochs": 60,
    "batch": 4,
    "lr": 2e-3,
    "backbone_lr": 5e-4,
    "freeze_norm": True,
    "augment": True,
    "crop": [176, 224],
    "scales": [0.6, 1.5],
    "light": 0.3,
    "ema": 0.98,
}


def folds_of(sample: Path) -> list[list[str]]:
    """The sessions of each fold, as the package has them."""
    path = sample / "training_data_split.json"
    try:
        content = json.loads(path.read_text())
        pairs = [(int(each["fold"]), str(each["session"])) for each in content["sessions"]]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise TconvError(
            f"{path}: no folds ({fault}); sample_data of mouse-pupil-analysis 0.3.0 would fit"
        ) from fault
    return [[name for fold, name in pairs if fold == number] for number in sorted({f for f, _ in pairs})]


def write_fold(sample: Path, sessions: Sequence[str], held: Sequence[str], out: Path) -> None:
    """A data folder: the held sessions are "val", which is measured at the end, the others "train"."""
    from PIL import Image

    shutil.rmtree(out, ignore_errors=True)
    for kind in ("train", "val"):
        for part in ("images", "labels"):
            (out / kind / part).mkdir(parents=True)
    (out / "classes.txt").write_text("other\npupil\n")
    for session in sessions:
        kind = "val" if session in held else "train"
        for path in sorted((sample / "labeled_frames" / session / "images").glob("*.png")):
            stem = path.stem.replace(" ", "_")
            Image.open(path).convert("L").save(out / kind / "images" / f"{stem}.png")
            mask = Image.open(path.parent.parent / "masks" / path.name)
            mask.save(out / kind / "labels" / f"{stem}.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Train and measure each fold, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sample", type=Path, help="the folder sample_data")
    parser.add_argument("--out", type=Path, default=Path("runs/pupils"))
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--weights", help="a file of EfficientNet-Lite0's weights; default: an installed one")
    args = parser.parse_args(argv)
    from tconv.train.evaluate import evaluate
    from tconv.train.run import fit

    keep_memory()
    folds = folds_of(args.sample)
    sessions = [name for fold in folds for name in fold]
    rows = []
    for number, held in enumerate(folds, 1):
        result = args.out / f"fold{number}.json"
        if not result.is_file():
            data = args.out / f"data{number}"
            write_fold(args.sample, sessions, held, data)
            folder = args.out / f"fold{number}"
            resume = (folder / "last.ckpt").is_file()
            settings = {**SETTINGS, "epochs": args.epochs}
            if args.weights:
                settings["weights"] = args.weights
            if resume:
                settings.pop("weights", None)
            run = fit(data, folder, resume=resume, **settings)
            # The last epoch: the best one would be chosen by the very pictures that are measured.
            found = evaluate(run.last, data, split="val").as_dict()
            seconds = sum(row["seconds"] for row in run.rows)
            result.write_text(json.dumps({**found, "sessions": held, "seconds": seconds}))
        rows.append(json.loads(result.read_text()))
    print("| fold | sessions | pictures | mean IoU | IoU of the pupil | seconds |")
    print("|---:|---:|---:|---:|---:|---:|")
    for number, row in enumerate(rows, 1):
        told = f"{row['pictures']} | {row['mean_iou']:.3f} | {row['iou']['pupil']:.3f} | {row['seconds']:.0f}"
        print(f"| {number} | {len(row['sessions'])} | {told} |")
    for title, values in {
        "mean IoU": [row["mean_iou"] for row in rows],
        "IoU of the pupil": [row["iou"]["pupil"] for row in rows],
    }.items():
        print(f"\n{title}: {mean(values):.3f} ± {stdev(values):.3f} over {len(values)} folds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
