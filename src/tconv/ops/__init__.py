"""The three maps on arrays, and layers whose weights are packed once."""

from __future__ import annotations

from tconv.ops.execute import set_num_threads
from tconv.ops.layer import Layer, prepare
from tconv.ops.maps import conv, conv_transpose, conv_weight_gradient
from tconv.ops.measuring import plan

__all__ = ["Layer", "conv", "conv_transpose", "conv_weight_gradient", "plan", "prepare", "set_num_threads"]
