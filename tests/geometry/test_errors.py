"""What Geometry refuses: each in one line that names the value and what would fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.geometry import Geometry

BAD = {
    "wrong rank: none": ({"input": ()}, "has 0 spatial axes; 1, 2 or 3 would fit"),
    "wrong rank: four": ({"input": (2, 2, 2, 2)}, "i2x2x2x2 .*has 4 spatial axes; 1, 2 or 3 would fit"),
    "entries": ({"stride": (1, 2, 3)}, r"stride=\(1, 2, 3\) has 3 entries; give one int, or 2"),
    "padding entries": ({"padding": (1,)}, r"padding=\(1,\) has 1 entries; give one int, or 2"),
    "flat pair": ({"input": 4, "padding": (1, 2)}, r"padding=\(1, 2\) has 2 entries; give one int, or 1"),
    "three sides": ({"padding": (1, (1, 2, 3))}, r"padding \(1, 2, 3\) of an axis has 3 entries"),
    "padding word": ({"padding": "full"}, 'padding=\'full\' is unknown; "same" or "valid" would fit'),
    "input channels": ({"groups": 3, "out_channels": 3}, "4 input channels do not divide into 3 groups"),
    "output channels": ({"groups": 4}, "6 output channels do not divide into 4 groups; .* both 4 and 6"),
    "no groups": ({"groups": 0}, "0 groups; at least 1"),
    "no input channels": ({"in_channels": 0}, "0 input channels; at least 1"),
    "no output channels": ({"out_channels": -2}, "-2 output channels; at least 1"),
    "zero stride": ({"stride": 0}, "stride 0 on axis 0; it must be at least 1"),
    "negative stride": ({"stride": (1, -2)}, "stride -2 on axis 1; it must be at least 1"),
    "zero stride, output size": ({"stride": 0, "output_size": 8}, "stride 0 on axis 0"),
    "zero stride, same": ({"stride": 0, "padding": "same"}, "stride 0 on axis 0"),
    "zero kernel": ({"kernel": (3, 0)}, "kernel 0 on axis 1; it must be at least 1"),
    "zero dilation": ({"dilation": 0}, "dilation 0 on axis 0; it must be at least 1"),
    "negative dilation": ({"dilation": -1}, "dilation -1 on axis 0; it must be at least 1"),
    "output padding": (
        {"stride": 2, "output_padding": 2},
        r"output_padding 2 .* below max\(stride, dilation\) = 2",
    ),
    "output padding d": ({"dilation": 3, "output_padding": (0, 3)}, r"3 on axis 1 .* below .* = 3"),
    "negative output padding": ({"output_padding": -1}, "output_padding -1 on axis 0; it must be at least 0"),
    "input size": ({"input": (4, 0)}, "input size 0 on axis 1; it must be at least 1"),
    "output below 1": ({"padding": 3}, "i4x4 k3 p3: the output size on axis 0 is 0; .* at most 5 would fit"),
    "batch": ({"batch": -1}, "batch -1 is negative; it must be 0 or more"),
    "size unreached": ({"stride": 2, "output_size": 12}, "output size 12 on axis 0 cannot .*; 9 or 10 can"),
    "size unreached s1": ({"output_size": 7}, "output size 7 .* from input size 4; 6 can"),
    "size unreached s5": ({"stride": 5, "output_size": (20, 1)}, "size 1 on axis 1 cannot .*; 18 to 22 can"),
    "size below 1": ({"stride": 9, "padding": 12, "output_size": 0}, "output size 0 .*; 6 to 14 can"),
    "size twice": (
        {"stride": 2, "output_padding": 1, "output_size": 10},
        "output_size=10 and output_padding=1 both",
    ),
    "bool": ({"stride": True}, "stride=True is a bool; it must be an int"),
    "numpy bool": ({"groups": np.True_}, "groups=.*True.* is a bool.*; it must be an int"),
    "float": ({"kernel": (3, 3.0)}, "kernel=3.0 is a float; it must be an int"),
    "text": ({"dilation": "2"}, "dilation='2' is a str; it must be an int"),
    "nothing": ({"kernel": None}, "kernel=None is a NoneType; it must be an int"),
    "array": ({"kernel": np.ones(2, int)}, "kernel=array.* is a ndarray; it must be an int"),
    "float batch": ({"batch": 1.0}, "batch=1.0 is a float; it must be an int"),
    "beyond 64 bits": ({"kernel": 2**31}, "kernel=2147483648 is out of range"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_in_one_line(name: str) -> None:
    changes, message = BAD[name]
    with pytest.raises(TconvError, match=message) as caught:
        Geometry.make(**{"in_channels": 4, "out_channels": 6, "input": (4, 4), "kernel": 3, **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"'': c \(channels\) and i \(input\) and k \(kernel\) missing; the words are n batch, c in>out"),
        ("n1 c1>1 i4", r"k \(kernel\) missing"),
        ("c1>1 i4 k3 q2", "cannot read 'q2'; the words are n batch, c in>out, .* as in n1 c256>64"),
        ("c1>1 i4 k", "cannot read 'k'"),
        ("c1 i4 k3", "cannot read 'c1'"),
        ("c1>1 i4x k3", "cannot read 'i4x'"),
        ("c1>1 i4 k3 p--1", "cannot read 'p--1'"),
        ("c1>1 i4 k3 s-2", "cannot read 's-2'"),
        ("c1>1 i4 k3 p1:2:3", "cannot read 'p1:2:3'"),
        ("c1>1 i4 k3.5", "cannot read 'k3.5'"),
        ("c1>1 i4 k\u0663", "cannot read 'k\u0663'"),
        ("c1>1 i4 k3 n1x2", "cannot read 'n1x2'"),
        ("c1>1 i" + "9" * 5000 + " k3", "cannot read 'i9+"),
        ("c1>1 i4 k3 k2", "'k2' gives kernel a second time"),
        ("c1>1 i4 k3x3", "kernel has 2 numbers and the input 1; give one, or one per axis"),
        ("c1>1 i4x4 k3 p1x1x1", "padding has 3 numbers and the input 2"),
        ("c1>1 i4x4x4x4 k3", "has 4 spatial axes; 1, 2 or 3 would fit"),
        ("c1>1 i0 k3", "input size 0 on axis 0; it must be at least 1"),
        ("c1>1 i4 k3\nq\n", "cannot read 'q'"),
        (7, "7 is not a problem's spelling"),
    ],
)
def test_a_bad_spelling_names_the_word_and_the_grammar(text: str, message: str) -> None:
    with pytest.raises(TconvError, match=message) as caught:
        Geometry.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kernel": 4},
            r"size 3 on axis 1 is too small .* kernel 4, dilation 1 and padding \(0, 0\); at least 4",
        ),
        ({"kernel": 3, "dilation": 4, "padding": 2}, "size 3 .* at least 5 would fit"),
        ({"kernel": 2, "stride": 0}, "stride 0 on axis 0; it must be at least 1"),
        (
            {"kernel": 2, "input_size": (8, 3)},
            "output size 3 on axis 1 cannot be reached from input size 3; 4 can",
        ),
        ({"kernel": 2, "input_size": (8,)}, r"input_size=\(8,\) has 1 entries"),
    ],
)
def test_a_convolution_that_does_not_fit_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(TconvError, match=message) as caught:
        Geometry.for_output(**{"in_channels": 1, "out_channels": 1, "output": (9, 3), **changes})
    assert "\n" not in str(caught.value)


def test_indices_outside_are_refused() -> None:
    geometry = Geometry.parse("n1 c1>1 i4x5 k3 s2")
    for call, message in (
        (lambda: geometry.phases(2), "no spatial axis 2; 0 or 1 would fit"),
        (lambda: geometry.axis(-1), "no spatial axis -1; 0 or 1 would fit"),
        (lambda: geometry.taps_of_output(0, 9), "no output 9 on axis 0; 0 to 8 would fit"),
        (lambda: geometry.taps_of_output(1, -1), "no output -1 on axis 1; 0 to 10 would fit"),
        (lambda: geometry.outputs_of_input(1, 5), "no input 5 on axis 1; 0 to 4 would fit"),
    ):
        with pytest.raises(TconvError, match=message):
            call()


def test_direct_construction_is_checked_too() -> None:
    geometry = Geometry.parse("n1 c2>2 i4x4 k3 s2")
    for changes, message in (
        ({"stride": (2,)}, "stride has 1 entries for 2 axes"),
        ({"padding": ((0, 0),)}, "padding has 1 entries for 2 axes"),
        ({"groups": 3}, "do not divide into 3 groups"),
        ({"output_padding": (2, 0)}, "output_padding 2 on axis 0 is too large"),
    ):
        with pytest.raises(TconvError, match=message):
            replace(geometry, **changes)
