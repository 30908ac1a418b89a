"""The gains of the phases: a layer's response to a constant, and the smallest change that makes it flat.

Phase r of the full output is computed by the taps t with t*d = r (mod s). Its gain is their sum,

    G[c, o, r] = sum of weight[c, o, t] over those t,

so that a constant x[c] in every input channel gives y[o, r] = sum_c x[c] G[c, o, r] (+ bias) at every output
of phase r away from the borders. The output is flat for every such constant exactly if G does not depend
on r. Even coverage (k a multiple of s) is not enough: the taps of trained phases may have different sums.
"""

from __future__ import annotations

from itertools import product
from math import lcm, prod
from typing import Any

import numpy as np

from tconv.algebra.arrays import Array, check_room, checked_groups, counts, read_weight, rounded, wide
from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry.normalize import PerAxis, shown

__all__ = ["constant_response", "equal_phase_gains", "phase_gains", "phase_taps", "ripple"]


def _members(
    kernel: tuple[int, ...], stride: PerAxis, dilation: PerAxis
) -> tuple[tuple[int, ...], list[dict[int, list[int]]]]:
    """The strides, and axis by axis the taps of each residue that has some."""
    if not 1 <= len(kernel) <= 3 or min(kernel) < 1:
        raise TconvError(f"kernel={shown(kernel)}; 1 to 3 axes of at least 1 would fit")
    strides = counts("stride", stride, len(kernel))
    dilations = counts("dilation", dilation, len(kernel))
    check_room(max(prod(strides), *kernel), 1)
    axes: list[dict[int, list[int]]] = [{} for _ in kernel]
    for residues, k, s, d in zip(axes, kernel, strides, dilations, strict=True):
        for tap in range(k):
            residues.setdefault(tap * d % s, []).append(tap)
    return strides, axes


@checked
def phase_gains(weight: Array, stride: PerAxis, dilation: PerAxis = 1) -> Array:
    """The sum of each phase's taps, for every channel pair.

    Args:
        weight: (in, out/groups, *kernel).
        stride, dilation: one int, or one per axis.

    Returns:
        (in, out/groups, *stride): entry r is the gain of the outputs u = r (mod stride) of the full output.

    >>> phase_gains(np.array([[[1, 2, 3]]]), stride=2)  # taps 0 and 2 make phase 0, tap 1 makes phase 1
    array([[[4, 2]]])
    """
    array = read_weight(weight)
    total = wide(array)
    strides, members = _members(array.shape[2:], stride, dilation)
    check_room(prod(array.shape[:2]) * prod(strides), array.size)
    for axis, (s, residues) in enumerate(zip(strides, members, strict=True), 2):
        gains = np.zeros((*total.shape[:axis], s, *total.shape[axis + 1 :]), total.dtype)
        along = np.moveaxis(gains, axis, 0)
        for residue, taps in residues.items():
            along[residue] = total.take(taps, axis).sum(axis)
        total = gains
    return total


@checked
def phase_taps(kernel: tuple[int, ...], stride: PerAxis, dilation: PerAxis = 1) -> Array:
    """How many taps each phase has: the coverage of an output far from the borders.

    >>> phase_taps((3, 3), stride=2)
    array([[4, 2],
           [2, 1]])
    """
    found = np.array(1)
    for s, residues in zip(*_members(kernel, stride, dilation), strict=True):
        line = np.zeros(s, int)
        for residue, taps in residues.items():
            line[residue] = len(taps)
        found = np.multiply.outer(found, line)
    return found


@checked
def constant_response(weight: Array, stride: PerAxis, dilation: PerAxis = 1, groups: int = 1) -> Array:
    """The layer's response to ones in every input channel, phase by phase, away from the borders.

    Returns:
        (out, *stride): the gains summed over the input channels of the group, without bias.

    >>> constant_response(np.ones((4, 1, 3)), stride=2, groups=2)  # two channels in a group
    array([[4., 2.],
           [4., 2.]])
    """
    number = checked_groups(read_weight(weight), groups)
    gains = phase_gains(weight, stride, dilation)
    per_group: Array = gains.reshape(number, gains.shape[0] // number, *gains.shape[1:]).sum(1)
    return per_group.reshape(-1, *gains.shape[2:])


@checked
def ripple(gains: Array) -> float:
    """How far gains are from flat: the share of their root mean square that varies with the phase, 0 to 1.

    sqrt(sum (G - mean over phases of G)^2 / sum G^2), over all leading entries together. For constants
    drawn independently for each channel it is the pattern's share of the output's root mean square; by
    Parseval, the share of the response at the multiples of 2 pi / stride other than zero.

    Args:
        gains: (a, b, *stride) of `phase_gains`, or (out, *stride) of `constant_response` as [:, None].

    >>> ripple(np.array([[[2.0, 2.0]]])), ripple(np.array([[[1.0, -1.0]]]))
    (0.0, 1.0)
    """
    values = gains.astype(np.complex128 if gains.dtype.kind == "c" else np.float64)
    phases = tuple(range(2, values.ndim))
    power = float((np.abs(values) ** 2).sum())
    varying = float((np.abs(values - values.mean(phases, keepdims=True)) ** 2).sum())
    return (varying / power) ** 0.5 if power else 0.0


@checked
def equal_phase_gains(
    weight: Array, stride: PerAxis, dilation: PerAxis = 1, *, gain: Array | None = None
) -> Array:
    """The weights nearest to `weight` (least squares) whose phases all have the same gain.

    For one channel pair let phase r have n_r taps with sum G_r. The smallest change that gives it a gain g
    changes every tap of the phase by (g - G_r)/n_r, at the cost (g - G_r)^2/n_r. The sum over the phases is
    smallest at

        g = (sum_r G_r/n_r) / (sum_r 1/n_r),

    their mean where all n_r are equal. (Lagrange's condition of: minimise sum D^2 so that the sums agree.)

    Args:
        weight: (in, out/groups, *kernel); integers give float64, Fractions stay exact.
        gain: (in, out/groups), the gains to reach instead of the nearest ones.

    Returns:
        Weights of the same shape and dtype. The response to a constant is then flat away from the borders,
        exact up to the rounding of the weights to their dtype.

    Raises:
        TconvError: a phase has no taps (k < s, or a common divisor of s and d): its outputs hold the bias
            alone.

    >>> equal_phase_gains(np.array([[[1.0, 2.0, 3.0]]]), stride=2)  # 1 + 3 = 4 and 2 meet at 8/3
    array([[[0.33333333, 2.66666667, 2.33333333]]])
    """
    array = read_weight(weight)
    kernel = array.shape[2:]
    _, members = _members(kernel, stride, dilation)
    taps = phase_taps(kernel, stride, dilation)
    if not taps.all():
        raise TconvError(
            f"kernel {kernel} with stride {stride} and dilation {dilation}: {int((taps == 0).sum())} of "
            f"{prod(taps.shape)} phases have no tap, so no weights make them equal to the others; a kernel "
            "of at least the stride, and dilation 1, would fit"
        )
    if array.dtype == object:
        result, taps = array.copy(), taps.astype(object)
    else:
        result = wide(array).astype(np.result_type(wide(array), np.float64))
    gains = phase_gains(result, stride, dilation)
    if gain is None:
        shares = lcm(*taps.ravel().tolist()) // taps  # whole numbers as 1/n_r, so that Fractions stay exact
        wanted = (gains * shares).sum(tuple(range(2, result.ndim))) / shares.sum()
    else:
        try:
            wanted = np.broadcast_to(gain, array.shape[:2]).astype(
                result.dtype, casting="same_kind", copy=False
            )
        except (TypeError, ValueError):
            raise TconvError(
                f"gain is {gain.dtype} of shape {gain.shape} for weights of {array.dtype}; real numbers of "
                f"shape {array.shape[:2]} would fit"
            ) from None
    for phase in product(*map(range, taps.shape)):
        of_phase: Any = (..., *phase)
        change = (wanted - gains[of_phase]) / taps[phase]
        where = np.ix_(
            range(array.shape[0]), range(array.shape[1]),
            *(of_axis[r] for of_axis, r in zip(members, phase, strict=True)),
        )  # fmt: skip
        result[where] += change.reshape(*change.shape, *(1,) * len(kernel))
    return rounded(result, array)
