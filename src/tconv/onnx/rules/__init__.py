"""Exact rewritings of ONNX graphs, one a file; how one is written is told in `tconv.onnx.rules.rule`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tconv.onnx.rules import (
    conv_depth_to_space,
    depth_to_space_conv,
    fold_bias,
    inverse_stft,
    linear_resize,
    merge_nearest,
    split_nearest,
    to_linear_resize,
)
from tconv.onnx.rules.rule import Context, Rule

__all__ = ["RULES", "Context", "Rule"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            # In the order in which they are tried.
            fold_bias.RULE,
            merge_nearest.RULE,
            split_nearest.RULE,
            linear_resize.RULE,
            to_linear_resize.RULE,
            inverse_stft.RULE,
            conv_depth_to_space.RULE,
            conv_depth_to_space.CROPPED,
            depth_to_space_conv.RULE,
        )
    }
)
"""Every rule by its name. Which of them serve which goal is said in `tconv.onnx.rewriting.goals`."""
