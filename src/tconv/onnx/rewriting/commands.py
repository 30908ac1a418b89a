"""The command ``tconv rewrite``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, printable

__all__ = ["add_parser"]

REWRITE = """\
example:
  tconv rewrite model.onnx faster.onnx --for speed
  tconv rewrite model.onnx faster.onnx --for engine
  tconv rewrite model.onnx plain.onnx --for no-groups,no-dilation

Rewrites a model exactly and checks that its outputs stay the same. For speed it times every rewriting in
ONNX Runtime on this machine and keeps only those that make the whole model more than 5 % faster. For the
engine it first times each layer: those that tconv's engine computes faster become nodes of the domain tconv,
which sessions run after tconv.onnx.register(options). For a target it removes what the target does not
support. Exit status: 0 written, 1 the outputs differ or a layer remains that the target does not support
(nothing is written), 2 bad input."""

MORE = """\
more examples:
  tconv rewrite model.onnx faster.onnx --for speed --input x=1x3x640x640 --threads 1 --seconds 30
  tconv rewrite model.onnx faster.onnx --for speed --input feeds.npz --json
  tconv rewrite det.onnx faster.onnx --for engine --feeds street.jpg --feeds door.png --pixels imagenet
  tconv rewrite model.onnx plain.onnx --for opencv"""


def add_parser(subparsers: Any) -> None:
    """Register ``tconv rewrite``."""
    from tconv.onnx.rewriting.goals import TARGETS

    parser = subparsers.add_parser(
        "rewrite",
        help="make an ONNX model faster, or fit for a runtime, with the same outputs",
        description=REWRITE,
        epilog=MORE,
    )
    parser.add_argument("model", type=Path, metavar="IN.onnx", help="the model; never changed")
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="the file to write")
    parser.add_argument(
        "--for",
        dest="goal",
        required=True,
        metavar="speed|engine|TARGET",
        help="speed; tconv's engine, which ONNX Runtime loads as a library; or what a runtime lacks, "
        "separated by commas: " + ", ".join(TARGETS),
    )
    parser.add_argument(
        "--check",
        action="store_true",
        default=True,
        help="compare both models' outputs in ONNX Runtime, which is the default",
    )
    parser.add_argument("--no-check", dest="check", action="store_false", help="do not compare them")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="FEEDS.npz|[NAME=]SHAPE",
        help="inputs to check and time with: arrays by name, or a shape such as x=1x3x640x640; repeatable",
    )
    parser.add_argument(
        "--feeds",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="inputs to check and time with: arrays by name (.npz), a picture (.png, .jpg) or a sound (.wav) "
        "for the model's only input, in its shape and type; open sizes are the file's, rounded as the model "
        "needs; repeatable",
    )
    parser.add_argument(
        "--pixels",
        default="",
        metavar="RANGE|MEANS/DEVIATIONS",
        help="the numbers of a picture: 0..1, the default for floats; 0..255, that for integers; "
        "--pixels=-1..1; imagenet; or for each channel, such as 0.5,0.5,0.5/0.2,0.2,0.2",
    )
    parser.add_argument(
        "--threads",
        dest="workers",
        type=int,
        default=0,
        metavar="N",
        help="threads of ONNX Runtime; default: its own choice",
    )
    parser.add_argument(
        *("--seconds",),
        type=float,
        default=60.0,
        metavar="S",
        help="about how long to measure; 0: the engine's layers by estimate; default: 60",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(func=_rewrite)


def _rewrite(args: argparse.Namespace) -> int:
    from tconv.documents import terminal
    from tconv.models.onnx.reader import read
    from tconv.onnx.rewriting.feeds import needed
    from tconv.onnx.rewriting.goals import ENGINE
    from tconv.onnx.rewriting.run import Refused, rewrite

    if not 0 <= args.workers <= 1024:
        raise TconvError(f"--threads {args.workers}: 1 to 1024, or 0 for its own choice, would fit")
    if not 0 <= args.seconds < 1e6 or (args.seconds == 0 and args.goal != ENGINE):
        raise TconvError(f"--seconds {args.seconds}: a number above 0 would fit, or 0 for the engine")
    files = [entry for entry in args.input if entry.endswith(".npz")]
    files += [_feeds(entry) for entry in args.feeds]
    said = [_shape(entry) for entry in args.input if not entry.endswith(".npz")]
    model = read(args.model)
    names = [str(value.name) for value in needed(model.onnx)] if said else []
    with terminal.status("reading") as status:
        try:
            report = rewrite(
                args.model,
                args.out,
                goal=args.goal,
                check=args.check,
                inputs=files,
                pixels=args.pixels,
                shapes=dict(_named(name, shape, names) for name, shape in said),
                threads=args.workers,
                seconds=args.seconds,
                tell=status,
            )
        except Refused as refused:
            print(printable(f"tconv rewrite: {refused}"), file=sys.stderr)
            return 1
    if args.json:
        print(json.dumps({**report.as_dict(), "written": str(args.out)}))
        return 0
    terminal.show(report.document(), sys.stderr)
    same = "" if report.done else ", the same model"
    print(printable(f"wrote {args.out}{same}"), file=sys.stderr)
    return 0


def _feeds(entry: str) -> str | dict[str, str]:
    """A file, or the file by the name before the equals sign, unless a file is so named."""
    name, equals, path = entry.partition("=")
    return {name: path} if equals and name and not Path(entry).exists() else entry


def _shape(entry: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = entry.rpartition("=")
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", sizes):
        raise TconvError(f"--input {entry!r}: a .npz file, or a shape such as x=1x3x640x640 would fit")
    return name, tuple(int(size) for size in sizes.split("x"))


def _named(name: str, shape: tuple[int, ...], names: list[str]) -> tuple[str, tuple[int, ...]]:
    if not name and len(names) == 1:
        name = names[0]
    if name not in names:
        raise TconvError(
            f"--input {name or 'x'.join(map(str, shape))}: the model's inputs are {', '.join(names)}"
        )
    return name, shape
