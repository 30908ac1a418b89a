"""Whether a resize repeats its values, asked of two outputs per axis in place of all."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("onnx_ir", reason="ONNX is read by onnx-ir")

from tconv.models.onnx import resize
from tconv.models.onnx.resize import ResizeOptions, repeats


def test_the_ends_of_an_axis_tell_of_all_its_outputs() -> None:
    for coordinates, rounding, factor in itertools.product(
        resize._COORDINATES, resize._ROUNDINGS, range(1, 20)
    ):
        at, near = resize._COORDINATES[coordinates], resize._ROUNDINGS[rounding]
        every = all(near(at(o, factor)) == 0 for o in range(factor))
        found = repeats(ResizeOptions("nearest", (factor,), coordinates, rounding))
        assert (found is None) == every, (coordinates, rounding, factor)


def test_one_uneven_axis_is_enough() -> None:
    assert repeats(ResizeOptions("nearest", (1, 2), "asymmetric", "ceil")) is not None
    assert repeats(ResizeOptions("nearest", (1, 2), "asymmetric", "floor")) is None


def test_a_million_axes_are_looked_at_once() -> None:
    """All outputs of all axes would be four thousand million."""
    assert repeats(ResizeOptions("nearest", (4096,) * 1_000_000, "asymmetric", "floor")) is None
