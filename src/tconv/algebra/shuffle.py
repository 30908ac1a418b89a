"""A transposed convolution as one convolution of stride 1 and a shuffle of its channels, and back.

Output o = u - lo of a transposed convolution sums x[i] w[t] over i s + t d = u. Put o + m = q s + r with a
phase 0 <= r < s and a crop m at the front. Then

    i = q - D,    D = (t d - r - (lo - m)) / s    for the taps where that is whole,

so phase r is a convolution of stride 1 of the input itself, and all phases are the channels (o, r) of one
convolution: its tap j = (max D - D) / e reads x[q + j e - max D], with e the common step of all D. Writing
channel (o, r) at q to output o, position q s + r, is the "depth to space" of ONNX, PyTorch's pixel_shuffle in
any number of axes: the sub-pixel convolution of Shi et al. 2016 (Real-time single image and video
super-resolution).

With n inputs the output has n s + c cells, c = d(k-1) + 1 - s - lo - hi, so ceil((c + m) / s) determines the
padding at the end for every n. Nothing is cropped where m = 0 and s divides c: k4 s2 p1 is a convolution with
kernel 3. The crop m = lo mod s = 1 makes it one with kernel 2, since the phases then read the same window.

In the other direction, tap j of phase r of a convolution with padding (a, b) is at (k-1-j) e s + r of the
kernel ((k-1)e + 1) s with lo = ((k-1)e - a) s and hi = ((k-1)e - b) s; zeros at its ends are removed.
"""

from __future__ import annotations

from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tconv.algebra.arrays import Array, check_room, checked_groups, counts, read_weight
from tconv.algebra.merge import Merged, exchanged
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import Padding, PerAxis, Sides, padding_pairs, shown

__all__ = [
    "Phases",
    "SubPixel",
    "channels_first",
    "channels_last",
    "check_subpixel",
    "from_subpixel",
    "phases",
    "to_subpixel",
]


class SubPixel(NamedTuple):
    """A convolution of stride 1 whose channels are then shuffled into blocks of `stride`."""

    weight: Array  #: (out * prod(stride), in/groups, *kernel); channel o * prod(stride) + phase
    stride: tuple[int, ...]
    padding: Sides  #: zeros around the input, at least 0
    dilation: tuple[int, ...]
    crop: Sides  #: cells to crop from the shuffled output, at least 0


class _Line(NamedTuple):
    """The convolution along one axis; `at` gives each tap of the kernel its phase and tap of the result."""

    at: tuple[tuple[int, int, int], ...]  #: (phase, tap of the result, tap of the kernel)
    stride: int
    kernel: int
    dilation: int
    padding: tuple[int, int]
    crop: tuple[int, int]


class Phases(NamedTuple):
    """The convolution of `SubPixel` without its weights, which `weight` computes: one entry an axis."""

    at: tuple[tuple[tuple[int, int, int], ...], ...]
    stride: tuple[int, ...]  #: of the transposed convolution: the block of the shuffle
    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Sides  #: zeros around the input, at least 0
    crop: Sides  #: cells to cut off the shuffled output, at least 0

    def weight(self, weight: Array, groups: int) -> Array:
        """The weights of the convolution from those of the transposed convolution."""
        made = exchanged(weight, groups)
        for axis, line in enumerate(zip(self.at, self.stride, self.kernel, strict=True)):
            made = _phases_apart(made, axis, *line)
        axes = len(self.kernel)
        return made.reshape(made.shape[0] * prod(self.stride), *made.shape[1 + axes :])


def phases(
    shape: tuple[int, ...],
    stride: PerAxis,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    *,
    cropped: bool = False,
) -> Phases:
    """What `to_subpixel` makes of weights of this shape, without their numbers.

    >>> phases((1, 1, 4), 2, padding=1).kernel, phases((1, 1, 4), 2, padding=1, cropped=True).kernel
    ((3,), (2,))
    """
    kernel = shape[2:]
    strides, dilations = counts("stride", stride, len(kernel)), counts("dilation", dilation, len(kernel))
    sides = padding_pairs(padding, kernel, strides, dilations)
    lines = [_line(*axis, cropped=cropped) for axis in zip(kernel, strides, dilations, sides, strict=True)]
    grown = prod(strides) * prod(line.kernel for line in lines)
    check_room(prod(shape[:2]) * grown, prod(shape))
    return Phases(*zip(*lines, strict=True))


@checked
def to_subpixel(
    weight: Array,
    stride: PerAxis,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    *,
    cropped: bool = False,
) -> SubPixel:
    """The convolution and shuffle that equal a transposed convolution, for every size of input.

    Args:
        weight: (in, out/groups, *kernel).
        padding: an int, one per axis, or (lo, hi) pairs; output padding is a smaller hi.
        cropped: choose the fewest taps, even if cells must then be cropped.

    Returns:
        Weights in channel order (o, phase); the bias becomes `bias.repeat(prod(stride))`.

    >>> to_subpixel(np.array([[[1, 2, 3, 4]]]), 2, padding=1).weight  # phase 0: taps 3, 1; phase 1: 2, 0
    array([[[4, 2, 0]],
    <BLANKLINE>
           [[0, 3, 1]]])
    >>> short = to_subpixel(np.array([[[1, 2, 3, 4]]]), 2, padding=1, cropped=True)
    >>> short.weight.tolist(), short.padding, short.crop
    ([[[3, 1]], [[4, 2]]], ((1, 1),), ((1, 1),))
    """
    array = read_weight(weight)
    made = phases(array.shape, stride, padding, dilation, cropped=cropped)
    return SubPixel(made.weight(array, groups), made.stride, made.padding, made.dilation, made.crop)


def _line(k: int, s: int, d: int, sides: tuple[int, int], *, cropped: bool) -> _Line:
    """The convolution along one axis, cropping nothing at the front or just so much that tap 0 has phase 0.

    With tap 0 at phase a, D runs from 0 to (d(k-1) + a) div s, so that a = 0 makes the kernel smallest.
    """

    def cost(line: _Line) -> tuple[int, int]:
        return (line.kernel, sum(line.crop)) if cropped else (sum(line.crop), line.kernel)

    return min((_with_crop(k, s, d, sides, front) for front in (0, sides[0] % s)), key=cost)


def _with_crop(k: int, s: int, d: int, sides: tuple[int, int], front: int) -> _Line:
    """The convolution along one axis that computes `front` cells before the first one that is kept."""
    lo, hi = sides
    taps = [(*divmod(t * d - lo + front, s), t) for t in range(k)]
    near, far = taps[0][0], taps[-1][0]
    step = gcd(*(other - near for other, _, _ in taps)) or 1
    wanted = front + d * (k - 1) + 1 - s - lo - hi  # cells beyond s per input
    blocks = -(-wanted // s)
    before, behind = far, blocks - near
    # Where padding would be negative, the cells that it would save are computed and cropped.
    return _Line(
        tuple((r, (far - away) // step, t) for away, r, t in taps),
        s,
        (far - near) // step + 1,
        step,
        (max(before, 0), max(behind, 0)),
        (front + s * max(-before, 0), blocks * s - wanted + s * max(-behind, 0)),
    )


def _phases_apart(
    weight: Array, axis: int, at: tuple[tuple[int, int, int], ...], stride: int, kernel: int
) -> Array:
    """(out, *phases, in/g, *kernel): one more axis of phases before in/g, one kernel axis replaced."""
    source = np.moveaxis(weight, 2 + 2 * axis, 0)
    made = np.zeros((stride, kernel, *source.shape[1:]), weight.dtype)
    for r, to, t in at:
        made[r, to] = source[t]
    return np.moveaxis(made, (0, 1), (1 + axis, 3 + 2 * axis))


@checked
def channels_last(shuffled: npt.NDArray[Any], blocks: tuple[int, ...]) -> Array:
    """Channel order (phase, o) instead of (o, phase) along axis 0: "DCR" of ONNX's DepthToSpace, not "CRD".

    >>> channels_last(np.array(["a0", "a1", "b0", "b1"]), (2,))
    array(['a0', 'b0', 'a1', 'b1'], dtype='<U2')
    """
    _check_blocks(shuffled, blocks)
    return shuffled.reshape(-1, prod(blocks), *shuffled.shape[1:]).swapaxes(0, 1).reshape(shuffled.shape)


@checked
def channels_first(shuffled: npt.NDArray[Any], blocks: tuple[int, ...]) -> Array:
    """The inverse of `channels_last`: from order (phase, o) to (o, phase).

    >>> channels_first(np.array(["a0", "b0", "a1", "b1"]), (2,))
    array(['a0', 'a1', 'b0', 'b1'], dtype='<U2')
    """
    _check_blocks(shuffled, blocks)
    return shuffled.reshape(prod(blocks), -1, *shuffled.shape[1:]).swapaxes(0, 1).reshape(shuffled.shape)


def _check_blocks(shuffled: Array, blocks: tuple[int, ...]) -> None:
    """Whether the channels along axis 0 are whole blocks."""
    of = prod(blocks)
    if not shuffled.ndim or min(blocks, default=1) < 1 or shuffled.shape[0] % of:
        raise TconvError(
            f"an array of shape {shuffled.shape} for blocks {shown(blocks)}; (channels, ...), of a number of "
            f"channels that {max(of, 1)} divides, would fit"
        )


@checked
def from_subpixel(
    weight: Array, stride: PerAxis, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1
) -> Merged:
    """The one transposed convolution that equals this convolution and a shuffle into blocks of `stride`.

    Args:
        weight: (out * prod(stride), in/groups, *kernel) of a convolution of stride 1, channels (o, phase).
        padding, dilation: of that convolution.

    Raises:
        TconvError: channels of one output lie in two groups, or padding reaches beyond the kernel.

    >>> from_subpixel(np.array([[[4, 2, 0]], [[0, 3, 1]]]), 2, padding=1)
    Merged(weight=array([[[1, 2, 3, 4]]]), stride=(2,), padding=((1, 1),))
    """
    array = read_weight(weight)
    number = checked_groups(array, groups)
    check_subpixel(array.shape, stride, padding, dilation, number)
    kernel = array.shape[2:]
    strides, dilations = counts("stride", stride, len(kernel)), counts("dilation", dilation, len(kernel))
    sides = padding_pairs(padding, kernel, (1,) * len(kernel), dilations)
    made = array.reshape(-1, *strides, *array.shape[1:])
    cropped = []
    for axis, (k, s, d, pads) in enumerate(zip(kernel, strides, dilations, sides, strict=True)):
        made = _phases_joined(made, len(strides) - axis, d)
        reach = d * (k - 1)
        made, crop = _trimmed(made, ((reach - pads[0]) * s, (reach - pads[1]) * s))
        cropped.append(crop)
    return Merged(exchanged(made, number), strides, tuple(cropped))


def check_subpixel(
    shape: tuple[int, ...], stride: PerAxis, padding: Padding = 0, dilation: PerAxis = 1, groups: int = 1
) -> None:
    """Refuse what `from_subpixel` would refuse of weights of this shape.

    Raises:
        TconvError: as `from_subpixel`.
    """
    kernel = shape[2:]
    dilations = counts("dilation", dilation, len(kernel))
    blocks = prod(counts("stride", stride, len(kernel)))
    if shape[0] % (groups * blocks):
        raise TconvError(
            f"{shape[0]} channels in {groups} groups for blocks of {blocks}; "
            f"a multiple of {groups * blocks} would fit"
        )
    sides = padding_pairs(padding, kernel, (1,) * len(kernel), dilations)
    reaches = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    check_room(prod(shape[:2]) * prod(reach + 1 for reach in reaches), prod(shape))
    for axis, (reach, pads) in enumerate(zip(reaches, sides, strict=True)):
        if max(pads) > reach:
            raise TconvError(
                f"padding {pads} on axis {axis} reaches beyond the kernel of {reach + 1}; "
                f"at most {reach} would fit"
            )


def _phases_joined(weight: Array, phases: int, dilation: int) -> Array:
    """(out, s, *other phases, in/g, k, *other axes) -> (out, *other phases, in/g, *other axes, taps)."""
    apart = np.moveaxis(weight, (1 + phases + 1, 1), (-2, -1))[..., ::-1, :]
    k, s = apart.shape[-2:]
    result = np.zeros((*apart.shape[:-2], dilation * (k - 1) + 1, s), weight.dtype)
    result[..., ::dilation, :] = apart
    return result.reshape(*result.shape[:-2], -1)


def _trimmed(weight: Array, crop: tuple[int, int]) -> tuple[Array, tuple[int, int]]:
    """The last axis without its zeros at the ends, as far as cropping allows."""
    used = np.flatnonzero(weight.reshape(-1, weight.shape[-1]).any(0))
    taps = weight.shape[-1]
    first, last = (int(used[0]), int(used[-1])) if used.size else (0, 0)
    before, behind = min(first, crop[0]), min(taps - 1 - last, crop[1])
    return weight[..., before : taps - behind], (crop[0] - before, crop[1] - behind)
