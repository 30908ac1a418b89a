"""Nearest upsampling in the forms that PyTorch has, and the convolutions that it merges with."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from torch.nn import functional

from tconv.geometry.normalize import Sides
from tconv.torch.accelerate.activations import Call
from tconv.torch.accelerate.functions import CalledLayer

__all__ = [
    "CONVOLUTIONS",
    "conv_padding",
    "described",
    "factor_of",
    "is_upsampling",
    "label",
    "why_not_merged",
]

CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}

#: PyTorch finds the source of output o as floor(o * float32(1/f)); from f = 41 on that is not always o // f.
_LARGEST = 40

_NEAREST = ("nearest", "nearest-exact")  # the same for whole factors
_INTERPOLATE = inspect.signature(functional.interpolate)


def _options(part: Any) -> dict[str, Any] | None:
    if isinstance(part, nn.Upsample):  # UpsamplingNearest2d is one
        return {"size": part.size, "scale_factor": part.scale_factor, "mode": part.mode}
    if isinstance(part, Call) and part.target in (functional.interpolate, functional.upsample):
        try:
            bound = _INTERPOLATE.bind(None, *part.args, **part.kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        return bound.arguments
    return None


def is_upsampling(part: Any) -> bool:
    """Whether `part` is an upsampling of the nearest kind.

    >>> [is_upsampling(nn.Upsample(scale_factor=2, mode=mode)) for mode in ("nearest", "bilinear")]
    [True, False]
    """
    options = _options(part)
    return options is not None and options["mode"] in _NEAREST


def factor_of(part: Any, axes: int) -> tuple[int, ...] | str:
    """The factors of a nearest upsampling, one per axis; or why they are not integers.

    >>> factor_of(nn.Upsample(scale_factor=2), 2), factor_of(nn.Upsample(scale_factor=1.5), 2)
    ((2, 2), 'scale_factor=1.5 is not whole')
    """
    options = _options(part) or {}
    scale = options.get("scale_factor")
    if scale is None:
        return "size= is given, not scale_factor="
    each = tuple(scale) if isinstance(scale, tuple | list) else (scale,) * axes
    if len(each) != axes or not all(float(number).is_integer() and number >= 1 for number in each):
        return f"scale_factor={scale} is not whole"
    if max(each) > _LARGEST:
        return f"scale_factor={scale}: PyTorch's own rounding shows beyond {_LARGEST}"
    return tuple(int(number) for number in each)


def why_not_merged(part: Any) -> str | None:
    """Why a part that follows a nearest upsampling does not merge with it, or None."""
    if type(part) not in CONVOLUTIONS:
        return f"{label(part)} follows, not a convolution"
    if set(part.stride) != {1}:
        return f"the convolution has stride {part.stride}"
    if part.padding_mode != "zeros":
        return f"padding_mode={part.padding_mode!r} sees the upsampled borders"
    return None


def label(part: Any) -> str:
    """The name of a part in the table."""
    if isinstance(part, CalledLayer):
        return f"{part.function.__name__}()"
    return f"{part.name}()" if isinstance(part, Call) else type(part).__name__


def described(layer: Any) -> str:
    """A layer in the spelling of problems."""
    told = [label(layer).removeprefix("Parametrized"), f"{layer.in_channels}>{layer.out_channels}"]
    for letter, values, usual in (
        ("k", layer.kernel_size, None),
        ("s", layer.stride, 1),
        ("p", layer.padding, 0),
        ("o", layer.output_padding, 0),
        ("d", layer.dilation, 1),
    ):
        if isinstance(values, str):
            told.append(f"{letter}={values}")
        elif set(values) != {usual}:
            told.append(letter + "x".join(map(str, values if len(set(values)) > 1 else values[:1])))
    return " ".join([*told, *([f"g{layer.groups}"] if layer.groups > 1 else [])])


def conv_padding(conv: Any) -> Sides:
    """The zeros around the input of a convolution of stride 1.

    >>> conv_padding(nn.Conv1d(1, 1, 4, padding="same"))  # the odd one is at the far end
    ((1, 2),)
    """
    if conv.padding == "same":
        reach = [d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        return tuple((r // 2, r - r // 2) for r in reach)
    if conv.padding == "valid":
        return ((0, 0),) * len(conv.kernel_size)
    return tuple((p, p) for p in conv.padding)
