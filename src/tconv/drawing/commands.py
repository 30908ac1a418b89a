"""`tconv draw`: a problem as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, printable
from tconv.geometry import Geometry

__all__ = ["add_parser"]

_EXAMPLE = """\
example:
  tconv draw "n1 c1>1 i3x3 k3 s2" --out stamp.svg
  tconv draw "n1 c1>1 i3x3 k4 s2 p1" --view zeros --out window.gif
  tconv draw "n1 c1>1 i8x8 k3 s2" --view coverage --theme dark --out coverage.png
  tconv draw "n1 c21>21 i16x16 k4 s2 p1 g21" --view filter --weights bilinear --out filter.svg

The views:
  stamp     each input adds its multiple of the kernel to the output
  zeros     zeros between the inputs, and the turned kernel sliding over them
  phases    the output as interleaved phases, and the taps of each
  matrix    the convolution's matrix and its transpose
  coverage  how many taps reach each output, and how unevenly
  filter    weights, their frequency response, and the spectral images that the stride makes

A GIF of stamp, zeros, phases and matrix is animated. Problems of three axes are drawn plane by plane. An SVG
without --theme follows the reader's preference for light or dark."""

_VIEWS = ("stamp", "zeros", "phases", "matrix", "coverage", "filter")
_FORMATS = ("svg", "png", "gif")


def add_parser(subparsers: Any) -> None:
    """Add `draw` to the commands."""
    parser = subparsers.add_parser("draw", help="draw a layer: SVG, PNG, GIF", description=_EXAMPLE)
    add = parser.add_argument
    add("problem", metavar="PROBLEM", help="such as 'n1 c1>1 i3x3 k4 s2 p1'")
    add("--view", default="stamp", choices=_VIEWS, help="default: %(default)s")
    add("--format", choices=_FORMATS, help="default: by the suffix of --out, or svg")
    add("--theme", choices=("light", "dark"), help="default: both in an SVG, light in a PNG or GIF")
    add("--out", type=Path, metavar="FILE", help="write to this file and not to stdout")
    add(
        "--weights",
        metavar="WHAT",
        help="for stamp, zeros and filter: FILE.npy of shape (in, out/groups, *kernel) or of the kernel, or "
        "nearest, bilinear, bicubic for this stride",
    )
    add("--animate", action="store_true", help="animate an SVG, too")
    parser.set_defaults(func=_draw)


def _draw(args: argparse.Namespace) -> int:
    from tconv.drawing import draw, gif, load, png, svg
    from tconv.files import write_aside

    kind = _format(args)
    if args.animate and kind == "png":
        raise TconvError("--animate with a PNG, which cannot be animated; svg or gif would fit")
    geometry = Geometry.parse(args.problem)
    weights = None if args.weights is None else load(args.weights, geometry)
    picture = draw(geometry, args.view, weights=weights, animated=args.animate or kind == "gif")
    if args.out is None and kind != "svg" and sys.stdout.isatty():
        raise TconvError(f"a {kind} is not text for a terminal; --out FILE.{kind} would fit")
    if kind == "svg":
        content = svg(picture, args.theme).encode()
    else:
        content = {"png": png, "gif": gif}[kind](picture, args.theme or "light")
    if args.out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return 0
    with write_aside(args.out) as file:
        file.write(content)
    print(printable(args.out))
    return 0


def _format(args: argparse.Namespace) -> str:
    """The requested format, by name or by suffix."""
    suffix = "" if args.out is None else args.out.suffix.lstrip(".").lower()
    if suffix and suffix not in _FORMATS:
        raise TconvError(f"--out {args.out}: the suffix .{suffix} is unknown; .svg, .png or .gif would fit")
    if suffix and args.format and suffix != args.format:
        raise TconvError(f"--out {args.out} with --format {args.format}; .{args.format} would fit")
    return args.format or suffix or "svg"
