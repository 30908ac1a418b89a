"""The command ``tconv inspect``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, printable

__all__ = ["add_parser"]

INSPECT = """\
example:
  tconv inspect model.onnx
  tconv inspect model.onnx --input x=1x3x640x640 --html report.html

Inspects an ONNX model: every transposed convolution with its problem, weights, exact multiplications and
their share of the model's, memory, how each runtime computes it, the findings of tconv diagnose and what
tconv rewrite could do. The model is not run. Exit status: 0 inspected, 2 bad input."""

MORE = """\
more examples:
  tconv inspect model.onnx --size height=640 --size width=640
  tconv inspect model.onnx --json"""


_TORCH = (".pt", ".pth", ".ckpt", ".pt2")


def add_parser(subparsers: Any) -> None:
    """Register ``tconv inspect``."""
    parser = subparsers.add_parser(
        "inspect",
        help="inspect an ONNX model: its transposed convolutions and what they cost",
        description=INSPECT,
        epilog=MORE,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="an .onnx file")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="size of an axis that the model leaves open",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]SHAPE",
        help="shape of an input, such as x=1x3x640x640, or of a value whose size depends on the data",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page with drawings")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_inspect)


def _inspect(args: argparse.Namespace) -> int:
    from tconv.documents import html, terminal
    from tconv.files import write_aside
    from tconv.onnx.inspection import inspect

    if args.html:
        html.check()
    if args.model.suffix in _TORCH:
        raise TconvError(
            f"{str(args.model)!r:.300} is a file of PyTorch; an .onnx file would fit, or from Python "
            "tconv.onnx.inspect(module, example=x)"
        )
    if not args.model.exists() and _is_problem(str(args.model)):
        raise TconvError(f"{str(args.model)!r} is a problem, not a file; tconv explain and diagnose take it")
    found = inspect(
        args.model,
        sizes=dict(_size(entry) for entry in args.size),
        input=dict(_shape(entry) for entry in args.input),
    )
    if args.html:
        page = found.html()
        with write_aside(args.html) as file:
            file.write(page.encode())
        print(printable(f"wrote {args.html}"), file=sys.stderr)
    if args.json:
        print(json.dumps(found.as_dict()))
    else:
        terminal.show(found.document())
    return 0


def _is_problem(text: str) -> bool:
    from tconv.geometry import Geometry

    try:
        Geometry.parse(text)
    except TconvError:
        return False
    return True


def _size(entry: str) -> tuple[str, int]:
    name, _, value = entry.rpartition("=")
    if not name or not re.fullmatch(r"[1-9][0-9]{0,8}", value):
        raise TconvError(f"--size {entry!r}: NAME=VALUE such as height=640 would fit")
    return name, int(value)


def _shape(entry: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = entry.rpartition("=")
    if not re.fullmatch(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8})*", sizes):
        raise TconvError(f"--input {entry!r}: a shape such as x=1x3x640x640 would fit")
    return name, tuple(int(size) for size in sizes.split("x"))
