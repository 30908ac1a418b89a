"""FCN's layers in JAX, by tconv.jax and by lax: see --help."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.resources import files
from math import log
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import tconv
from tconv.bench.report import machine
from tconv.bench.turns import Engine, distance, rounds
from tconv.bench.worker import serve
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import integer_arrays, read_cases

LAYERS = dict(read_cases(files("tconv.bench").joinpath("layers.txt").read_text(encoding="utf-8")))
FCN = [name for name in LAYERS if name.startswith("fcn")]
TOLERANCE = 1e-5  # of the largest number

#: A layer compiled by jax.jit: (x, weight) -> y.
Layer = Callable[[Any, Any], Any]


def _ours(g: Geometry, last: bool) -> Layer:
    from tconv.jax import conv_transpose

    def layer(x: Any, weight: Any) -> Any:
        layout = "channels_last" if last else "channels_first"
        return conv_transpose(
            x, weight, stride=g.stride, padding=g.padding, output_padding=g.output_padding,
            dilation=g.dilation, groups=g.groups, layout=layout,
        )  # fmt: skip

    return layer


def _callback(g: Geometry, last: bool) -> Layer:
    """The engine by jax.pure_callback, for comparison."""
    import jax

    layout: Any = "channels_last" if last else "channels_first"
    n, c, *sizes = g.output_shape
    made = jax.ShapeDtypeStruct((n, *sizes, c) if last else (n, c, *sizes), np.float32)

    def engine(x: Any, weight: Any) -> Any:
        return tconv.conv_transpose(
            np.asarray(x), np.asarray(weight), stride=g.stride, padding=g.padding,
            output_padding=g.output_padding, dilation=g.dilation, groups=g.groups, layout=layout,
        )  # fmt: skip

    return lambda x, weight: jax.pure_callback(engine, made, x, weight)


def _lax(g: Geometry, last: bool) -> Layer:
    """lax.conv_transpose, and for groups, which it lacks, lax.conv_general_dilated."""
    from jax import lax

    letters = "HWD"[: g.axes]
    data = f"N{letters}C" if last else f"NC{letters}"
    words: dict[str, Any] = {"rhs_dilation": g.dilation, "dimension_numbers": (data, f"{letters}IO", data)}
    around = g.zero_insertion().around
    if g.groups == 1:
        return lambda x, weight: lax.conv_transpose(x, weight, g.stride, around, **words)
    words |= {"lhs_dilation": g.stride, "feature_group_count": g.groups}
    return lambda x, weight: lax.conv_general_dilated(x, weight, (1,) * g.axes, around, **words)


ENGINES: dict[str, Callable[[Geometry, bool], Layer]] = {"tconv": _ours, "callback": _callback, "lax": _lax}


def work(engine: str, threads: int) -> None:
    """Serve the layers of one engine, on a given number of processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp

    from tconv.conventions import weight_to

    tconv.set_num_threads(threads)
    call: Callable[[], Any] | None = None

    def load(problem: str, last: bool, grad: bool, answer: str) -> Callable[[], Any]:
        g = Geometry.parse(problem)
        x, weight, _, y = integer_arrays(g, np.float32)
        if engine == "lax":
            weight = np.ascontiguousarray(weight_to("jax", weight, g))
        if last:
            x, y = (np.ascontiguousarray(np.moveaxis(array, 1, -1)) for array in (x, y))
        layer = ENGINES[engine](g, last)

        def step(x: Any, weight: Any, y: Any) -> Any:
            made, back = jax.vjp(layer, x, weight)
            return made, *back(y)

        given = [jnp.asarray(array) for array in ((x, weight, y) if grad else (x, weight))]
        compiled = jax.jit(step if grad else layer)

        def call() -> Any:
            return jax.block_until_ready(compiled(*given))

        made = jax.tree.leaves(call())[:2]  # lax has another layout of weight gradients
        arrays = [np.moveaxis(np.asarray(array), -1, 1) if last else np.asarray(array) for array in made]
        with open(answer, "wb") as file:
            np.savez(file, *arrays)
        call()
        return call

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal call
        if request["do"] == "load":
            call = None
            call = load(request["problem"], request["last"], request["grad"], request["answer"])
            return {}
        assert call is not None
        times: list[float] = []
        end = perf_counter() + request["seconds"]
        while not times or perf_counter() < end:
            start = perf_counter()
            call()
            times.append(perf_counter() - start)
        return {"times": times}

    serve(handle)


def measure(name: str, engines: list[Engine], last: bool, args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each engine, after all gave the same output."""
    answers: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.npz"
        for engine in engines:
            task = {"problem": str(LAYERS[name]), "last": last, "grad": args.grad, "answer": str(path)}
            reply = engine.ask(do="load", **task)
            if "error" in reply:
                raise TconvError(f"{name}, {engine.name}: {reply['error']}")
            with np.load(path) as file:
                answers.append([file[key] for key in file.files])
    for engine, answer in zip(engines, answers, strict=True):
        if distance(answer, answers[0]) > TOLERANCE:
            raise TconvError(f"{name}: the output of {engine.name} is not that of {engines[0].name}")
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in rounds(engines, args.turns):
        times[engine.name] += engine.ask(do="time", seconds=args.seconds)["times"]
    return {engine: statistics.median(values) for engine, values in times.items()}


def report(record: dict[str, Any]) -> str:
    """One row per layer: the faster layout of each engine, and how many times as fast as lax tconv is."""
    results, facts = record["layers"], record["machine"]
    engines = list(results[0]["seconds"]["channels_first"])
    lines = [
        f"| layer | problem | {' | '.join(f'{engine} ms' for engine in engines)} | lax / tconv |",
        "|---|" + "---|" * (len(engines) + 2),
    ]
    ratios = []
    for result in results:
        best = {engine: min(seconds[engine] for seconds in result["seconds"].values()) for engine in engines}
        ratios.append(best["lax"] / best["tconv"])
        cells = " | ".join(f"{best[engine] * 1e3:.3f}" for engine in engines)
        lines.append(f"| {result['layer']} | `{result['problem']}` | {cells} | {ratios[-1]:.1f} |")
    mean = np.exp(sum(map(log, ratios)) / len(ratios))
    slow = sum(ratio < 10 for ratio in ratios)
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    lines += [
        "",
        f"geometric mean: {mean:.0f} times as fast; below 10 times: {slow} of {len(ratios)} layers",
        "",
        f"{facts['cpu']}, {facts['instruction_set']}, {facts['threads']} threads, float32; {versions}",
    ]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", default=",".join(FCN), help="by comma (default: %(default)s)")
    parser.add_argument("--callback", action="store_true", help="also by jax.pure_callback")
    parser.add_argument("--grad", action="store_true", help="forward and both gradients")
    parser.add_argument("--threads", type=int, default=tconv.get_num_threads(), metavar="N")
    parser.add_argument(
        "--turns", type=int, default=3, metavar="N", help="of each engine (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.2, metavar="S", help="a turn (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.worker:
        work(args.worker, args.threads)
        return
    names = args.layers.split(",")
    for name in names:
        if name not in LAYERS:
            parser.error(f"--layers {name!r} is unknown; the names of layers.txt would fit, such as {FCN[0]}")
    if args.callback and args.grad:
        parser.error("--callback with --grad: a callback has no gradient; give one of them")
    used = [engine for engine in ENGINES if engine != "callback" or args.callback]
    results = []
    for name in names:
        threads = ("--threads", str(args.threads))
        engines = [Engine(e, args.threads, words=(__file__, "--worker", e, *threads)) for e in used]
        try:
            seconds = {
                "channels_last" if last else "channels_first": measure(name, engines, last, args)
                for last in (False, True)
            }
        finally:
            for engine in engines:
                engine.close()
        results.append({"layer": name, "problem": str(LAYERS[name]), "seconds": seconds})
    record = {"machine": {**machine(("jax", "jaxlib")), "threads": args.threads}, "layers": results}
    print(json.dumps(record, indent=1) if args.json else report(record))


if __name__ == "__main__":
    try:
        main()
    except TconvError as error:
        sys.exit(f"jax_layers.py: {error}")
