"""`tconv tune`: measure this machine, and keep what is faster for later processes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, printable

__all__ = ["add_parser"]

_EXAMPLE = """\
example:
  tconv tune                                     # what work costs on this machine, in half a minute
  tconv tune "n1 c256>64 i64x64 k4 s2 p1"        # ... and the fastest plan of a layer
  tconv tune --model model.onnx --seconds 60     # of every transposed layer of a model
  tconv tune --show

Measures what work costs on this machine's CPU, and times the promising plans of given layers. Later processes
use both. What is no faster than the plan by estimate is not changed. Run it on an idle machine.

The results are kept in the user's folder of caches, or in the folder that the environment variable
TCONV_CACHE names; TCONV_CACHE=off neither reads nor writes them. On another CPU, or with another build of
tconv, they are ignored."""


def add_parser(subparsers: Any) -> None:
    """Add `tune` to the commands."""
    parser = subparsers.add_parser(
        "tune", help="measure this machine, and the fastest plans of layers", description=_EXAMPLE
    )
    add = parser.add_argument
    add("problems", nargs="*", metavar="PROBLEM", help="such as 'n1 c256>64 i64x64 k4 s2 p1'")
    add("--suite", type=Path, metavar="FILE", help="NAME PROBLEM lines")
    add("--model", type=Path, metavar="FILE", help="a model: .onnx, .pt2, or a state dict with --layer")
    add(
        "--layer",
        action="append",
        default=[],
        metavar="NAME[=PROBLEM]",
        help="only this layer of the model; for a state dict with its problem; may be repeated",
    )
    add(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]SHAPE",
        help="shape of a model's input, such as x=1x3x640x640, where the model leaves it open",
    )
    add(
        "--seconds",
        type=float,
        metavar="N",
        help="how long to measure in all (default: 25 for the costs, unless they are known, and 4 a layer)",
    )
    add("--show", action="store_true", help="print what is kept, and whether it is in use")
    add("--clear", action="store_true", help="remove what is kept")
    add("--json", action="store_true", help="print JSON")
    parser.set_defaults(func=_tune)


def _tune(args: argparse.Namespace) -> int:
    from tconv.documents import terminal

    names = ("problems", "suite", "model", "layer", "input", "seconds", "show", "clear")
    given = [name for name in names if getattr(args, name)]
    for alone in ("clear", "show"):
        if getattr(args, alone) and len(given) > 1:
            other = next(name for name in given if name != alone)
            other = "PROBLEM" if other == "problems" else f"--{other}"
            raise TconvError(f"--{alone} and {other} were given; one of the two would fit")
    if args.clear:
        return _clear(args.json)
    if args.show:
        from tconv.tune.report import shown

        document, data = shown()
    else:
        result = _measured(args)
        document, data = result.document(), result.as_dict()
    if args.json:
        print(json.dumps(data, indent=1))
    else:
        terminal.show(document)
    return 0


def _clear(as_json: bool) -> int:
    from tconv.planning.tuning_file import clear, place

    path, removed = place(), clear()
    if as_json:
        print(json.dumps({"removed": None if removed is None else str(removed)}))
    elif removed is not None:
        print(printable(f"removed {removed}"))
    else:
        print(printable(f"nothing is kept in {path}" if path else "nothing is kept"))
    return 0


def _measured(args: argparse.Namespace) -> Any:
    from tconv import _core, planning
    from tconv.documents.terminal import progress
    from tconv.planning.tuning_file import keep, tuned
    from tconv.tune.competition import SECONDS, Won, winners
    from tconv.tune.costs import SECONDS as FOR_COSTS
    from tconv.tune.costs import measured
    from tconv.tune.problems import wanted
    from tconv.tune.report import Result

    if args.seconds is not None and not 1 <= args.seconds <= 86_400:
        raise TconvError(f"--seconds {args.seconds}; 1 to 86400 would fit")
    problems, notes = wanted(args)
    isa = planning.isas()[0]
    keep(isa, None, {})  # before anything is measured: whether there is a place
    known = bool(problems) and isa in tuned().records
    for_costs = 0.0 if known else FOR_COSTS
    for_plans = SECONDS * len(problems)
    if args.seconds is not None:
        for_costs = min(for_costs, args.seconds / 2) if problems else args.seconds
        for_plans = args.seconds - for_costs
    costs, won = None, list[Won]()
    with progress("reading", 3 * (not known) + len(problems)) as step:
        if not known:
            costs = measured(isa, for_costs, step)
            keep(isa, costs.record or planning.default_record(isa), {})
            planning.refresh()
        if problems:
            won, more = winners(problems, for_plans, step)
            notes += more
    path = keep(isa, None, {one.key: one.plan.name for one in won})
    planning.refresh()
    if notes and not args.json:
        print(printable(f"{len(notes)} of the layers cannot be timed"), file=sys.stderr)
    return Result(isa, _core.get_num_threads(), costs, won, notes, path)
