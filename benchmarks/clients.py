"""Models that other people wrote, before and after tconv.torch.accelerate: see --help.

Weights are random, from configurations; nothing is downloaded. Packages, each with `pip install --no-deps`:

    transformers==5.24.0 tokenizers safetensors huggingface-hub regex httpx2 monai==1.6.1
    segmentation-models-pytorch==0.6.0 timm==1.0.31 ultralytics==8.4.190 opencv-python-headless
    compressai==1.2.8 encodec==0.1.1 dynamic-network-architectures==0.4.4 kornia==0.9.0 kornia-rs
    pythae==0.1.2 pydantic basicsr==1.4.2 denoising-diffusion-pytorch==2.3.4 einops

What they import beside their models and what is not installed (torchvision, torchaudio, ...) is replaced by
empty modules. A model whose package is missing is left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from client_models import MODELS, Made
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tconv.bench.report import machine
from tconv.torch import accelerate
from tconv.torch.accelerate.measuring import tensors_of

#: Packages that the clients import and these models do not use.
_UNUSED = (
    "torchvision", "torchaudio", "torch_geometric", "cv2", "kornia_rs", "pyiqa", "lmdb", "ema_pytorch",
    "pytorch_msssim", "accelerate",
)  # fmt: skip


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Nothing(types.ModuleType):
    """A module in which every name is a class that does nothing."""

    __path__: ClassVar[list[str]] = []
    __file__ = "nothing"
    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Anything(name, (), {"__init__": lambda self, *args, **kwargs: None, "__call__": _called})
        setattr(self, name, made)
        return made


def _called(self: Any, *args: Any, **kwargs: Any) -> Any:
    return args[0] if args else self


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: list[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name.split(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Nothing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def stand_in() -> None:
    """Replace what is not installed, or cannot be imported beside this PyTorch, by empty modules."""
    # Not the file beside this one, which is called like a package.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
    try:  # transformers looks for some of them, does without, and remembers
        utils = importlib.import_module("transformers.utils.import_utils")
        for name in ("torchvision", "accelerate", "torchaudio", "cv2"):
            getattr(utils, f"is_{name}_available", bool)()
    except ImportError:
        pass
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: "0.0" if name in _UNUSED else version(name)  # type: ignore[assignment]
    missing = []
    for name in _UNUSED:
        try:
            importlib.import_module(name)
        except Exception:  # of another build of PyTorch
            missing.append(name)
            for loaded in [each for each in sys.modules if each.split(".")[0] == name]:
                del sys.modules[loaded]
    sys.meta_path.insert(0, _Finder(missing))


def gradients(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Those of the sum of squares of all outputs, with respect to every floating-point parameter."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    outputs = [x for x in tensors_of(model(*args, **kwargs), set()) if x.requires_grad]
    sum((x.double() ** 2).mean() for x in outputs).backward()  # type: ignore[union-attr]
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def _worst(found: list[Tensor], exact: list[Tensor]) -> float:
    """The largest difference, as a share of the largest number of its tensor, and of all of them."""
    largest = max(float(b.abs().max()) for b in exact)
    return max(float((a.double() - b).abs().max()) / largest for a, b in zip(found, exact, strict=True))


def compared_gradients(make: Callable[[], Made]) -> tuple[float, float]:
    """How far PyTorch's gradients in float32 are from those in float64, and the accelerated model's."""
    wide = pytree.tree_map_only(Tensor, lambda x: x.double() if x.is_floating_point() else x, _made(make))
    exact = gradients(wide[0].double(), *wide[1:])
    model, args, kwargs = _made(make)
    theirs = gradients(model, args, kwargs)
    with torch.no_grad():
        accelerate(model, example=(args, kwargs), report=False, seconds=0)
    return _worst(theirs, exact), _worst(gradients(model, args, kwargs), exact)


def _made(make: Callable[[], Made]) -> Made:
    torch.manual_seed(0)
    model, args, kwargs = make()
    return model.eval(), args, kwargs


def main() -> None:
    """Accelerate each model, and print its table, and in the end a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="parts of their names; all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="for timing each of them; 30 by default")
    parser.add_argument("--gradients", action="store_true", help="compare gradients, and time nothing")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    stand_in()
    torch.set_num_threads(args.threads)
    found: list[dict[str, Any]] = []
    for name, make in MODELS.items():
        if args.models and not any(part in name for part in args.models):
            continue
        try:
            model, given, named = _made(make)
        except ModuleNotFoundError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        if args.gradients:
            theirs, ours = compared_gradients(make)
            found.append({"model": name, "torch": theirs, "tconv": ours})
            print(f"{name}: gradients differ from float64 by {theirs:.1e} in PyTorch, {ours:.1e} here")
            continue
        done = accelerate(model, example=(given, named), report=False, seconds=args.seconds)
        ratio = None if done.timed is None else done.timed.ratio
        rows = [
            {"layer": row.name, "what": row.what, "done": row.done, "why": row.why, "decided": row.decided}
            for row in done.rows
        ]
        found.append({"model": name, "ratio": ratio, "apart": done.apart, "rows": rows, "notes": done.notes})
        if not args.json:
            print(f"{name}\n{done}\n", flush=True)
    if args.json:
        print(json.dumps({"machine": machine(), "threads": args.threads, "models": found}))
    elif not args.gradients:
        for each in found:
            on = sum(bool(row["done"]) for row in each["rows"])
            fused = sum(len(row["done"]) > 1 for row in each["rows"])
            told = "not timed" if each["ratio"] is None else f"{each['ratio']:.2f} times as fast"
            print(f"{each['model']}: {on} of {len(each['rows'])} rows, {fused} with more fused; {told}")


if __name__ == "__main__":
    main()
