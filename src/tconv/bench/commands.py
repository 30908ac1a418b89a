"""`tconv bench`: the engine against its peers, as ratios in one run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from tconv.errors import TconvError
from tconv.geometry import Geometry

__all__ = ["add_parser"]

_EPILOG = """\
example:
  tconv bench                                        # every layer that ships with tconv, against PyTorch
  tconv bench "n1 c256>64 i64x64 k4 s2 p1" --threads 1 --json

Each engine runs in a process of its own and they take turns; ratios are of medians, above 1 means that tconv
is faster. Every answer is compared before it is timed."""


def add_parser(subparsers: Any) -> None:
    """Add `bench` to the commands."""
    parser = subparsers.add_parser(
        "bench",
        help="time layers against PyTorch",
        description=_EPILOG,
    )
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help="such as 'n1 c256>64 i64x64 k4 s2 p1'")
    parser.add_argument(
        "--suite",
        type=Path,
        metavar="FILE",
        help="a list of NAME PROBLEM lines; default: layers of published networks",
    )
    parser.add_argument("--only", metavar="TEXT", help="of the suite, the layers whose name contains TEXT")
    parser.add_argument(
        "--peers",
        default="torch",
        metavar="NAMES",
        help="engines to compare with, by comma (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=_cpus(),
        metavar="N",
        help="threads of every engine (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", default="float32", choices=("float32", "float64"), help="default: %(default)s"
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=5,
        metavar="N",
        help="turns of each engine a layer (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=0.1, metavar="S", help="length of a turn (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--from", dest="earlier", type=Path, metavar="FILE", help="print the table of an earlier --json"
    )
    parser.set_defaults(func=_bench)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _problems(args: argparse.Namespace) -> list[tuple[str, Geometry]]:
    from tconv.testing import read_cases

    if args.problems and (args.suite or args.only):
        raise TconvError("PROBLEM and --suite or --only were given; one of the two would fit")
    if args.problems:
        return [(f"problem{i}", Geometry.parse(text)) for i, text in enumerate(args.problems, 1)]
    source = args.suite or files("tconv.bench").joinpath("layers.txt")
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TconvError(f"--suite {args.suite} cannot be read: {error}") from None
    found = [(name, g) for name, g in read_cases(text) if not args.only or args.only in name]
    if not found:
        raise TconvError(f"no layer of {args.suite or 'the suite'} has {args.only!r} in its name")
    return found


def _check(args: argparse.Namespace) -> list[str]:
    from tconv.bench.worker import ENGINES

    peers = [name for name in args.peers.split(",") if name]
    for name in peers:
        if name not in ENGINES or name == "tconv":
            known = ", ".join(engine for engine in ENGINES if engine != "tconv")
            raise TconvError(f"--peers {name!r} is unknown; {known} would fit")
    for option, least in (("threads", 1), ("turns", 1), ("seconds", 0.0)):
        if getattr(args, option) < least:
            raise TconvError(f"--{option} {getattr(args, option)}; at least {least} would fit")
    return ["tconv", *dict.fromkeys(peers)]


def _bench(args: argparse.Namespace) -> int:
    from tconv.bench.report import Record, machine, table
    from tconv.bench.turns import Turns

    if args.earlier:
        earlier = Record.read(args.earlier)
        print(json.dumps(earlier.as_json(), indent=1) if args.json else table(earlier))
        return 0
    engines, problems = _check(args), _problems(args)
    results = []
    with Turns(engines, args.threads) as turns:
        for number, (name, geometry) in enumerate(problems, 1):
            if sys.stderr.isatty():
                print(f"\r\033[K{number}/{len(problems)} {name}", end="", file=sys.stderr, flush=True)
            results.append(turns.measure(name, geometry, args.dtype, args.turns, args.seconds))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    facts = {
        **machine(),
        "python": platform.python_version(),
        "threads": args.threads,
        "dtype": args.dtype,
        "turns": args.turns,
        "seconds": args.seconds,
    }
    record = Record(facts, engines, results)
    print(json.dumps(record.as_json(), indent=1) if args.json else table(record))
    return 0
