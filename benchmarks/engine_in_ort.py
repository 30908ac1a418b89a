"""Whole models in ONNX Runtime: as they are, rewritten for speed, and with tconv's engine.

    python benchmarks/engine_in_ort.py --prepare            fetch, convert and export the models
    python benchmarks/engine_in_ort.py                      every model; about a minute each
    python benchmarks/engine_in_ort.py ppocr_det --seconds 12 --threads 2
    python benchmarks/engine_in_ort.py --layers --seconds 0.2    the layers of `tconv bench`, each by itself

A row: a model is rewritten by `tconv rewrite --for speed` and by `--for engine`, each with `--seconds`; then
the three models run in turns for as long again. Shown are medians, and the medians of the ratios of the same
turn. The layers' own gain is that of the layers that became the engine's, with what was fused into them, by
ONNX Runtime's profiler in the whole model.

`--layers` times models of one layer: ONNX Runtime's own, the engine with plans of Python, and with those that
the library makes without Python. Each has `--seconds`, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import tconv.onnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rewritten import INPUTS, Feeds, image  # noqa: E402
from tconv.models.onnx.reader import read  # noqa: E402
from tconv.onnx.rewriting.runner import Runner  # noqa: E402
from tconv.timing import Paired  # noqa: E402

FOLDER = Path(tempfile.gettempdir()) / "tconv-models"


def scored(net: Any) -> Any:
    """An FCN whose score layers are random: they start at zero, and every output would be 0."""
    import torch

    for weight in net.score.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net


def network(name: str) -> object:
    """A network of PyTorch, with random weights."""
    import torch

    from benchmarks.decoders import Encodec, HiFiGAN
    from benchmarks.models import UNet
    from tconv.nets import FCN
    from tconv.train.step_time import with_pytorch_layers

    torch.manual_seed(0)
    made: dict[str, Callable[[], object]] = {
        "hifigan": HiFiGAN,
        "encodec": Encodec,
        "unet": lambda: with_pytorch_layers(UNet()),
        "fcn8s": lambda: with_pytorch_layers(scored(FCN(21, backbone="small", in_channels=3))),
    }
    return made[name]()


def exported(name: str) -> Path:
    """The file of a network, exported by PyTorch once."""
    path = FOLDER / f"{name}.onnx"
    if not path.exists():
        import torch

        x = torch.from_numpy(FEEDS[name]()["x"])
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network(name).eval(), (x,), path, dynamo=False, opset_version=17, input_names=["x"]
            )
    return path


def trained(name: str) -> Path:
    """The file of a trained model, from a package of the registry."""
    from tests.real_models.as_onnx import onnx_model

    path = FOLDER / f"{name}.onnx"
    return path if path.exists() and name.startswith("waifu") else onnx_model(name, FOLDER)


FEEDS: dict[str, Callable[[], Feeds]] = {
    **{name: INPUTS[name] for name in ("ppocr_det", "waifu2x", "waifu2x_cunet", "piper")},
    "hifigan": lambda: image("x", 1, 80, 32),
    "encodec": lambda: image("x", 1, 128, 75),
    "unet": lambda: image("x", 1, 3, 256, 256),
    "fcn8s": lambda: image("x", 1, 3, 256, 256),
}  # type: ignore[dict-item]
FILES = {
    **dict.fromkeys(("ppocr_det", "waifu2x", "waifu2x_cunet", "piper"), trained),
    **dict.fromkeys(("hifigan", "encodec", "unet", "fcn8s"), exported),
}


def layers(threads: int, seconds: float) -> str:
    """The geometric means of ONNX Runtime's times over the engine's, by both planners, and the least."""
    import onnxruntime

    from tests.onnx.engine.helpers import one_layer, without_planner

    ratios: dict[str, list[float]] = {"planned": [], "without Python": []}
    suite = Path(tconv.__file__).with_name("bench") / "layers.txt"
    for line in suite.read_text(encoding="utf-8").splitlines():
        if not (said := line.partition("#")[0].split(maxsplit=1)):
            continue
        name, geometry = said[0], tconv.Geometry.parse(said[1])
        ends = [*(lo for lo, _ in geometry.padding), *(hi for _, hi in geometry.padding)]
        given = {"strides": geometry.stride, "dilations": geometry.dilation, "group": geometry.groups}
        given |= {"pads": ends, "output_padding": geometry.output_padding}
        rng = np.random.default_rng(0)
        weight = rng.standard_normal(geometry.weight_shape).astype("float32")
        feeds = {"x": rng.standard_normal(geometry.input_shape).astype("float32")}
        sessions = {}
        for side, engine in (("ONNX Runtime", False), ("planned", True), ("without Python", True)):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.force_spinning_stop", "1")
            tconv.onnx.register(options)
            model = one_layer(weight, geometry.input_shape, engine=engine, **given).SerializeToString()
            sessions[side] = onnxruntime.InferenceSession(model, options)
            with without_planner() if side == "without Python" else nullcontext():
                sessions[side].run(None, feeds)
        times: dict[str, list[float]] = {side: [] for side in sessions}
        end = perf_counter() + len(sessions) * seconds
        while perf_counter() < end or len(times["planned"]) < 5:
            for side, session in sessions.items():
                start = perf_counter()
                session.run(None, feeds)
                times[side].append(perf_counter() - start)
        medians = {side: statistics.median(taken) for side, taken in times.items()}
        for side, found in ratios.items():
            found.append(medians["ONNX Runtime"] / medians[side])
        shown = " | ".join(f"{taken * 1e3:.3f} ms" for taken in medians.values())
        print(
            f"| {name} | {shown} | {ratios['planned'][-1]:.2f} | {ratios['without Python'][-1]:.2f} |",
            flush=True,
        )
    return "; ".join(
        f"{side}: {prod(found) ** (1 / len(found)):.2f} times ONNX Runtime's speed, at least {min(found):.2f}"
        for side, found in ratios.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of {', '.join(FEEDS)}")
    parser.add_argument("--prepare", action="store_true", help="only make the files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the three steps; default: 15")
    parser.add_argument("--layers", action="store_true", help="the layers of tconv bench instead")
    args = parser.parse_args()
    if args.layers:
        print(layers(args.threads, args.seconds))
        return
    FOLDER.mkdir(exist_ok=True)
    if not args.models:
        print("| model | as it is | for speed | engine | against as it is | against speed | own | layers |")
        print("|---|--:|--:|--:|--:|--:|--:|---|", flush=True)
    for name in args.models or FEEDS:
        path = FILES[name](name)
        if not args.prepare:
            print(row(name, path, args.threads, args.seconds), flush=True)


def row(name: str, path: Path, threads: int, seconds: float) -> str:
    """One line of the table."""
    feeds = FEEDS[name]()
    with tempfile.TemporaryDirectory() as folder:
        files = {"as it is": path}
        reports = {}
        for goal in ("speed", "engine"):
            files[goal] = Path(folder, f"{goal}.onnx")
            reports[goal] = tconv.onnx.rewrite(
                path, files[goal], goal=goal, check=False, inputs=[feeds], threads=threads, seconds=seconds
            )
        with Runner(threads) as runner:
            for side, file in files.items():
                runner.load(side, read(file).onnx)
            times = runner.time(list(files), feeds, seconds=seconds, turns=7, most=2000)
    engine = [trial for trial in reports["engine"].trials if str(trial.moves[0]).startswith("engine")]
    kept = [trial.timed.gain for trial in engine if trial.kept and trial.timed]
    own = prod(kept) ** (1 / len(kept)) if kept else 1.0
    each = " ".join(f"{trial.timed.gain:.2f}" for trial in engine if trial.timed)
    spent = " | ".join(f"{statistics.median(taken) * 1e3:.3g} ms" for taken in times.values())
    ratios = [Paired(times[side], times["engine"]) for side in ("as it is", "speed")]
    shown = " | ".join(f"{both.ratio:.2f} ({both.low:.2f}-{both.high:.2f})" for both in ratios)
    return f"| {name} | {spent} | {shown} | {own:.2f} | {len(kept)} of {len(engine)}: {each} |"


if __name__ == "__main__":
    main()
