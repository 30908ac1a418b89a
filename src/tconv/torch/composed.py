"""The layer by PyTorch's own functions: for exporters, and for tensors that the engine does not compute.

With padding (lo, hi) and output padding o, an axis of the output is the full (i-1)*s + d*(k-1) + 1 cells,
cropped by lo in front and by hi - o at the end; a negative crop adds cells that hold the bias alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["composed"]

_PYTORCH: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def composed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[Any],
    padding: Sequence[Any],
    output_padding: Sequence[Any],
    dilation: Sequence[Any],
    groups: Any,
) -> Tensor:
    """The same as `tconv::conv_transpose`, with its arguments."""
    axes = len(stride)
    call, options = _PYTORCH[axes], (groups, dilation)
    lows, highs = list(padding[:axes]), list(padding[-axes:])
    exporting = torch.onnx.is_in_onnx_export()
    # PyTorch takes output padding from the stride up to the dilation; ONNX Runtime refuses it.
    least = all(o < s for o, s in zip(output_padding, stride, strict=True))
    if lows == highs and min(lows) >= 0 and (least or not exporting):
        return call(x, weight, bias, stride, lows, output_padding, *options)
    highs = [hi - o for hi, o in zip(highs, output_padding, strict=True)]
    fits = min(lows) >= 0 and all(-high < s for high, s in zip(highs, stride, strict=True))
    if exporting and fits and torch._C._get_tracing_state() is None:
        return _node(x, weight, bias, stride, lows, highs, dilation, groups)
    result = call(x, weight, None, stride, 0, 0, *options)
    cuts = [-cut for pair in zip(reversed(lows), reversed(highs), strict=True) for cut in pair]
    # Cells are added before any are cropped: one end may be cropped by more than the full size.
    for part in [max(cut, 0) for cut in cuts], [min(cut, 0) for cut in cuts]:
        result = functional.pad(result, part) if any(part) else result
    return result if bias is None else result + bias.reshape(-1, *(1,) * axes)


def _node(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[Any],
    lows: list[Any],
    highs: list[Any],
    dilation: Sequence[Any],
    groups: Any,
) -> Tensor:
    """ONNX's own ConvTranspose, which crops the two ends of an axis separately.

    For the exporter by torch.export: the one by TorchScript, which traces, has no `symbolic`.
    """
    axes = zip(x.shape[2:], weight.shape[2:], stride, lows, highs, dilation, strict=True)
    sizes = [(i - 1) * s + d * (k - 1) + 1 - lo - hi for i, k, s, lo, hi, d in axes]
    return torch.onnx.ops.symbolic(
        "ConvTranspose",
        (x, weight, bias),
        {
            "strides": list(stride),
            "pads": [*lows, *(max(high, 0) for high in highs)],
            "output_padding": [max(-high, 0) for high in highs],
            "dilations": list(dilation),
            "group": groups,
            "kernel_shape": list(weight.shape[2:]),
        },
        dtype=x.dtype,
        shape=[x.shape[0], weight.shape[1] * groups, *sizes],
    )
