"""Nodes that interleave channels as phases of the output, and crop it: DepthToSpace, else Reshape.

DepthToSpace has two axes and one block size. Anything else is Reshape, Transpose, Reshape, in two axes

    (n, c s t, h, w) -> (n, c, s, t, h, w) -> (n, c, h, s, w, t) -> (n, c, h s, w t).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tconv.geometry.normalize import Sides
from tconv.onnx.rules.maker import Maker

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["block_size", "cropped", "interleaved", "new_shape"]

_END = np.iinfo(np.int64).max


def block_size(stride: tuple[int, ...], groups: int, opset: int) -> int | None:
    """The block size for DepthToSpace; None if it cannot do it."""
    # Channels (output, phase) keep the groups together; before opset 11 there was only (phase, output).
    able = len(stride) == 2 and len(set(stride)) == 1 and (groups == 1 or opset >= 11)
    return stride[0] if able else None


def interleaved(
    make: Maker,
    value: ir.Value,
    channels: int,
    stride: tuple[int, ...],
    sizes: Sequence[int | None],
    groups: int = 1,
) -> ir.Value:
    """`value` of `channels` * prod(stride) channels and these sizes, its phases interleaved.

    The order of the channels is (phase, output) if `block_size` is a number and there is one group, else
    (output, phase).
    """
    block = block_size(stride, groups, make.opset)
    if block is not None:
        order = {} if make.opset < 11 else {"mode": "DCR" if groups == 1 else "CRD"}
        return make.add("DepthToSpace", [value], blocksize=block, **order)
    axes = len(stride)
    apart = make.add("Reshape", [value, new_shape(make, value, [0, channels, *stride], sizes, (1,) * axes)])
    pairs = [index for a in range(axes) for index in (2 + axes + a, 2 + a)]
    turned = make.add("Transpose", [apart], perm=[0, 1, *pairs])
    return make.add("Reshape", [turned, new_shape(make, value, [0, channels], sizes, stride)])


def new_shape(
    make: Maker, value: ir.Value, first: list[int], sizes: Sequence[int | None], times: Sequence[int]
) -> ir.Value:
    """`first` and then the sizes of `value`, each multiplied, as the shape for a Reshape.

    One size may be open; with more, they are read from `value` when the model runs.
    """
    if sum(size is None for size in sizes) <= 1:
        known = [-1 if size is None else size * t for size, t in zip(sizes, times, strict=True)]
        return make.constant([*first, *known], "shape")
    spatial = make.constant(list(range(2, 2 + len(sizes))), "axes")
    found = make.add("Gather", [make.add("Shape", [value]), spatial])
    if set(times) != {1}:
        found = make.add("Mul", [found, make.constant(list(times), "times")])
    return make.add("Concat", [make.constant(first, "lead"), found], axis=0)


def cropped(make: Maker, value: ir.Value | None, crop: Sides) -> ir.Value | None:
    """`value` without `crop` cells at the ends of its spatial axes."""
    if not any(map(any, crop)):
        return value
    starts = [lo for lo, _ in crop]
    ends = [-hi if hi else _END for _, hi in crop]
    axes = list(range(2, 2 + len(crop)))
    if make.opset < 10:
        return make.add("Slice", [value], starts=starts, ends=ends, axes=axes)
    named = (("starts", starts), ("ends", ends), ("axes", axes))
    return make.add("Slice", [value, *(make.constant(numbers, what) for what, numbers in named)])
