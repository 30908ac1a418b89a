"""Whole networks with PyTorch's transposed convolutions and with tconv's: see --help."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import tconv
from tconv.bench.report import machine
from tconv.bench.turns import Engine, distance, rounds
from tconv.bench.worker import serve
from tconv.errors import TconvError
from tconv.nets import FCN
from tconv.torch import ConvTranspose2d
from tconv.train.step_time import with_pytorch_layers

#: In float64 two engines may differ by this share of the largest number: weights are not whole
#: numbers here, and in float32 batch norms amplify rounding.
TOLERANCE = 1e-8


class UNet(nn.Module):
    """U-Net (Ronneberger, Fischer, Brox 2015) of four levels with 32 to 256 channels: 3 to 2 maps."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.grow = nn.ModuleList(ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(_block(2 * b, b) for _, b in pairs)
        self.score = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, 2, h, w), sizes multiples of 8."""
        skips = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            skips.append(x)
        for grow, block, skip in zip(self.grow, self.up, skips[-2::-1], strict=True):
            x = block(torch.cat((grow(x), skip), dim=1))
        answer: Tensor = self.score(x)
        return answer


def _block(a: int, b: int) -> nn.Module:
    convolutions = nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1)
    return nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU())


def dcgan() -> nn.Module:
    """The generator of DCGAN (Radford, Metz, Chintala 2015), 64x64, as PyTorch's examples have it."""
    widths, layers = (100, 512, 256, 128, 64), []
    for number, (a, b) in enumerate(pairwise(widths)):
        stride, padding = (1, 0) if number == 0 else (2, 1)
        layers += [ConvTranspose2d(a, b, 4, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


#: Name -> (network with tconv's layers, shape of its input, classes that it scores or None).
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int | None]] = {
    "fcn8s-small": (lambda: FCN(4, backbone="small", in_channels=1), (1, 1, 256, 256), 4),
    "fcn8s-vgg16": (lambda: FCN(21, backbone="vgg16"), (1, 3, 256, 256), 21),
    "dcgan": (dcgan, (64, 100, 1, 1), None),
    "unet": (UNet, (1, 3, 256, 256), 2),
}
ENGINES = ("tconv", "torch")
PASSES = ("forward", "step")


def load(engine: str, request: dict[str, Any]) -> Callable[[], Any]:
    """Build a network, write its output and its input's gradient to a file, and return how to call it."""
    torch.set_num_threads(request["threads"])
    tconv.set_num_threads(request["threads"])
    make, shape, classes = MODELS[request["model"]]
    torch.manual_seed(0)
    network = make()
    if engine == "torch":
        theirs = with_pytorch_layers(network)
        assert theirs is not None
        network = theirs
    torch.manual_seed(1)
    x = torch.randn(shape)
    training = request["pass"] == "step"
    network.train(training)

    def loss_of(y: Tensor) -> Tensor:
        if classes is None:
            return y.square().mean()
        labels = torch.arange(y[:, 0].numel()).reshape(y[:, 0].shape) % classes
        return functional.cross_entropy(y, labels)

    def forward() -> Tensor:
        with torch.inference_mode():
            answer: Tensor = network(x)
            return answer

    def step() -> None:
        optimizer.zero_grad()
        loss_of(network(x)).backward()
        optimizer.step()

    given = x.double().requires_grad_(training)
    y = network.double()(given)
    answers = [y.detach().numpy()]
    if training:
        loss_of(y).backward()
        assert given.grad is not None
        answers.append(given.grad.numpy())
    with open(request["answer"], "wb") as file:
        np.savez(file, *answers)
    network.float().zero_grad()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9)
    call = step if training else forward
    for _ in range(2):
        call()
    return call


def work(engine: str) -> None:
    """Serve one engine."""
    call: Callable[[], Any] | None = None

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal call
        if request["do"] == "load":
            call = None
            call = load(engine, request)
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


def measure(model: str, pass_: str, engines: list[Engine], args: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of each engine, after both gave the same output."""
    answers: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.npz"
        for engine in engines:
            task = {"model": model, "pass": pass_, "threads": args.threads, "answer": str(path)}
            reply = engine.ask(do="load", **task)
            if "error" in reply:
                raise TconvError(f"{model}, {pass_}, {engine.name}: {reply['error']}")
            with np.load(path) as file:
                answers.append([file[key] for key in file.files])
    off = distance(answers[1], answers[0])
    if off > TOLERANCE:
        raise TconvError(f"{model}, {pass_}: the two outputs differ by {off:.0e} of the largest number")
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in rounds(engines, args.turns):
        times[engine.name] += engine.ask(do="time", seconds=args.seconds)["times"]
    seconds = {name: statistics.median(values) for name, values in times.items()}
    return {"model": model, "pass": pass_, "seconds": seconds, "distance": off}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help="by comma (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=tconv.get_num_threads(), metavar="N")
    parser.add_argument(
        "--turns", type=int, default=5, metavar="N", help="of each engine (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.5, metavar="S", help="a turn (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.worker:
        work(args.worker)
        return
    models = args.models.split(",")
    for name in models:
        if name not in MODELS:
            parser.error(f"--models {name!r} is unknown; {', '.join(MODELS)} would fit")
    results = []
    for model in models:
        for pass_ in PASSES:
            engines = [Engine(e, args.threads, words=(__file__, "--worker", e)) for e in ENGINES]
            try:
                results.append(measure(model, pass_, engines, args))
            finally:
                for engine in engines:
                    engine.close()
    facts = {**machine(), "threads": args.threads, "turns": args.turns, "seconds": args.seconds}
    if args.json:
        print(json.dumps({"machine": facts, "models": results}, indent=1))
        return
    print("| network | input | pass | tconv ms | torch ms | / torch |\n|---|---|---|---|---|---|")
    for r in results:
        ours, theirs = (r["seconds"][engine] * 1e3 for engine in ENGINES)
        shape = "x".join(map(str, MODELS[r["model"]][1]))
        print(f"| {r['model']} | {shape} | {r['pass']} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} |")
    print(f"\n{facts['cpu']}, {facts['instruction_set']}, {args.threads} threads, float32; ", end="")
    print(", ".join(f"{name} {number}" for name, number in facts["versions"].items()))


if __name__ == "__main__":
    try:
        main()
    except TconvError as error:
        sys.exit(f"models.py: {error}")
