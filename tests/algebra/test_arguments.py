"""Every argument of the identities and filters, with values of other kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tconv import algebra, filters
from tests.odd import refusals

W = np.ones((2, 2, 4, 4))
TWO = np.ones(2)
ONE_AXIS = {"weight": W[..., 0], "stride": 2, "padding": 1, "groups": 1}
LAYER = {"weight": W, "stride": 2, "padding": 1, "dilation": 1, "groups": 1}


def _some(given: dict[str, Any], *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in left_out}


CASES: dict[str, dict[str, Any]] = {
    "append_taps": {"weight": W, "extra": 1},
    "bilinear": {"shape": (2, 2, 4, 4), "factor": 2},
    "channels_first": {"shuffled": W, "blocks": (2,)},
    "channels_last": {"shuffled": W, "blocks": (2,)},
    "constant_response": _some(LAYER, "padding"),
    "dense_groups": {"weight": W, "groups": 2},
    "equal_phase_gains": {**_some(LAYER, "padding", "groups"), "gain": None},
    "flip_stride_one": {**_some(LAYER, "stride"), "output_padding": 0},
    "fold_batchnorm": {
        "weight": W, "bias": TWO, "mean": TWO, "variance": TWO, "gamma": TWO, "beta": TWO, "epsilon": 1e-5,
        "groups": 1, "transposed": True,
    },
    "from_subpixel": {"weight": np.ones((4, 2, 3, 3)), **_some(LAYER, "weight")},
    "icnr": {"small": W, "stride": 2},
    "image_share": {**_some(LAYER, "padding", "groups"), "correlation": 0.5},
    "linear_resize": {"factor": 2, "axes": 2, "centred": True},
    "merge_nearest": {**_some(LAYER, "stride"), "factor": 2},
    "phase_gains": _some(LAYER, "padding", "groups"),
    "phase_taps": {"kernel": (4, 4), "stride": 2, "dilation": 1},
    "ripple": {"gains": W},
    "scale_inputs": {"weight": W, "scale": TWO, "groups": 1, "transposed": True},
    "scale_outputs": {"weight": W, "scale": TWO, "groups": 1, "transposed": True},
    "split_axes": {"weight": W},
    "split_nearest": {**_some(LAYER, "dilation"), "tolerance": 1.0},
    "spread_dilation": {"weight": W, "dilation": 2},
    "to_frames": ONE_AXIS,
    "to_subpixel": {**LAYER, "cropped": True},
}  # fmt: skip
#: What the functions return.
RECORDS = {"Frames", "Resize", "SubPixel"}

FILTERS: dict[str, dict[str, Any]] = {
    "make": {"name": "bilinear", "factor": 2, "rank": 2},
    "options": {"name": "bilinear", "factor": 2},
    **{name: {"factor": 2, "rank": 2} for name in ("nearest", "bilinear", "bicubic")},
}


def test_no_function_is_left_out() -> None:
    assert set(CASES) == set(algebra.__all__) - RECORDS
    assert set(FILTERS) == set(filters.__all__) - {"FILTERS"}


@pytest.mark.parametrize(
    ("call", "given"),
    [(getattr(algebra, name), given) for name, given in CASES.items()]
    + [(getattr(filters, name), given) for name, given in FILTERS.items()],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_an_odd_argument_is_answered_or_refused(call: Callable[..., Any], given: dict[str, Any]) -> None:
    refused, faults = refusals(call, given)
    assert faults == []
    assert refused > 10 * len(given)
