"""The command ``tconv diagnose``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tconv.errors import printable

__all__ = ["add_parser"]

DIAGNOSE = """\
example:
  tconv diagnose "n1 c64>3 i64x64 k3 s2 p1"
  tconv diagnose model.onnx --html report.html

Checks transposed convolutions: uneven coverage, uneven gains of the phases in trained weights, spectral
images, gradients, sizes at skip connections, and work that could be saved. Exit status: 0 no findings,
1 findings, 2 bad input."""

MORE = """\
more examples:
  tconv diagnose weights.npy --problem "n1 c64>3 i64x64 k4 s2 p1" --fix flat.npy
  tconv diagnose state.pt --layer "up.0=n1 c64>32 i32x32 k4 s2 p1" --layer "up.1=n1 c32>16 i64x64 k4 s2 p1"
  tconv diagnose model.onnx --input x=1x3x640x640 --layer /up/ConvTranspose
  tconv diagnose "n1 c64>32 i28x28 k2 s2" --skip 57x57
  tconv diagnose conv.npy --problem "n1 c64>3 i64x64 k4 s2 p1" --how merge --fix merged.npy"""


def add_parser(subparsers: Any) -> None:
    """Register ``tconv diagnose``."""
    from tconv.diagnosis.fixes import FIXES

    parser = subparsers.add_parser(
        "diagnose",
        help="report what is wrong with a layer or a model, and correct it",
        description=DIAGNOSE,
        epilog=MORE,
    )
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a problem, or a file: .npy, a state dict (.pt, .pth, .ckpt), .pt2 of torch.export, .onnx",
    )
    parser.add_argument("--problem", help="the layer that the weights of a .npy belong to")
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME[=PROBLEM]",
        help="examine only this layer; for a state dict with its problem; may be repeated",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]SHAPE",
        help="shape of a model's input, such as x=1x3x640x640, where the model leaves it open",
    )
    parser.add_argument(
        "--skip",
        metavar="SIZE",
        help="size of the skip connection that joins the output, such as 57x57",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help="largest phase-to-phase variation left unreported, as a share of the constant response; "
        "default: 0.01",
    )
    parser.add_argument(
        "--fix", type=Path, metavar="OUT", help="write a copy of the file with corrected weights"
    )
    parser.add_argument(
        "--how",
        choices=FIXES,
        default="gains",
        help="; ".join(f"{name}: {fix.what}" for name, fix in FIXES.items()) + "; default: gains",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers of icnr; default: 0")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page with pictures")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_diagnose)


def _diagnose(args: argparse.Namespace) -> int:
    from tconv.diagnosis import diagnose
    from tconv.diagnosis.diagnose import TOLERANCE
    from tconv.documents import html, terminal
    from tconv.files import write_aside
    from tconv.models.options import layer, shape

    if args.html:
        html.check()
    found = diagnose(
        args.what,
        problem=args.problem,
        layers=dict(layer(entry) for entry in args.layer),
        input=dict(shape(entry) for entry in args.input),
        skip=_skip(args.skip),
        tolerance=TOLERANCE if args.tolerance is None else args.tolerance,
        how=args.how,
    )
    written = []
    if args.fix:
        names = tuple(layer(entry)[0] for entry in args.layer)
        made = found.fix(args.how, seed=args.seed, names=names)
        found.write(args.fix, made)
        written = sorted(made)
        print(printable(f"wrote {args.fix}: {', '.join(written)}"), file=sys.stderr)
        for entry in found.layers:
            held = entry.layer.quantized.get("weights")
            if held and entry.layer.name in made:
                said = f"{entry.layer.name}: weights of {entry.layer.dtype} in place of {held}"
                print(printable(f"{said}; quantize the file again"), file=sys.stderr)
    if args.html:
        page = found.html()
        with write_aside(args.html) as file:
            file.write(page.encode())
        print(printable(f"wrote {args.html}"), file=sys.stderr)
    if args.json:
        print(json.dumps({**found.as_dict(), "fixed": written}))
    else:
        terminal.show(found.document())
    return 1 if found.findings else 0


def _skip(text: str | None) -> int | tuple[int, ...] | None:
    from tconv.models.options import sizes_of

    sizes = None if text is None else sizes_of("--skip", text)
    return sizes[0] if sizes is not None and len(sizes) == 1 else sizes
