"""The layer in PyTorch's own operators: for exporters, and for tensors that the engine does not compute.

With padding (lo, hi) and output padding o, an axis of the answer is the whole of (i-1)*s + d*(k-1) + 1 cells,
cropped by lo in front and by hi - o behind; a negative crop adds cells that hold the bias alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["composed"]


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
    """What `tconv::conv_transpose` computes, with its arguments."""
    convolution = torch.ops.aten.convolution
    made: Tensor
    # PyTorch takes output padding from the stride up to the dilation; ONNX Runtime refuses it.
    if all(o < s for o, s in zip(output_padding, stride, strict=True)):
        made = convolution(x, weight, bias, stride, padding, dilation, True, output_padding, groups)
        return made
    lows, highs = list(padding), [p - o for p, o in zip(padding, output_padding, strict=True)]
    fits = min(lows) >= 0 and all(-high < s for high, s in zip(highs, stride, strict=True))
    if fits and _exporting():
        return _node(x, weight, bias, stride, lows, highs, dilation, groups)
    none = [0] * len(lows)
    made = convolution(x, weight, None, stride, none, dilation, True, none, groups)
    crops = [-crop for pair in zip(reversed(lows), reversed(highs), strict=True) for crop in pair]
    made = torch.ops.aten.constant_pad_nd(made, crops)
    return made if bias is None else made + bias.reshape(-1, *(1 for _ in lows))


def _exporting() -> bool:
    """Whether the exporter by torch.export asks; that by TorchScript, which traces, knows no `symbolic`."""
    return torch.onnx.is_in_onnx_export() and torch._C._get_tracing_state() is None


def _node(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    lows: Any,
    highs: Any,
    dilation: Any,
    groups: Any,
) -> Tensor:
    """ONNX's own ConvTranspose, which crops both ends of an axis by numbers of their own."""
    attributes = {
        "strides": stride,
        "pads": [*lows, *(max(high, 0) for high in highs)],
        "output_padding": [max(-high, 0) for high in highs],
        "dilations": dilation,
        "group": groups,
        "kernel_shape": weight.shape[2:],
    }
    axes = zip(x.shape[2:], weight.shape[2:], stride, lows, highs, dilation, strict=True)
    sizes = [(i - 1) * s + d * (k - 1) + 1 - lo - hi for i, k, s, lo, hi, d in axes]
    return torch.onnx.ops.symbolic(
        "ConvTranspose",
        (x, weight, bias),
        {name: value if isinstance(value, int) else list(value) for name, value in attributes.items()},
        dtype=x.dtype,
        shape=[x.shape[0], weight.shape[1] * groups, *sizes],
    )
