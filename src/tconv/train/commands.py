"""The commands ``tconv train``, ``evaluate`` and ``predict``: their options, and how results are printed.

Importable without PyTorch: each command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tconv.documents import terminal
from tconv.errors import printable
from tconv.nets import BACKBONES, NETS, UPSAMPLINGS
from tconv.runs.processes import is_first
from tconv.train.predict_command import add_predict
from tconv.train.recipe import RECIPES, Recipe, read_recipe, written
from tconv.train.settings import DEFAULTS, LEARNING_RATES, Settings

__all__ = ["add_evaluate", "add_parser", "add_predict", "add_train"]

DATA_HELP = "a folder with classes.txt, SPLIT/images and SPLIT/labels, or the built-in name 'brain'"

IGNORE_HELP = "the label that is ignored; default: 255, and the number of classes"

TRAIN = """\
example:
  tconv train brain --net fcn8s --upsampling learned --out runs/brain
  tconv train brain --out runs/brain --resume
  tconv train photos --recipe streets --out runs/photos

Trains an FCN on the splits 'train' and 'val' and writes to the run's folder: log.csv (one row per epoch),
best.ckpt (the highest mean IoU on 'val'), last.ckpt (the last finished epoch) and recipe.toml (all settings).
A run may be killed at any moment: --resume continues after the last finished epoch and ends with the weights
of an uninterrupted run with the same number of threads.

A data folder holds classes.txt (one class per line) and for each split SPLIT/images (PNG or JPEG, gray or
RGB, any sizes) and SPLIT/labels (PNG of the same stem and size). Labels hold one class index per pixel; the
number of classes and 255 are ignored, unless --ignore names another value. For labels of colours the lines
of classes.txt are 'name r g b', and 'ignored r g b' for colours that are ignored. The classes' shares of
pixels are printed first; a class without pixels in 'train' is refused."""

TRAIN_END = """\
recipes:
  A recipe is a TOML file of lines 'name = value'. Names are those of the options above, and
    head             channels of a 3x3 convolution before the scores of each stride; 0: none
    backbone_lr      learning rate of the backbone, where it is not lr
    weight_decay     AdamW's
    warmup, decay    share of the steps in which rates rise; "cosine" or "poly"
    class_weights    "none", "median" (median frequency balancing) or "root" (its square root)
    freeze_norm      true: the backbone's batch norms keep the statistics of their weights
    ema              decay of a moving average of the weights, which is validated and kept; 0: none
    scales           [0.75, 1.5]: range of the random scale of --augment
    light, saturation  largest random change of --augment
    weights          "auto" or a file, as --weights
  'streets' is for photographs: EfficientNet-Lite0 with ImageNet's weights, augmentation, a moving average.

several machines:
  on each of M machines, with HOST the name of the first and a folder that all of them see as --out:
  torchrun --nnodes M --nproc-per-node N --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
      -m tconv train DATA --out runs/x --nodes M --devices N"""

EVALUATE = """\
example:
  tconv evaluate runs/brain/best.ckpt brain --split test
  tconv evaluate runs/brain/best.ckpt brain --json

Prints pixel accuracy, mean accuracy, mean IoU, frequency-weighted IoU, the IoU of each class and the
confusion matrix (rows: the truth; columns: the prediction), over all pixels of a split that are not
ignored. The formulas are those of Long, Shelhamer, Darrell (2015), section 5."""


def add_parser(subparsers: Any) -> None:
    """Register the three commands."""
    add_train(subparsers)
    add_evaluate(subparsers)
    add_predict(subparsers)


def add_train(subparsers: Any) -> None:
    """Register ``tconv train``."""
    parser = subparsers.add_parser(
        "train", help="train an FCN on labelled pictures", description=TRAIN, epilog=TRAIN_END
    )
    # A setting that is not given is absent: with --resume the run's own value is used.
    absent: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument("--out", required=True, type=Path, help="the run's folder")
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help=f"a TOML file of settings, or {' or '.join(RECIPES)}; options given here take precedence",
    )
    parser.add_argument("--net", choices=NETS, help=f"default: {DEFAULTS['net']}", **absent)
    parser.add_argument("--backbone", choices=BACKBONES, help=f"default: {DEFAULTS['backbone']}", **absent)
    parser.add_argument(
        "--upsampling", choices=UPSAMPLINGS, help=f"default: {DEFAULTS['upsampling']}", **absent
    )
    parser.add_argument(
        "--epochs", type=int, help=f"default: {DEFAULTS['epochs']}; may be raised on --resume", **absent
    )
    parser.add_argument(
        "--batch",
        type=int,
        help="pictures per step, over all processes; default: 1 for each",
        **absent,
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in LEARNING_RATES.items())
    parser.add_argument("--lr", type=float, help=f"first learning rate of AdamW; default: {rates}", **absent)
    parser.add_argument(
        "--crop",
        type=int,
        metavar="SIZE",
        help="train on random SIZE x SIZE crops; default: whole pictures",
        **absent,
    )
    parser.add_argument(
        "--augment", action="store_true", help="random flips, scaling, brightness, contrast", **absent
    )
    parser.add_argument("--seed", type=int, help=f"default: {DEFAULTS['seed']}", **absent)
    parser.add_argument("--ignore", type=int, metavar="N", help=IGNORE_HELP, **absent)
    parser.add_argument("--resume", action="store_true", help="continue after the last finished epoch")
    parser.add_argument(
        "--init-from",
        metavar="CKPT",
        help="start with the matching tensors of another net's checkpoint (32s for 16s, 16s for 8s)",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="start with the weights of a local classifier (VGG16: PyTorch state dict or Keras .h5; "
        "EfficientNet-Lite0: state dict), or 'auto': those of an installed package",
    )
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="processes on this machine; default: 1"
    )
    parser.add_argument(
        "--nodes", type=int, default=1, metavar="M", help="machines, started by torchrun; default: 1"
    )
    parser.add_argument(
        "--profile", action="store_true", help="print where the time of a step goes, when training ends"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_train)


def add_evaluate(subparsers: Any) -> None:
    """Register ``tconv evaluate``."""
    parser = subparsers.add_parser(
        "evaluate", help="measure a trained net on labelled pictures", description=EVALUATE
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="best.ckpt or last.ckpt of a run")
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument("--split", default="test", help="default: test")
    parser.add_argument(
        "--ignore", type=int, metavar="N", help="the label that is ignored; default: that of the run"
    )
    parser.add_argument(
        "--flips", action="store_true", help="average the probabilities of each picture and its mirror image"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_evaluate)


def _train(args: argparse.Namespace) -> int:
    recipe = read_recipe(args.recipe) if args.recipe is not None else Recipe({}, None)
    from tconv.runs.memory import keep_memory
    from tconv.train.log import without
    from tconv.train.profiling import Profiler
    from tconv.train.run import fit

    given = {name: value for name, value in vars(args).items() if name in Settings.__annotations__}
    settings = {**recipe.settings, **given}
    weights = recipe.weights if args.weights is None and not args.resume else args.weights
    if settings and args.recipe is not None and is_first():
        print(written(settings, weights), file=sys.stderr)
    keep_memory()
    profiler = Profiler() if args.profile else None
    run = fit(
        args.data,
        args.out,
        resume=args.resume,
        init_from=args.init_from,
        weights=weights,
        devices=args.devices,
        nodes=args.nodes,
        callbacks=[] if profiler is None else [profiler],
        **settings,
    )
    if not is_first():
        return 0
    best = run.best_row
    result = {
        "best": str(run.best),
        "last": str(run.last),
        "epochs": len(run.rows),
        "best_epoch": best["epoch"],
    }
    result["val_mean_iou"] = best["val_mean_iou"]
    result["val_classes_without_pixels"] = list(run.absent)
    if profiler is not None and profiler.times.steps:  # with several processes it is theirs
        result["profile"] = profiler.times.as_dict()
    if args.json:
        print(json.dumps(result))
    else:
        told = f"epoch {best['epoch']} of {len(run.rows)}  val mean IoU {best['val_mean_iou']:.4f}"
        print(printable(f"{run.best}  {told}{without(run.absent)}"))
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from tconv.train.evaluate import evaluate

    found = evaluate(args.checkpoint, args.data, split=args.split, ignore=args.ignore, flips=args.flips)
    if args.json:
        print(json.dumps(found.as_dict()))
    else:
        terminal.show(found.document())
    return 0
