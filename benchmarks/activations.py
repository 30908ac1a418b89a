"""What an activation costs in the engine's epilogue, relative to PyTorch's separate pass.

    python benchmarks/activations.py --threads 1

The layer alone, the layer with the activation, and PyTorch's function on the layer's output run in turns, in
an order drawn anew for each turn, since each leaves other caches to the next. The ratio is (with - alone) /
PyTorch's pass, of medians: below 1 fusing saves time, around 0 it costs nothing that can be seen.
"""

from __future__ import annotations

import argparse
import time
from statistics import mean, median
from typing import Any

import numpy as np
import torch

import tconv
from tconv.geometry import Geometry
from tconv.torch.activations import activate

LAYERS = (
    "n1 c512>256 i8x8 k4 s2 p1",
    "n1 c128>64 i32x32 k4 s2 p1",
    "n1 c64>32 i64x64 k2 s2",
    "n1 c32>16 i128x128 k3 s2 p1 o1",
    "n1 c64>3 i128x128 k4 s2 p1",
    "n1 c256>128 i512 k16 s8 p4",
    "n1 c16>8 i16x32x32 k2 s2",
)
ACTIVATIONS: dict[str, Any] = {
    **{name: name for name in ("relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu")},
    **{name: name for name in ("hardswish", "mish", "elu", "softplus")},
    "prelu": None,  # a slope for each channel
}


def main() -> None:
    """Print a table: a row for each activation, a column for each layer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=70.0, help="for all layers together")
    args = parser.parse_args()
    tconv.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    found: dict[str, list[float]] = {name: [] for name in ACTIVATIONS}
    with torch.no_grad():
        for text in LAYERS:
            geometry = Geometry.parse(text)
            for name, ratio in _ratios(geometry, args.seconds / len(LAYERS)).items():
                found[name].append(ratio)
    print(f"{args.threads} threads; columns: {'; '.join(LAYERS)}; mean")
    for name, ratios in found.items():
        print(f"{name:10}", *(f"{ratio:5.2f}" for ratio in ratios), f"{mean(ratios):5.2f}")


def _ratios(geometry: Geometry, seconds: float) -> dict[str, float]:
    draw = np.random.default_rng(0)
    x, weight, bias = (
        draw.standard_normal(shape, np.float32)
        for shape in (geometry.input_shape, geometry.weight_shape, (geometry.out_channels,))
    )
    weight /= np.float32(np.sqrt(weight[:, 0].size / np.prod(geometry.stride)))
    calls: dict[str, Any] = {"": tconv.prepare(weight, bias, geometry=geometry)}
    y = torch.from_numpy(calls[""](x).copy())
    passes: dict[str, Any] = {}
    for name, spelled in ACTIVATIONS.items():
        slopes = torch.linspace(0.1, 0.4, geometry.out_channels)
        activation = ("prelu", *slopes.tolist()) if spelled is None else spelled
        after = ("prelu", slopes) if spelled is None else spelled
        calls[name] = tconv.prepare(weight, bias, geometry=geometry, activation=activation)
        passes[name] = lambda after=after: activate(after, y, geometry.axes)
    out = np.empty(geometry.output_shape, np.float32)
    times: dict[str, list[float]] = {f"{kind} {name}": [] for kind in ("layer", "pass") for name in calls}
    end = time.perf_counter() + seconds
    every = [(f"layer {name}", lambda layer=layer: layer(x, out=out)) for name, layer in calls.items()]
    every += [(f"pass {name}", one) for name, one in passes.items()]
    turns = 0
    while turns < 5 or time.perf_counter() < end:
        for at in draw.permutation(len(every)):
            name, call = every[at]
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
        turns += 1
    alone = median(times["layer "])
    return {name: (median(times[f"layer {name}"]) - alone) / median(times[f"pass {name}"]) for name in passes}


if __name__ == "__main__":
    main()
