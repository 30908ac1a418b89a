"""Learning rates: which tensors have which, and how they change over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["optimiser", "shares"]


def optimiser(
    network: nn.Module, *, lr: float, backbone_lr: float | None, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over what learns. With ``backbone_lr``, the tensors of ``network.backbone`` have that rate."""
    learning = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if backbone_lr is None:
        return torch.optim.AdamW([p for _, p in learning], lr=lr, weight_decay=weight_decay)
    groups: list[dict[str, Any]] = [  # the head first: the log shows the rate of the first group
        {"params": [p for name, p in learning if name.startswith("backbone.") is backbone], "lr": rate}
        for backbone, rate in ((False, lr), (True, backbone_lr))
    ]
    return torch.optim.AdamW(groups, weight_decay=weight_decay)


def shares(steps: int, *, warmup: float, decay: str) -> Callable[[int], float]:
    """Share of the learning rate at a step: a linear rise over ``warmup`` of the steps, then a fall to 0.

    The fall is half a cosine, or "poly": (1 - progress) to the power of 0.9, as DeepLab's.
    A function, not an object: a checkpoint would keep an object's ``steps``, and a run that is resumed
    for more epochs needs the new ones.

    >>> share = shares(100, warmup=0.05, decay="cosine")
    >>> [round(share(step), 3) for step in (0, 4, 5, 52, 100)]
    [0.167, 0.833, 1.0, 0.508, 0.0]
    """
    rise = max(1, int(steps * warmup + 1e-6))

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        progress = min(1.0, (step - rise) / max(1, steps - rise))
        return 0.5 * (1 + math.cos(math.pi * progress)) if decay == "cosine" else (1 - progress) ** 0.9

    return share
