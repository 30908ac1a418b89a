"""Exact identities on the weights of transposed convolutions: plain arrays in, plain arrays out.

Weights are (in, out/groups, *kernel) as everywhere in tconv; those of an ordinary convolution are
(out, in/groups, *kernel) as in PyTorch and ONNX. No function changes its arguments. Integers stay integers
and arrays of `fractions.Fraction` stay exact; floating point is summed in float64 and rounded once, to the
dtype of the argument.

>>> import numpy as np
>>> weight = np.array([[[1.0, 2.0, 3.0, 2.0]]])  # k4 s2: coverage is even, the gains are not
>>> phase_gains(weight, stride=2)
array([[[4., 4.]]])
>>> merge_nearest(np.array([[[1, 2, 4]]]), 2)[0]  # nearest upsampling, then that convolution, in one layer
array([[[4, 6, 3, 1]]])
"""

from __future__ import annotations

from tconv.algebra.flip import flip_stride_one
from tconv.algebra.fold import fold_batchnorm, scale_inputs, scale_outputs
from tconv.algebra.gains import (
    constant_response,
    equal_phase_gains,
    phase_gains,
    phase_taps,
    ripple,
)
from tconv.algebra.images import image_share
from tconv.algebra.initial import bilinear, icnr
from tconv.algebra.merge import merge_nearest, split_nearest
from tconv.algebra.overlap import Frames, to_frames
from tconv.algebra.resize import Resize, linear_resize
from tconv.algebra.separable import split_axes
from tconv.algebra.shuffle import SubPixel, channels_first, channels_last, from_subpixel, to_subpixel
from tconv.algebra.zeros import append_taps, dense_groups, spread_dilation

__all__ = [
    "Frames",
    "Resize",
    "SubPixel",
    "append_taps",
    "bilinear",
    "channels_first",
    "channels_last",
    "constant_response",
    "dense_groups",
    "equal_phase_gains",
    "flip_stride_one",
    "fold_batchnorm",
    "from_subpixel",
    "icnr",
    "image_share",
    "linear_resize",
    "merge_nearest",
    "phase_gains",
    "phase_taps",
    "ripple",
    "scale_inputs",
    "scale_outputs",
    "split_axes",
    "split_nearest",
    "spread_dilation",
    "to_frames",
    "to_subpixel",
]
