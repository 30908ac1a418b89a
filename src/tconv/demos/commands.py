"""The command ``tconv demo``: its options, the list of demos, and how results are printed.

Importable without PyTorch: a demo is imported when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tconv.demos import DEFAULT, DEMOS, OPTIONS, find
from tconv.documents import Document, Section, Table, html, terminal
from tconv.files import alone, make_folder
from tconv.runs.settings import check_positive, check_whole

__all__ = ["add_parser", "table"]

DESCRIPTION = """\
example:
  tconv demo
  tconv demo --list
  tconv demo --out runs/demo --epochs 5

Shows what the layer is for, on real data, in minutes on two cores: NAME is one of the demos that --list
describes. Without NAME it is upsampling: one small FCN-8s is trained on brain tissue in MRI slices three
times, with learned, bilinear and nearest upsampling and nothing else changed, and each is evaluated on the
test slices. Every demo prints a table and writes OUT/report.html (one self-contained page) and the files of
its runs to OUT."""


def add_parser(subparsers: Any) -> None:
    """Register ``tconv demo``."""
    parser = subparsers.add_parser(
        "demo", help="train or compute something in minutes and write a report", description=DESCRIPTION
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--list", action="store_true", help="print the demos, their minutes and their data")
    parser.add_argument(
        "--out", type=Path, help="folder to write to; default: runs/NAME, for upsampling runs/demo"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="take fewer steps, to end after about M minutes"
    )
    for name, option in OPTIONS.items():
        takers = ", ".join(demo.name for demo in DEMOS.values() if name in demo.options)
        parser.add_argument(
            f"--{name}",
            type=option.kind,
            metavar=option.metavar,
            default=argparse.SUPPRESS,
            help=f"{option.help} ({takers})",
        )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(func=_demo)


def _demo(args: argparse.Namespace) -> int:
    if args.list:
        if args.json:
            print(json.dumps(table()["demos"].table("demos").records()))
        else:
            terminal.show(table())
        return 0
    demo = find(args.name)
    options = {name: value for name, value in vars(args).items() if name in OPTIONS}
    demo.check(options)
    check_whole("seed", args.seed, 0, 2**63 - 1)
    if args.minutes is not None:
        check_positive("minutes", args.minutes)
    html.check()
    module = demo.load()
    out = args.out or demo.out
    with _removed_if_empty(out), alone(make_folder(out)):
        found = module.run(out, seed=args.seed, minutes=args.minutes, **options)
    if args.json:
        print(json.dumps(module.as_dict(found)))
    else:
        terminal.show(module.document(found))
    return 0


@contextlib.contextmanager
def _removed_if_empty(out: Path) -> Iterator[None]:
    """Leave no new and empty folder behind where nothing could begin."""
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:
            with contextlib.suppress(OSError, ValueError):  # it holds something, or was not made
                folder.rmdir()
        raise


def table() -> Document:
    """The demos: one row each."""
    rows = tuple((demo.name, demo.summary, f"{demo.minutes:g}", demo.data) for demo in DEMOS.values())
    columns = ("demo", "what it shows", "minutes", "data")
    made = Table("demos", columns, rows, kinds=("name", "words", "number", "words"))
    return Document("", (Section("demos", "", (made,)),))
