"""Whole networks with PyTorch's transposed convolutions and with tconv's.

Each side runs in a separate process. They take turns, and the others are stopped meanwhile. A ratio is the
median of the turns' ratios, with its quartiles and a verdict (`tconv.timing`). The ceiling is the ratio that
layers without any cost would give: on a third side they return tensors that exist already.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise, product
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
from tconv.timing import LOOKS, Paired
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
ENGINES = ("tconv", "torch", "free")
PASSES = ("forward", "step")


class Free(torch.autograd.Function):
    """A layer without any cost: its output and its gradients exist already."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, grads: Sequence[Tensor | None], *inputs: Tensor | None) -> Tensor:
        """`y`; the gradients of `inputs` will be `grads`."""
        ctx.grads = grads
        return y.detach()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[Tensor | None, ...]:
        """Give the gradients as new tensors, which autograd takes over without a copy."""
        return None, None, *(grad if grad is None else grad.detach() for grad in ctx.grads)


def make_free(layer: nn.ConvTranspose2d) -> None:
    """Let `layer` compute once, and then return what it has."""
    compute = layer.forward
    kept: list[Any] = []

    def forward(x: Tensor) -> Tensor:
        inputs = x, layer.weight, layer.bias
        if not kept:
            grads = [None if tensor is None else torch.zeros_like(tensor) for tensor in inputs]
            kept.extend((compute(x).detach(), grads))
        free: Callable[..., Tensor] = Free.apply if torch.is_grad_enabled() else lambda y, *_: y
        return free(*kept, *inputs)

    layer.forward = forward  # type: ignore[assignment, method-assign]


def load(engine: str, request: dict[str, Any]) -> Callable[[], Any]:
    """Build a network, write its output and its input's gradient to a file, and return how to call it."""
    torch.set_num_threads(request["threads"])
    tconv.set_num_threads(request["threads"])
    make, shape, classes = MODELS[request["model"]]
    torch.manual_seed(0)
    network = make()
    if engine != "tconv":
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
    if engine == "free":
        for layer in network.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                make_free(layer)
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
        call()  # threads that were stopped are awake again
        start = perf_counter()
        for _ in range(request["calls"]):
            call()
        return {"seconds": (perf_counter() - start) / request["calls"]}

    serve(handle)


def measure(model: str, pass_: str, engines: list[Engine], args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a call of each engine, turn by turn, after all gave the same output."""
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
    once = [engine.ask(do="time", calls=1)["seconds"] for engine in engines]
    calls = max(1, round(args.seconds / max(once)))
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in rounds(engines, args.turns):
        times[engine.name].append(engine.ask(do="time", calls=calls)["seconds"])
    return {"model": model, "pass": pass_, "calls": calls, "seconds": times, "distance": off}


def line(result: dict[str, Any]) -> str:
    """One row of the table."""
    ours, theirs, free = (result["seconds"][engine] for engine in ENGINES)
    shape = "x".join(map(str, MODELS[result["model"]][1]))
    pair, most = Paired(theirs, ours), Paired(theirs, free)
    times = " | ".join(f"{statistics.median(t) * 1e3:.2f}" for t in (ours, theirs, free))
    spread = f"{pair.ratio:.2f} ({pair.low:.2f} to {pair.high:.2f}), {pair.verdict()}"
    return f"| {result['model']} | {shape} | {result['pass']} | {times} | {spread} | {most.ratio:.2f} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MODELS), help="by comma (default: %(default)s)")
    parser.add_argument("--passes", default=",".join(PASSES), help="by comma (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=tconv.get_num_threads(), metavar="N")
    parser.add_argument(
        "--turns",
        type=int,
        default=LOOKS[0],
        metavar="N",
        help="of each side; fewer than %(default)s, the default, give no verdict",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.1,
        metavar="S",
        help="a turn: a call or more (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.worker:
        work(args.worker)
        return
    models, passes = args.models.split(","), args.passes.split(",")
    for option, names, known in (("--models", models, tuple(MODELS)), ("--passes", passes, PASSES)):
        for name in names:
            if name not in known:
                parser.error(f"{option} {name!r} is unknown; {', '.join(known)} would fit")
    results = []
    for model, pass_ in product(models, passes):
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
    print("| network | input | pass | tconv ms | torch ms | free ms | torch / tconv | ceiling |")
    print("|---|---|---|---|---|---|---|---|")
    for result in results:
        print(line(result))
    print(f"\n{facts['cpu']}, {facts['instruction_set']}, {args.threads} threads, float32; ", end="")
    print(", ".join(f"{name} {number}" for name, number in facts["versions"].items()))


if __name__ == "__main__":
    try:
        main()
    except TconvError as error:
        sys.exit(f"models.py: {error}")
