"""Scales, shifts and BatchNorm folded into the adjacent layer, for any number of groups.

Output channel o = g*(out/groups) + j of a grouped transposed convolution has its weights in weight[c, j]
only for the input channels c of group g. A scale of the output channels therefore belongs to (group, j),
never to axis 1 alone: weights that are scaled by scale[j], or by a scale cut to out/groups, are wrong from
the second group on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tconv.algebra.arrays import Array, checked_groups, read_weight, rounded, wide
from tconv.arguments import checked
from tconv.errors import TconvError

__all__ = ["Affine", "batchnorm", "fold_affine", "fold_batchnorm", "scale_inputs", "scale_outputs"]


@checked
def scale_outputs(weight: Array, scale: Array, groups: int = 1, *, transposed: bool = True) -> Array:
    """Weights of the layer that multiplies output channel o by scale[o]: a(x) W = x (a W).

    Args:
        weight: (in, out/groups, *kernel); with transposed=False a convolution's (out, in/groups, *kernel).
        scale: (out,).

    >>> scale_outputs(np.ones((4, 1, 1)), np.array([10.0, 20.0]), groups=2).ravel()
    array([10., 10., 20., 20.])
    """
    array = read_weight(weight)
    number = checked_groups(array, groups)
    factors = np.asarray(scale)
    outputs = array.shape[1] * number if transposed else array.shape[0]
    _check_length("scale", factors, outputs, "output")
    result = wide(array)
    if transposed:
        blocks = result.reshape(number, array.shape[0] // number, *array.shape[1:])
        per_group = wide(factors).reshape(number, 1, array.shape[1], *(1,) * (array.ndim - 2))
        result = (blocks * per_group).reshape(array.shape)
    else:
        result = result * wide(factors).reshape(-1, *(1,) * (array.ndim - 1))
    return rounded(result, array)


@checked
def scale_inputs(weight: Array, scale: Array, groups: int = 1, *, transposed: bool = True) -> Array:
    """Weights of the layer that multiplies input channel c by scale[c] first.

    A shift of the inputs cannot be folded in this way: beyond the border there is zero, not the shift.

    >>> scale_inputs(np.ones((2, 1, 1)), np.array([10.0, 20.0])).ravel()
    array([10., 20.])
    """
    return scale_outputs(weight, scale, groups, transposed=not transposed)


@checked
def fold_batchnorm(
    weight: Array,
    bias: Array | None,
    *,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
    groups: int = 1,
    transposed: bool = True,
) -> tuple[Array, Array]:
    """The weight and bias of one layer that equals this layer followed by BatchNorm in evaluation mode.

    BatchNorm (Ioffe & Szegedy 2015) is a (y - mean) + beta with a = gamma / sqrt(variance + epsilon), an
    affine map of each channel. So the weight is scaled by a, and the bias becomes a (bias - mean) + beta.

    Args:
        weight: (in, out/groups, *kernel); with transposed=False a convolution's (out, in/groups, *kernel).
        bias: (out,), or None for zeros.
        mean, variance: the running statistics, (out,). gamma, beta: (out,); None means 1 and 0.

    Raises:
        TconvError: a length that is not the number of output channels, or variance + epsilon not above zero.

    >>> one = np.ones(2)
    >>> fold_batchnorm(one.reshape(2, 1, 1), one, mean=one * 3, variance=one * 4, epsilon=0.0, groups=2)
    (array([[[0.5]],
    <BLANKLINE>
           [[0.5]]]), array([-1., -1.]))
    """
    array = read_weight(weight)
    outputs = array.shape[1] * checked_groups(array, groups) if transposed else array.shape[0]
    norm = batchnorm(outputs, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon)
    return fold_affine(array, bias, norm, groups, transposed=transposed)


class Affine(NamedTuple):
    """scale (y - mean) + beta for each channel; each is (channels,), float64."""

    scale: Array
    mean: Array
    beta: Array


def batchnorm(
    channels: int,
    *,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Affine:
    """What BatchNorm does to each of so many channels in evaluation.

    Raises:
        TconvError: a length that is not `channels`, or variance + epsilon not above zero.
    """
    parts = {
        "mean": mean,
        "variance": variance,
        "gamma": np.ones(channels) if gamma is None else gamma,
        "beta": np.zeros(channels) if beta is None else beta,
    }
    of = {name: np.asarray(part, np.float64) for name, part in parts.items()}
    for name, part in of.items():
        _check_length(name, part, channels, "output")
    spread = of["variance"] + epsilon
    if not (spread > 0).all():
        raise TconvError(
            f"variance + epsilon is {spread.min():.3g} in channel {int(spread.argmin())}; above 0 would fit"
        )
    return Affine(of["gamma"] / np.sqrt(spread), of["mean"], of["beta"])


def fold_affine(
    weight: Array, bias: Array | None, affine: Affine, groups: int = 1, *, transposed: bool = True
) -> tuple[Array, Array]:
    """The weight and bias of one layer that equals this layer followed by `affine`."""
    array = read_weight(weight)
    held = np.zeros(len(affine.scale)) if bias is None else np.asarray(bias, np.float64)
    _check_length("bias", held, len(affine.scale), "output")
    return (
        scale_outputs(array, affine.scale, groups, transposed=transposed),
        rounded((held - affine.mean) * affine.scale + affine.beta, array),
    )


def _check_length(name: str, values: Array, channels: int, kind: str) -> None:
    if values.shape != (channels,):
        raise TconvError(f"{name} has shape {values.shape}; ({channels},), one per {kind} channel, would fit")
