"""`tconv page`: open the page, or copy it to a folder for a web server."""

from __future__ import annotations

import argparse
import json
import sys
import webbrowser
from pathlib import Path
from typing import Any

from tconv.geometry import Geometry
from tconv.page.server import serving
from tconv.page.site import copy_to, fragment

__all__ = ["add_parser"]

_EXAMPLE = """\
example:
  tconv page "n1 c1>1 i3x3 k4 s2 p1"
  tconv page --port 8765 --no-open
  tconv page --out site/play

Shows the layer and the convolution whose adjoint it is, cell by cell: point at an output to see the inputs
and taps that contribute to it, at an input to see its stamp. The page is served on 127.0.0.1 only and needs
no network; with --out its files are copied instead, to be opened as files or put on any static host. Stop
it with Ctrl-C."""


def add_parser(subparsers: Any) -> None:
    """Add `page` to the commands."""
    parser = subparsers.add_parser("page", help="explore a layer in the browser", description=_EXAMPLE)
    add = parser.add_argument
    add("problem", nargs="?", metavar="PROBLEM", help="such as 'n1 c256>64 i64x64 k4 s2 p1'")
    add("--port", type=int, default=0, metavar="N", help="port of 127.0.0.1 (default: any free one)")
    add("--no-open", action="store_true", help="print the address without opening a browser")
    add("--out", type=Path, metavar="DIR", help="copy the page into a folder instead of serving it")
    add("--json", action="store_true", help="print JSON")
    parser.set_defaults(func=_page)


def _page(args: argparse.Namespace) -> int:
    geometry = None if args.problem is None else Geometry.parse(args.problem)
    if args.out is not None:
        paths = copy_to(args.out, [] if geometry is None else [geometry])
        link = f"{args.out / 'index.html'}{fragment(geometry)}"
        print(json.dumps({"page": link, "files": [str(path) for path in paths]}) if args.json else link)
        print("open it in a browser, or put the folder on any static host", file=sys.stderr)
        return 0
    with serving(args.port) as (server, address):
        link = f"{address}{fragment(geometry)}"
        print(json.dumps({"page": link}) if args.json else link, flush=True)
        if not args.no_open and not webbrowser.open(link):
            print("no browser was found; open the address above", file=sys.stderr)
        print("Ctrl-C stops it", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
