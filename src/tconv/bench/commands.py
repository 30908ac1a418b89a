"""`tconv bench`: the engine against its peers, as ratios in one run."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tconv.errors import TconvError, unknown
from tconv.files import check_file
from tconv.geometry import Geometry

__all__ = ["add_parser"]

_EXAMPLE = """\
example:
  tconv bench                                        # every layer that ships with tconv, against PyTorch
  tconv bench "n1 c256>64 i64x64 k4 s2 p1" --threads 1 --json
  tconv bench --peers torch,onnxruntime,openvino --json > run.json
  tconv bench --from run.json --chart run.svg
  tconv bench --peers all                            # every peer that is installed
  tconv bench --random 40 --seed 7                   # layers that nobody listed
  tconv bench --random 40 --seed 7 --list > mine.txt # keeps them, for --suite mine.txt

Each engine runs in a separate process. They take turns, and the others are stopped meanwhile. Outputs are
compared before anything is timed. Times are medians; ratios above 1 mean that tconv is faster. Beside each
stand the quartiles of the ratios of single turns. Where they are far apart, or other programs keep the
machine busy, a line warns that it is too noisy to tell. Weights are packed beforehand, by tconv and by every
runtime that does so. If an engine lacks something, one line says so."""


def add_parser(subparsers: Any) -> None:
    """Add `bench` to the commands."""
    parser = subparsers.add_parser("bench", help="time layers against other engines", description=_EXAMPLE)
    add = parser.add_argument
    add("problems", nargs="*", metavar="PROBLEM", help="such as 'n1 c256>64 i64x64 k4 s2 p1'")
    add(
        "--suite", type=Path, metavar="FILE", help="NAME PROBLEM lines; default: layers of published networks"
    )
    add("--random", type=int, metavar="N", help="N plausible layers drawn at random instead of the suite")
    add("--seed", type=int, metavar="S", help="of --random; the same seed gives the same layers (default: 0)")
    add("--only", metavar="TEXT", help="of these layers, those whose name contains TEXT")
    add("--list", action="store_true", help="print the layers as NAME PROBLEM lines and measure nothing")
    add(
        "--peers",
        default="torch",
        metavar="NAMES",
        help="by comma: torch, onnxruntime, openvino, jax, mnn, ncnn, litert, tconv-unprepared, or all, the "
        "installed ones (default: %(default)s)",
    )
    add("--threads", type=int, default=_cpus(), metavar="N", help="of every engine (default: %(default)s)")
    add("--dtype", default="float32", choices=_DTYPES, help="default: %(default)s")
    add(
        "--grad", action="store_true", help="time a training step (forward, both gradients) in PyTorch or JAX"
    )
    add(
        "--layout",
        default="channels_first",
        choices=("channels_first", "channels_last"),
        help="of input and output (default: %(default)s)",
    )
    add(
        "--activation",
        metavar="NAME",
        help="any of tconv's, with its numbers: gelu, leaky_relu:SLOPE, clamp:LO:HI, prelu:SLOPE:SLOPE...; "
        "fused in tconv and in part in ncnn, an operator of its own in the others; adds tconv-plain (no "
        "activation) and tconv-separate (a separate pass by NumPy)",
    )
    add("--isa", metavar="NAME", help="the best instruction set that tconv may use, such as avx2")
    add("--unprepared", action="store_true", help="tconv packs its weights at every call; the others do not")
    add("--new-lengths", action="store_true", help="one axis: every call has a new length")
    add("--turns", type=int, default=5, metavar="N", help="of each engine per layer (default: %(default)s)")
    add("--seconds", type=float, default=0.1, metavar="S", help="length of a turn (default: %(default)s)")
    add("--json", action="store_true", help="print JSON")
    add("--chart", type=Path, metavar="FILE", help="draw the ratios to the best peer as an SVG or PNG")
    add("--from", dest="earlier", type=Path, metavar="FILE", help="print or draw an earlier --json")
    parser.set_defaults(func=_bench)


#: The most layers that --random draws.
_MOST = 10_000
_DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64")

#: The peers that the extra `bench` leaves out.
_MORE = ("mnn", "ncnn", "litert")

#: Option -> the peers that support it.
_CAPABLE = {
    "grad": ("torch", "jax"),
    "layout channels_last": ("torch", "litert"),
    "new-lengths": ("torch",),
}


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _problems(args: argparse.Namespace) -> list[tuple[str, Geometry]]:
    from tconv.bench.random_layers import draw

    if args.random is not None and not 1 <= args.random <= _MOST:
        raise TconvError(f"--random {args.random}; 1 to {_MOST} would fit")
    if args.seed is not None and (args.seed < 0 or args.random is None):
        raise TconvError(f"--seed {args.seed}; 0 or more, beside --random N, would fit")
    if args.problems and (args.suite or args.only):
        raise TconvError("PROBLEM and --suite or --only were given; one of the two would fit")
    if args.random and (args.problems or args.suite):
        other = "--suite" if args.suite else "PROBLEM"
        raise TconvError(f"--random and {other} were given; one of the two would fit")
    if args.problems:
        given = [(f"problem{i}", Geometry.parse(text)) for i, text in enumerate(args.problems, 1)]
        for _, geometry in given:
            if args.new_lengths and geometry.axes != 1:
                raise TconvError(f"--new-lengths: {geometry} has {geometry.axes} axes; one would fit")
        return given
    layers = draw(args.random, args.seed or 0) if args.random else _suite(args.suite)
    found = [(name, g) for name, g in layers if not args.only or args.only in name]
    if args.new_lengths:
        found = [(name, g) for name, g in found if g.axes == 1]
    if not found:
        kind = "layer of one axis" if args.new_lengths else "layer"
        source = "--random" if args.random else args.suite or "the suite"
        raise TconvError(f"no {kind} of {source} has {args.only or ''!r} in its name")
    return found


def _suite(path: Path | None) -> list[tuple[str, Geometry]]:
    """The layers of a file, or those that ship with tconv."""
    from tconv.testing import read_cases

    if path:
        check_file(path)
    source = path or files("tconv.bench").joinpath("layers.txt")
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TconvError(f"--suite {path} cannot be read: {error}") from None
    return read_cases(text)


def _check(args: argparse.Namespace) -> list[str]:
    """The engines of a run, tconv first."""
    from tconv.bench.activations import activation_of
    from tconv.bench.worker import ENGINES, NEEDS
    from tconv.planning import isas

    for option, least in (("threads", 1), ("turns", 1), ("seconds", 0.0)):
        if getattr(args, option) < least:
            raise TconvError(f"--{option} {getattr(args, option)}; at least {least} would fit")
    if args.isa is not None and args.isa not in isas():
        raise TconvError(f"--isa {args.isa!r} is unknown on this CPU; {', '.join(isas())} would fit")
    args.activation = args.activation and activation_of(args.activation)
    alone = [name for name in ("grad", "unprepared", "new_lengths") if getattr(args, name)]
    if args.grad and (len(alone) > 1 or args.activation):
        other = "--activation" if args.activation else f"--{alone[1].replace('_', '-')}"
        raise TconvError(f"--grad and {other} were given; one of the two would fit")
    ours = "tconv-unprepared" if args.unprepared else "tconv"
    variants = ["tconv-plain", "tconv-separate"] if args.activation else []
    wanted = [name for name, said in zip(_CAPABLE, _said(args), strict=True) if said]
    peers = [name for name in args.peers.split(",") if name]
    if peers == ["all"]:
        peers = [n for n in NEEDS if not _missing(n) and all(n in _CAPABLE[option] for option in wanted)]
    fitting = [n for n in ENGINES if n not in (ours, "tconv", "tconv-plain", "tconv-separate")]
    for name in peers:
        if name not in fitting:
            raise unknown("--peers", name, fitting)
        for option in wanted:
            if name not in _CAPABLE[option] and (name != "tconv-unprepared" or args.grad):
                raise TconvError(f"--{option}: {name} cannot; {', '.join(_CAPABLE[option])} would fit")
    _installed([*peers, *["torch"] * args.grad], args)
    return list(dict.fromkeys((ours, *peers, *variants)))


def _said(args: argparse.Namespace) -> tuple[bool, ...]:
    return args.grad, args.layout == "channels_last", args.new_lengths


def _missing(engine: str) -> list[str]:
    from tconv.bench.worker import NEEDS

    return [package for package in NEEDS.get(engine, ()) if find_spec(package) is None]


def _installed(engines: Iterable[str], args: argparse.Namespace) -> None:
    """Report missing packages before anything is measured."""
    for engine in engines:
        for package in _missing(engine):
            extra = "bench-more" if engine in _MORE else "bench"
            raise TconvError(
                f"{engine} needs {package}, which is not installed: pip install 'tconv[{extra}]'"
            )
    if args.dtype == "bfloat16":
        import_module("ml_dtypes")


def _bench(args: argparse.Namespace) -> int:
    from tconv.bench.report import Record, document
    from tconv.documents import markdown, terminal

    if args.list:
        return _listed(args)
    if args.chart:
        from tconv.bench.chart import check, draw

        check(args.chart)
    record = Record.read(args.earlier) if args.earlier else _measured(args)
    if args.json:
        print(json.dumps(record.as_json(), indent=1))
    else:
        terminal.show(document(record), plain=partial(markdown.render, readable=True))
    if args.chart:
        draw(record, args.chart)
    return 0


def _listed(args: argparse.Namespace) -> int:
    """Print the layers in the form that --suite reads."""
    layers = [(name, str(geometry)) for name, geometry in _problems(args)]
    if args.json:
        print(json.dumps([{"name": name, "problem": problem} for name, problem in layers], indent=1))
    else:
        width = max(len(name) for name, _ in layers)
        print("\n".join(f"{name:{width}}  {problem}" for name, problem in layers))
    return 0


def _measured(args: argparse.Namespace) -> Any:
    from tconv.bench.report import Record, busy, machine
    from tconv.bench.task import Task
    from tconv.bench.turns import Turns
    from tconv.bench.worker import NEEDS
    from tconv.documents.terminal import progress

    engines, problems = _check(args), _problems(args)
    load = busy()
    options = {
        name: getattr(args, name)
        for name in ("dtype", "threads", "layout", "activation", "grad", "new_lengths")
    }
    results = []
    with (
        progress("roof", len(problems)) as step,
        Turns(engines, args.threads, args.isa) as turns,
    ):
        rates = turns.roofs(args.dtype, args.threads, args.turns * args.seconds)
        for name, geometry in problems:
            step(name)
            task = Task(geometry, **options)
            results.append(turns.measure(name, task, args.turns, args.seconds, rates))
    used = [package for engine in engines for package in NEEDS.get(engine, ())]
    facts = machine([*used, *["torch"] * args.grad])
    if args.isa is not None:
        facts["instruction_set"] = args.isa
    if args.random:
        facts |= {"random": args.random, "seed": args.seed or 0}
    facts |= {**options, "turns": args.turns, "seconds": args.seconds, "roofs": rates, "busy": load}
    return Record(facts, engines, results)
