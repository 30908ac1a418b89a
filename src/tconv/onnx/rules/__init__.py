"""Exact rewritings of ONNX graphs, one per file; `tconv.onnx.rules.rule` describes how to write one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tconv.onnx.rules import (
    conv_depth_to_space,
    dense_groups,
    depth_to_space_conv,
    drop_output_padding,
    explicit_pads,
    flip_stride_one,
    fold_batchnorm,
    fold_bias,
    fold_input_scale,
    fold_input_shift,
    fold_scale,
    groups_to_batch,
    hard_swish,
    inverse_stft,
    kernel_is_stride,
    linear_resize,
    merge_nearest,
    nearest_depth_to_space,
    split_depthwise,
    split_groups,
    split_nearest,
    spread_dilation,
    symmetric_pads,
    to_engine,
    to_linear_resize,
)
from tconv.onnx.rules.context import Context
from tconv.onnx.rules.rule import Rule

__all__ = ["RULES", "Context", "Rule"]

RULES: Mapping[str, Rule[Any]] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            # In the order in which they are tried.
            fold_batchnorm.RULE,
            fold_scale.RULE,
            fold_bias.RULE,
            fold_input_scale.RULE,
            fold_input_shift.RULE,
            hard_swish.RULE,
            flip_stride_one.RULE,
            kernel_is_stride.RULE,
            split_depthwise.RULE,
            explicit_pads.RULE,
            drop_output_padding.RULE,
            symmetric_pads.RULE,
            spread_dilation.RULE,
            groups_to_batch.RULE,
            split_groups.RULE,
            dense_groups.RULE,
            merge_nearest.RULE,
            nearest_depth_to_space.RULE,
            split_nearest.RULE,
            linear_resize.RULE,
            to_linear_resize.RULE,
            inverse_stft.RULE,
            conv_depth_to_space.RULE,
            conv_depth_to_space.CROPPED,
            depth_to_space_conv.RULE,
            to_engine.RULE,
        )
    }
)
"""Every rule by its name. `tconv.onnx.rewriting.goals` lists them by goal."""
