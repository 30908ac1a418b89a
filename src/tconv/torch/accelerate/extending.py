"""Chains with the steps that an example has shown to follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tconv.torch.accelerate.activations import Fixed
from tconv.torch.accelerate.chains import Chain
from tconv.torch.accelerate.pending import Following
from tconv.torch.accelerate.steps import Step
from tconv.torch.accelerate.watching import Line

__all__ = ["DONE", "extended"]

#: What the table says of a step that a chain computes.
DONE = {"norm": "{} folded", "activation": "{} fused", "crop": "only its {} computed"}


def extended(chain: Chain, line: Line) -> tuple[Following | None, list[Any], str] | None:
    """What follows a chain: the steps that it can compute, too, what computes them apart, why no more.

    None if the steps are not those of the chain: it did not run.
    """
    steps, why = line
    own = [kind for kind in ("norm", "activation") if getattr(chain, kind) is not None]
    if [step.kind for step, _ in steps[: len(own)]] != own:
        return None
    taken, rest = [], steps[len(own) :]
    has = {kind: getattr(chain, kind) for kind in ("norm", "activation", "crop")}
    if getattr(chain.layer, "activation", None) is not None:
        has["activation"] = chain.layer.activation
    for step, call in rest:
        if not _fits(step, has):
            why = f"{step.name} follows"
            break
        has[step.kind] = Fixed(step.key) if step.kind == "activation" else step.key
        taken.append((step, call))
    if has["activation"] is not None:
        why = ""  # nothing more could be fused
    if not taken:
        return None, [], why
    whole = Chain(chain.parts, chain.layer, has["norm"], has["activation"], chain.factor, has["crop"])
    return Following(whole, [step for step, _ in taken]), [_apart(*each) for each in taken if each[1]], why


def _fits(step: Step, has: dict[str, Any]) -> bool:
    """Whether a chain with these steps can compute one more: one of each, an activation after a BatchNorm."""
    return has[step.kind] is None and not (step.kind == "norm" and has["activation"] is not None)


def _apart(step: Step, call: Any) -> Any:
    if step.kind == "norm":
        return step.key
    return _Cut(step.key) if step.kind == "crop" else call


class _Cut:
    """A slice that cuts the same from inputs of every size."""

    def __init__(self, cut: Sequence[tuple[int, int]]) -> None:
        self.cut = cut

    def __call__(self, x: Tensor) -> Tensor:
        sizes = x.shape[2:]
        index: Any = (..., *(slice(lo, size - hi) for (lo, hi), size in zip(self.cut, sizes, strict=True)))
        part: Tensor = x[index]
        return part
