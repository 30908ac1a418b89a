"""Whole models in OpenVINO: as they are, and with all their layers computed by tconv's engine.

    python benchmarks/engine_in_openvino.py                     every model, 1 and 2 threads, float32
    python benchmarks/engine_in_openvino.py unet --precision bf16 --threads 2
    python benchmarks/engine_in_openvino.py --chosen            what compile_model makes of them

Models and their inputs are those of engine_in_ort.py, whose `--prepare` makes the files. The models run in
turns, with the hint LATENCY. Shown are medians, with channels first and last in the engine, the medians of
the ratios of the same turn, and how far the outputs differ, as a share of the largest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

import tconv.openvino

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.engine_in_ort import FEEDS, FILES
from tconv.models.openvino import core
from tconv.openvino.converting import names
from tconv.timing import Paired, in_turns

NAMES = ("ppocr_det", "waifu2x", "hifigan", "encodec", "unet", "fcn8s")


def properties(threads: int, precision: str) -> dict[str, str | int]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }


def row(name: str, threads: int, precision: str, seconds: float) -> str:
    """One line of the table."""
    tconv.set_num_threads(threads)
    feeds = FEEDS[name]()
    model = core().read_model(FILES[name](name))
    model.reshape({key: list(array.shape) for key, array in feeds.items()})
    sides = {
        "as it is": model,
        "first": tconv.openvino.convert(model, "channels_first"),
        "last": tconv.openvino.convert(model, "channels_last"),
    }
    config = properties(threads, precision)
    requests = [core().compile_model(made, "CPU", config).create_infer_request() for made in sides.values()]
    answers = []
    for request in requests:
        request.infer(feeds)
        answers.append(np.array(request.get_output_tensor(0).data))
    far = max(float(np.abs(answer - answers[0]).max()) for answer in answers[1:])
    times = in_turns([(lambda: None, lambda r=r: r.infer(share_outputs=True)) for r in requests], seconds)
    if not times[0]:
        return f"| {name} | {len(names(model))} | {threads} | {precision} | too slow for these seconds |"
    spent = " | ".join(f"{statistics.median(taken) * 1e3:.3g} ms" for taken in times)
    ratios = [Paired(times[0], taken) for taken in times[1:]]
    shown = " | ".join(f"{both.ratio:.2f} ({both.low:.2f}-{both.high:.2f})" for both in ratios)
    share = far / max(float(np.abs(answers[0]).max()), 1e-30)
    return f"| {name} | {len(names(model))} | {threads} | {precision} | {spent} | {shown} | {share:.1g} |"


def chosen(name: str, threads: int, precision: str, seconds: float) -> str:
    """One line: OpenVINO's own against what `compile_model` makes in these seconds."""
    tconv.set_num_threads(threads)
    feeds, config = FEEDS[name](), properties(threads, precision)
    model = core().read_model(FILES[name](name))
    model.reshape({key: list(array.shape) for key, array in feeds.items()})
    made = tconv.openvino.compile_model(model, config, inputs=list(feeds.values()), seconds=seconds)
    nodes = made.get_runtime_model().get_ordered_ops()
    count = sum(str(node.get_rt_info()["layerType"].value) == "Reference" for node in nodes)
    sides = [core().compile_model(model, "CPU", config), made]
    requests = [compiled.create_infer_request() for compiled in sides]
    for request in requests:
        request.infer(feeds)
    times = in_turns([(lambda: None, lambda r=r: r.infer(share_outputs=True)) for r in requests], seconds / 2)
    if not times[0]:
        return f"| {name} | {threads} | {precision} | too slow for these seconds |"
    both = Paired(*times)
    spent = " | ".join(f"{statistics.median(taken) * 1e3:.3g} ms" for taken in times)
    return (
        f"| {name} | {threads} | {precision} | {count} of {len(names(model))} | {spent} | "
        f"{both.ratio:.2f} ({both.low:.2f}-{both.high:.2f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--precision", nargs="*", default=["f32"], help="f32, bf16; default: f32")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each row; default: 6")
    parser.add_argument("--chosen", action="store_true", help="time what compile_model makes instead")
    args = parser.parse_args()
    head = "| model | layers | threads | precision | as it is | first | last | first | last | differ |"
    if args.chosen:
        head = "| model | threads | precision | layers in the engine | as it is | chosen | ratio |"
    print(head, "|---" * head.count(" | ") + "|---|", sep="\n", flush=True)
    line = chosen if args.chosen else row
    for name in args.models or NAMES:
        for precision in args.precision:
            for threads in args.threads:
                print(line(name, threads, precision, args.seconds), flush=True)


if __name__ == "__main__":
    main()
