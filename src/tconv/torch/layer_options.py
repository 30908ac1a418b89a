"""Checks of the options of PyTorch's layers, which PyTorch itself would refuse late or in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from tconv.errors import TconvError, said
from tconv.geometry.normalize import per_axis, shown, whole

__all__ = ["check_channels", "check_size", "checked_parameters", "each_axis"]

_MOST = 2**31  # weights: 8 GiB of float32


def check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse what PyTorch's layers refuse, naming the values."""
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        if whole(name, value) < 0:
            raise TconvError(f"{name}={value}; 0 or more would fit")
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise TconvError(
            f"in_channels={in_channels} and out_channels={out_channels} do not divide into groups={groups}; "
            "groups that divide both would fit"
        )


def each_axis(name: str, value: Any, axes: int) -> tuple[int, ...]:
    """One int per axis, from what PyTorch's layers take: an int or a sequence."""
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return per_axis(name, tuple(value) if many else value, axes)


def check_size(channels: tuple[int, int], kernel: tuple[int, ...]) -> None:
    """Refuse weights beyond any memory."""
    if min(kernel) < 1:
        raise TconvError(f"kernel_size={kernel}; at least 1 per axis would fit")
    if prod(max(1, channel) for channel in channels) * prod(kernel) > _MOST:
        raise TconvError(f"{channels} channels and kernel {kernel}: up to {_MOST:,} weights would fit")


def checked_parameters(bias: Any, device: Any, dtype: Any) -> bool:
    """Whether there is a bias; refuses a place or a dtype that no parameter can have."""
    try:
        if device is not None or dtype is not None:
            torch.empty(0, device=device, dtype=dtype).requires_grad_()
        return bool(bias)
    except Exception as fault:  # PyTorch raises every kind of error here
        given = ", ".join(
            f"{name}={shown(value)}" for name, value in (("bias", bias), ("device", device), ("dtype", dtype))
        )
        raise TconvError(f"{given}: {said(fault)}") from None
