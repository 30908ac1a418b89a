"""`tconv explain`: what a layer, or a stack of layers, does, from its integers."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError, printable

if TYPE_CHECKING:
    from tconv.explanation import Explanation

__all__ = ["add_parser"]

_EXAMPLE = """\
example:
  tconv explain "n1 c256>64 i28x28 k3 s2 p1"                        # why 55, and what would give 56
  tconv explain "n1 c1>1 i5x5 k3 s2 p1" --output 3,4 --input-cell 1,1
  tconv explain "n1 c1>1 i2x2 k3 s2 p0:1" --values "1,2;3,4" ones   # these numbers in all five views
  tconv explain --from keras "Conv2DTranspose(8, 3, strides=2, padding='same')" --input 5x5
  tconv explain "n1 c512>256 i4x4 k4 s2 p1" "c256>128 k4 s2 p1" "c128>3 k4 s2 p1"  # a stack of layers

Explains the size of the output, the recipe with inserted zeros, which inputs and taps contribute to a cell,
the phases, how even the coverage is, the multiplications, the matrix, and the call in every framework.

Several problems are a stack: each layer takes the output of the one before. The explanation then shows sizes,
receptive fields, alignment, the coverage of all layers together, multiplications and parameters, and the one
layer that the stack equals. Later problems may leave out n, c and i. Write a convolution of stride 1 as a
layer of stride 1.

PROBLEM: n batch, c in>out, i input, k kernel, s stride, p padding (lo:hi), o output padding, d dilation,
g groups. X and W are .npy files, numbers such as 1,2;3,4 or [[-1, 2], [3, 4]], or the names count and ones;
W may also be bilinear, nearest or bicubic."""


def add_parser(subparsers: Any) -> None:
    """Add `explain` to the commands."""
    from tconv.conventions import FRAMEWORKS
    from tconv.explanation import SECTIONS, STACK_SECTIONS

    parser = subparsers.add_parser("explain", help="explain what a layer does and why", description=_EXAMPLE)
    add = parser.add_argument
    add(
        "problems",
        nargs="+",
        metavar="PROBLEM",
        help="such as 'n1 c256>64 i28x28 k3 s2 p1', several for a stack; with --from, a call",
    )
    add("--output", type=_cell, metavar="O,O", help="the output cell to follow, one index per axis")
    add("--input-cell", type=_cell, metavar="I,I", help="the input cell to follow")
    add("--values", nargs=2, metavar=("X", "W"), help="compute the five views with these numbers")
    add(
        "--only",
        metavar="NAMES",
        help=f"sections, separated by commas: {', '.join(SECTIONS)}, values; of a stack: "
        f"{', '.join(STACK_SECTIONS)}",
    )
    add(
        "--from",
        dest="framework",
        choices=FRAMEWORKS,
        metavar="NAME",
        help=f"PROBLEM is a call of {', '.join(FRAMEWORKS[:-1])} or {FRAMEWORKS[-1]}",
    )
    add("--input", type=_sizes, metavar="HxW", help="with --from: the input's spatial sizes")
    add("--channels", type=_channels, metavar="C", help="with --from: input channels, or IN>OUT")
    add("--batch", type=int, metavar="N", help="with --from: the batch (default: 1)")
    add("--reading", metavar="RUNTIME", help="with --from: the runtime to follow, where runtimes differ")
    add("--html", type=Path, metavar="FILE", help="write the explanation as a page")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    parser._negative_number_matcher = re.compile("-[0-9.]")  # so that --values takes -1,2;3,4
    parser.set_defaults(func=_explain)


def _numbers(text: str, pattern: str, example: str) -> list[str]:
    if not re.fullmatch(pattern, text):
        raise argparse.ArgumentTypeError(f"cannot read {text!r:.40}; such as {example} would fit")
    return re.findall("[0-9]+", text)


def _cell(text: str) -> tuple[int, ...]:
    return tuple(map(int, _numbers(text, "[0-9]{1,9}(,[0-9]{1,9}){0,2}", "3,4")))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, _numbers(text, "[0-9]{1,9}(x[0-9]{1,9}){0,2}", "5x5")))


def _channels(text: str) -> int | tuple[int, int]:
    first, *second = map(int, _numbers(text, "[0-9]{1,9}(>[0-9]{1,9})?", "64 or 64>32"))
    return (first, second[0]) if second else first


def _explain(args: argparse.Namespace) -> int:
    from tconv.documents import html, terminal
    from tconv.files import write_aside

    if args.html:
        html.check()
    explanation = _stack(args) if len(args.problems) > 1 else _layer(args, args.problems[0])
    if args.html:
        with write_aside(args.html) as file:
            file.write(explanation.html().encode())
        print(printable(f"wrote {args.html}"), file=sys.stderr)
    if args.json:
        print(json.dumps(explanation.data(), indent=1))
    elif args.markdown:
        print(explanation.markdown())
    else:
        terminal.show(explanation.document())
    return 0


def _layer(args: argparse.Namespace, problem: str) -> Explanation:
    from tconv.explanation import explain
    from tconv.geometry import Geometry

    if not args.framework and "(" in problem:
        raise TconvError(
            f"{problem!r:.200} is a framework's call; "
            "--from pytorch before it, or another framework, and --input 28x28 would fit"
        )
    for option in ("input", "channels", "batch", "reading"):
        if not args.framework and getattr(args, option) is not None:
            raise TconvError(f"--{option} was given without --from; a PROBLEM contains it")
    read = _read(args, problem) if args.framework else None
    geometry = read.geometry if read else Geometry.parse(problem)
    explanation = explain(
        geometry,
        output=args.output,
        input_cell=args.input_cell,
        values=args.values,
        only=args.only,
    )
    if not read:
        return explanation
    from tconv.explanation.frameworks import reading

    found = reading(args.framework, problem, read)
    return replace(explanation, sections=(found, *explanation.sections))


def _stack(args: argparse.Namespace) -> Explanation:
    from tconv.explanation import explain_stack

    for option in ("framework", "input", "channels", "batch", "reading", "values"):
        if getattr(args, option) is not None:
            name = "from" if option == "framework" else option
            raise TconvError(f"--{name} with {len(args.problems)} problems; one would fit")
    return explain_stack(args.problems, output=args.output, input_cell=args.input_cell, only=args.only)


def _read(args: argparse.Namespace, call: str) -> Any:
    from tconv import conventions

    if args.input is None:
        raise TconvError("--from needs the input's spatial sizes; such as --input 5x5 would fit")
    return conventions.read(
        args.framework,
        call,
        input=args.input,
        channels=args.channels,
        batch=1 if args.batch is None else args.batch,
        reading=args.reading,
    )
