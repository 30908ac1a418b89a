"""The brain net on another head: Colin27, which it never saw, before and after histogram matching.

`tconv train brain --recipe brain --out runs/brain` trains the net on MNI152, an average of 152 heads. Colin27
is one man, averaged over 27 scans, in Debian's package mricron-data (`apt-get download mricron-data`, then
`dpkg -x FILE .`, nothing is installed):

    python benchmarks/another_head.py runs/brain/best.ckpt usr/share/mricron/templates

There is no truth by hand. Three stand-ins, which measure different things:

- tissue: the brightness of the brain in three clusters (k-means): agreement with a threshold of the same
  picture. The net cannot learn this threshold here, and cortex, which holds both, is labelled otherwise on
  MNI152, so that 1 is out of reach;
- brain: the brain mask (ch2bet) against background: whether the outline is kept;
- cortex: of the pixels of the regions that the atlas AAL drew on this very head, the share labelled grey
  matter. The regions contain some white matter and fluid.

The pictures are the scan without its skull, as those of the training were.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tconv.errors import TconvError
from tconv.train.brain import LEAST_BRAIN, Brain

FILES = {
    "ch2bet": "592a2d20abdf36eefcb540ca8958428040edffc1bc1a18ba1dcfbabac77c5dd1",
    "aal": "b512dcd3f36b77f56be7a9a038134096e66314b7e8c31d25875b96bcf6991454",
}
GREY = 2
Bytes = npt.NDArray[np.uint8]


def read(folder: Path, name: str) -> Bytes:
    """A volume of the package, as slices from below with the front of the head on top."""
    import nibabel

    path = folder / f"{name}.nii.gz"
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise TconvError(f"{path}: not the file of Debian's mricron-data 1.2.20211006; that one would fit")
    volume = np.asarray(nibabel.nifti1.Nifti1Image.from_filename(path).dataobj)
    return np.ascontiguousarray(volume.transpose(2, 1, 0)[:, ::-1])


def matched(volume: Bytes, like: Bytes) -> Bytes:
    """A volume whose brain, all that is not 0, has the histogram of another's: rank by rank.

    >>> matched(np.array([0, 1, 1, 2], np.uint8), np.array([0, 0, 7, 7, 9], np.uint8))
    array([0, 7, 7, 9], dtype=uint8)
    """
    counts, wanted = (np.bincount(each[each > 0], minlength=256) for each in (volume, like))
    shares, goal = (np.cumsum(each) / each.sum() for each in (counts, wanted))
    table = np.searchsorted(goal, shares - 1e-12).clip(0, 255).astype(np.uint8)
    table[0] = 0
    return table[volume]


def clusters(volume: Bytes, count: int = 3) -> Bytes:
    """1 to `count` by brightness where the volume is not 0: k-means of the values, from their quantiles.

    >>> clusters(np.array([0, 10, 11, 50, 52, 90], np.uint8))
    array([0, 1, 1, 2, 2, 3], dtype=uint8)
    """
    weights = np.bincount(volume[volume > 0], minlength=256).astype(float)
    values = np.arange(256.0)
    middles = np.quantile(volume[volume > 0], (np.arange(count) + 0.5) / count)
    for _ in range(100):
        nearest = np.abs(values[:, None] - middles).argmin(1)
        moved = [np.average(values[nearest == k], weights=weights[nearest == k] + 1e-9) for k in range(count)]
        if np.allclose(moved, middles):
            break
        middles = np.sort(moved)
    table = (nearest + 1).astype(np.uint8)
    table[0] = 0
    return table[volume]


def measured(segmenter: Any, volume: Bytes, tissue: Bytes, regions: Bytes | None) -> dict[str, Any]:
    """Labels of every slice, and how they agree with the three stand-ins."""
    from tconv.train.measures import measures
    from tconv.train.predict import scores

    pictures = volume[..., None] / np.float32(255)
    guess = np.stack([scores(segmenter, each).argmax(0).numpy() for each in pictures])
    confusion = np.bincount((tissue.astype(np.int64) * 4 + guess).ravel(), minlength=16).reshape(4, 4)
    pairs = (tissue > 0) * 2 + (guess > 0)
    brain = np.bincount(pairs.ravel(), minlength=4).reshape(2, 2)
    found = measures(confusion)
    return {
        "tissue": found.mean_iou,
        "classes": dict(zip(segmenter.classes, found.iou, strict=True)),
        "brain": measures(brain).mean_iou,
        "cortex": None if regions is None else float((guess[regions > 0] == GREY).mean()),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table: MNI152's own test slices, and Colin27 before and after matching."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("templates", type=Path, help="the folder with ch2bet.nii.gz and aal.nii.gz")
    parser.add_argument("--every", type=int, default=1, help="label every Nth slice only")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    from tconv.train.checkpoint import load_segmenter
    from tconv.train.evaluate import evaluate

    segmenter, brain = load_segmenter(args.checkpoint), Brain()
    head, regions = (read(args.templates, name) for name in FILES)
    shown = np.flatnonzero((head > 0).sum((1, 2)) >= LEAST_BRAIN)[:: args.every]
    head, regions = head[shown], regions[shown]
    tissue = clusters(head)
    # The same stand-in on the head of the training: what agreement with a threshold is worth at best.
    blocks = brain.blocks()["test"]
    own = brain.pictures[blocks]
    result = {
        "MNI152, truth": {"tissue": evaluate(segmenter, brain).measures.mean_iou},
        "MNI152, clusters": measured(segmenter, own, clusters(own), None),
        "Colin27, as it is": measured(segmenter, head, tissue, regions),
        "Colin27, matched": measured(
            segmenter, matched(head, brain.pictures[brain.blocks()["train"]]), tissue, regions
        ),
    }
    if args.json:
        print(json.dumps(result))
        return 0
    names = list(segmenter.classes)
    print(f"| pictures | mean IoU | {' | '.join(names)} | brain | cortex |")
    print(f"|---|{'---:|' * (3 + len(names))}")
    for title, row in result.items():
        cells = [row["tissue"], *[row.get("classes", {}).get(name) for name in names]]
        cells += [row.get("brain"), row.get("cortex")]
        told = ["" if value is None else f"{value:.3f}" for value in cells]
        print(f"| {title} | {' | '.join(told)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
