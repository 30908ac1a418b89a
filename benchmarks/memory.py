"""Memory that a call takes in addition to its arguments: see --help. Linux."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import tconv
from tconv.bench.report import machine
from tconv.bench.task import Task
from tconv.bench.turns import Engine
from tconv.bench.worker import ENGINES, NEEDS, serve
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import read_cases

LAYERS = "fcn32_up32,unet3d_wide"


def resident(field: str) -> int:
    """A line of /proc/self/status, in bytes: VmRSS is the current value, VmHWM the peak since its reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise TconvError(f"/proc/self/status has no {field}")


def growth(engine: str, request: dict[str, Any]) -> dict[str, Any]:
    """The bytes by which the first call of a layer raises the process's peak resident memory.

    The input and the packed weights exist before; the output and everything else that the call needs do not.
    """
    small = Task(Geometry.parse("c8>8 i8x8 k3 s2"), threads=request["threads"])
    for task in (small, Task.read(request)):  # the small one loads code and starts threads
        tconv.empty_cache()
        arrays = task.arrays()
        work = ENGINES[engine](task, arrays)
        x = work.native(arrays.x)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
        before = resident("VmRSS")
        answer = work.call(x)
        peak = resident("VmHWM")
        del answer
    return {"growth": max(0, peak - before)}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", default=LAYERS, help="of the suite, by comma (default: %(default)s)")
    parser.add_argument("--engines", default="tconv,torch", help="by comma (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=tconv.get_num_threads(), metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.worker:
        serve(lambda request: growth(args.worker, request))
        return
    suite = dict(read_cases(files("tconv.bench").joinpath("layers.txt").read_text(encoding="utf-8")))
    layers, engines = args.layers.split(","), args.engines.split(",")
    for option, known, names in (("layers", suite, layers), ("engines", ("tconv", *NEEDS), engines)):
        for name in names:
            if name not in known:
                parser.error(f"--{option} {name!r} is unknown; {', '.join(known)} would fit")
    results = []
    for name in layers:
        geometry = suite[name]
        runner = tconv.plan(geometry).runner
        arrays = 4 * (prod(geometry.input_shape) + prod(geometry.output_shape)) + runner.packed_bytes
        result: dict[str, Any] = {
            "layer": name,
            "problem": str(geometry),
            "arrays": arrays,
            "output": 4 * prod(geometry.output_shape),
            "workspace_a_thread": runner.workspace_bytes,
        }
        for engine in engines:
            process = Engine(engine, args.threads, words=(__file__, "--worker", engine))
            try:
                reply = process.ask(**Task(geometry, threads=args.threads).as_json())
            finally:
                process.close()
            if "error" in reply:
                raise TconvError(f"{name}, {engine}: {reply['error']}")
            result[engine] = reply["growth"]
        results.append(result)
    if args.json:
        packages = [package for engine in engines for package in NEEDS.get(engine, ())]
        facts = {**machine(packages), "threads": args.threads}
        print(json.dumps({"machine": facts, "layers": results}, indent=1))
        return
    for r in results:
        print(f"{r['layer']} {r['problem']}: input + output + packed weights {r['arrays']:,} B")
        print(f"  workspace by the plan: {r['workspace_a_thread']:,} B per thread")
        for engine in engines:
            share = r[engine] / r["arrays"]
            print(f"  {engine}: {r[engine]:,} B more at the peak of a call, {share:.2f} of that")


if __name__ == "__main__":
    try:
        main()
    except TconvError as error:
        sys.exit(f"memory.py: {error}")
