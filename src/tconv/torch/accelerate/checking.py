"""Whether an accelerated model has the outputs of the original, also if it amplifies rounding.

Another order of a sum rounds differently. So the original is also run with errors of the size of rounding
added to the outputs of the layers that were changed. Outputs may differ by their dtype's share of the largest
number, or by ten times what these errors change, as `tconv rewrite` allows. Since that may hide a fault, each
layer is then compared by itself, where nothing amplifies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tconv import agreement
from tconv.errors import TconvError
from tconv.torch.accelerate.measuring import Example, hooked
from tconv.torch.accelerate.rows import Row
from tconv.torch.accelerate.table import Accelerated

__all__ = ["TOLERANCE", "check", "distance"]

#: By how much outputs may differ, as a share of the largest; for integers, the share that may differ.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_WHOLE = 1e-2

#: If rounding alone may change outputs by this share of the largest, comparing them shows nothing.
_CHAOS = 0.1


def distance(
    found: Sequence[Tensor], expected: Sequence[Tensor], rounded: Sequence[Tensor] | None = None
) -> tuple[float, float]:
    """The difference of outputs and the allowed one, for the worst tensor.

    `rounded` are the outputs of the original with other rounding.

    >>> distance([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.5])])
    (0.2, 0.0001)
    """
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return float("inf"), 0.0
    worst = (0.0, min(map(_tolerance, expected)) if expected else 0.0)
    for a, b, c in zip(found, expected, expected if rounded is None else rounded, strict=True):
        most = agreement.allowed(_tolerance(b), 1.0, 0.0 if c is b else _off(c, b))
        off = _off(a, b)
        if off / most > worst[0] / (worst[1] or 1.0):
            worst = off, most
    return worst


def _tolerance(tensor: Tensor) -> float:
    return TOLERANCE.get(tensor.dtype.to_real() if tensor.is_complex() else tensor.dtype, _WHOLE)


def _off(a: Tensor, b: Tensor) -> float:
    """The largest difference as a share of the largest number; of integers the share that differs."""
    if a.shape != b.shape:
        return float("inf")
    if not (b.is_floating_point() or b.is_complex()):
        return float((a != b).double().mean()) if b.numel() else 0.0
    one, two = _array(a), _array(b)
    return agreement.difference(one, two) / (agreement.largest(two) or 1.0)


def _array(tensor: Tensor) -> Any:
    wide = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().cpu().to(wide).resolve_conj().resolve_neg().numpy()


def check(
    example: Example,
    done: Accelerated,
    levels: Sequence[int],
    expected: Sequence[Tensor],
    inputs: Mapping[Any, Sequence[Tensor]],
) -> None:
    """Compare the accelerated model, which has these levels, with the outputs `expected`; note the result.

    Raises:
        TconvError: outputs differ by more than rounding explains.
    """
    found = example.answers()
    done.apart, done.tolerance = distance(found, expected)
    if done.apart <= done.tolerance:
        return
    done.put_back()
    off, most = distance(example.answers(), expected)
    layers = [row.layer for row, level in zip(done.rows, levels, strict=True) if level]
    with example.hooked(layers, _rounded):
        rounded = example.answers()
    done.do(levels)
    for row, level in zip(done.rows, levels, strict=True):
        for x in inputs.get(row.layer, []) if level else []:
            _check_row(row, level, x)
    if off > most:
        done.apart = None
        done.notes.append("outputs: not compared, since two runs of the model itself differ")
        return
    done.apart, done.tolerance = distance(found, expected, rounded)
    if done.tolerance > _CHAOS:
        done.apart = None
        done.notes.append(
            "outputs: compared layer by layer only, since rounding alone may change those of the whole by "
            f"{done.tolerance:.0%} of the largest"
        )
    elif done.apart > done.tolerance:
        raise _differ("outputs", done.apart, done.tolerance)
    else:
        done.notes.append("more than usual is allowed, since the model amplifies rounding; layers agree")


def _check_row(row: Row, level: int, x: Tensor) -> None:
    """Compare one layer, and what is fused into it, with its separate parts."""
    row.set(0)
    expected = row.call(x)
    with hooked([row.layer], _rounded):
        rounded = row.call(x)
    row.set(level)
    off, most = distance([row.call(x)], [expected], [rounded])
    if off > most:
        raise _differ(f"outputs of {row.name}", off, most)


def _rounded(layer: nn.Module) -> Any:
    """Let the layer's output have errors of the size of rounding, of random sign."""
    generator = torch.Generator().manual_seed(0)

    def add(module: nn.Module, given: Any, y: Any) -> Any:
        if not isinstance(y, Tensor) or not y.is_floating_point() or not y.numel():
            return None
        signs = torch.randint(0, 2, y.shape, generator=generator).to(y) * 2 - 1
        finite = torch.where(y.isfinite(), y.abs(), 0.0)
        return y + signs * (finite.max() * torch.finfo(y.dtype).eps)

    return layer.register_forward_hook(add)


def _differ(what: str, off: float, most: float) -> TconvError:
    return TconvError(
        f"{what} differ by {off:.1e} of the largest, and {most:.0e} would fit; the model is unchanged"
    )
