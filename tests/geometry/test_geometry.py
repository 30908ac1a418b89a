"""Geometry against brute force, and its spelling both ways."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tconv.geometry import Axis, Geometry

FIXED = settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # of drawing examples, on a busy machine
)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    """A valid axis, small enough to walk over every (input, tap) pair."""
    size, kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    stride, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    full = (size - 1) * stride + dilation * (kernel - 1) + 1 + extra
    lo = draw(st.integers(-4, full + 3))
    hi = draw(st.integers(min(-4, full - 1 - lo), full - 1 - lo))
    return Axis(size, kernel, stride, lo, hi, extra, dilation)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    along = draw(st.lists(axes(), min_size=1, max_size=3))
    groups = draw(st.integers(1, 3))
    return Geometry.make(
        batch=draw(st.integers(0, 3)),
        in_channels=groups * draw(st.integers(1, 3)),
        out_channels=groups * draw(st.integers(1, 3)),
        groups=groups,
        input=[axis.input for axis in along],
        kernel=[axis.kernel for axis in along],
        stride=[axis.stride for axis in along],
        padding=[(axis.lo, axis.hi) for axis in along],
        output_padding=[axis.output_padding for axis in along],
        dilation=[axis.dilation for axis in along],
    )


def pairs(axis: Axis) -> list[tuple[int, int, int]]:
    """Every (output, input, tap) of the definition o = i*s + t*d - lo, cropped to the output."""
    walked = [
        (i * axis.stride + t * axis.dilation - axis.lo, i, t)
        for i in range(axis.input)
        for t in range(axis.kernel)
    ]
    return [(o, i, t) for o, i, t in walked if 0 <= o < axis.output]


@FIXED
@given(axes())
def test_output_size_counts_what_is_left_of_the_full_output(axis: Axis) -> None:
    reached = [i * axis.stride + t * axis.dilation for i in range(axis.input) for t in range(axis.kernel)]
    cells = list(range(max(reached) + 1)) + ["extra"] * axis.output_padding
    assert axis.output == len(cells) - axis.lo - axis.hi


@FIXED
@given(axes())
def test_taps_and_outputs_and_coverage_are_the_definition(axis: Axis) -> None:
    walked = pairs(axis)
    for o in range(axis.output):
        assert axis.taps_of_output(o) == tuple(
            sorted(((i, t) for at, i, t in walked if at == o), key=lambda p: p[1])
        )
    for i in range(axis.input):
        assert axis.outputs_of_input(i) == tuple((o, t) for o, j, t in walked if j == i)
    for tap in range(axis.kernel):
        assert list(axis.inputs_of_tap(tap)) == [i for _, i, t in walked if t == tap]
    assert axis.coverage() == tuple(sum(at == o for at, _, _ in walked) for o in range(axis.output))
    assert axis.products() == len(walked)


@FIXED
@given(axes())
def test_phases_split_the_taps(axis: Axis) -> None:
    phases = axis.phases()
    assert [phase.residue for phase in phases] == list(range(axis.stride))
    assert sorted(tap for phase in phases for tap, _ in phase.taps) == list(range(axis.kernel))
    factor = np.gcd(axis.stride, axis.dilation)
    for residue, taps in phases:
        assert all(tap * axis.dilation == distance * axis.stride + residue for tap, distance in taps)
        assert list(taps) == sorted(taps)
        assert not taps or residue % factor == 0
        # Within a phase: every (s/h)-th tap, d/h inputs apart.
        steps = {(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(taps)}
        assert steps <= {(axis.stride // factor, axis.dilation // factor)}


@FIXED
@given(axes(), st.integers(1, 60))
def test_input_sizes_are_all_that_reach_an_output(axis: Axis, output: int) -> None:
    def sizes(i: int) -> list[int]:
        return [
            axis._replace(input=i, output_padding=extra).output
            for extra in range(max(axis.stride, axis.dilation))
        ]

    found = axis.input_sizes_for(output)
    assert found == tuple(i for i in range(1, output + axis.lo + axis.hi + 40) if output in sizes(i))
    assert axis.dilation > axis.stride or len(found) <= 1


@FIXED
@given(geometries())
def test_spelling_goes_both_ways(geometry: Geometry) -> None:
    assert Geometry.parse(str(geometry)) == geometry
    assert eval(repr(geometry)) == geometry
    shuffled = " ".join(reversed(str(geometry).split()))
    assert Geometry.parse(shuffled) == geometry
    assert pickle.loads(pickle.dumps(geometry)) == geometry
    assert hash(Geometry.parse(str(geometry))) == hash(geometry)


@FIXED
@given(geometries())
def test_counts_and_shapes(geometry: Geometry) -> None:
    g = geometry
    assert g.output == tuple(g.axis(a).output for a in range(g.axes))
    assert g.input_shape == (g.batch, g.in_channels, *g.input)
    assert g.output_shape == (g.batch, g.out_channels, *g.output)
    assert g.weight_shape == (g.in_channels, g.out_channels // g.groups, *g.kernel)
    # One product for each batch, input channel, output channel of its group, input position and tap.
    each = g.batch * g.in_channels * (g.out_channels // g.groups)
    assert g.macs == each * np.prod(g.input) * np.prod(g.kernel)
    coverage = np.ones(1, int)
    for counts in g.coverage():
        coverage = np.multiply.outer(coverage, counts)
    assert g.macs_exact == each * coverage.sum() <= g.macs


@FIXED
@given(geometries())
def test_the_convolution_of_an_output_gives_its_input(geometry: Geometry) -> None:
    g = geometry
    options = {
        "batch": g.batch,
        "in_channels": g.in_channels,
        "out_channels": g.out_channels,
        "kernel": g.kernel,
        "stride": g.stride,
        "padding": g.padding,
        "dilation": g.dilation,
        "groups": g.groups,
    }
    assert Geometry.for_output(output=g.output, input_size=g.input, **options) == g
    assert Geometry.make(input=g.input, output_size=g.output, **options) == g
    found = Geometry.for_output(output=g.output, **options)
    assert found.output == g.output
    assert all(i in sizes for i, sizes in zip(found.input, g.input_sizes_for(g.output), strict=True))
    # The convolution's own rule: as many windows as fit into the padded output.
    for a in range(g.axes):
        axis = found.axis(a)
        windows = range(0, axis.output + axis.lo + axis.hi - axis.dilation * (axis.kernel - 1), axis.stride)
        assert axis.input == len(windows)


@FIXED
@given(axes())
def test_zero_insertion_gives_the_output_size(axis: Axis) -> None:
    before, after = axis.zeros_around()
    spread = (axis.input - 1) * axis.stride + 1
    assert before + spread + after - axis.dilation * (axis.kernel - 1) == axis.output


def test_relationship_14_of_dumoulin_and_visin() -> None:
    """o' = s(i' - 1) + a + k - 2p, in their strided, odd example: i 6, k 3, s 2, p 1 -> i' 3, a 1."""
    geometry = Geometry.for_output(
        in_channels=1, out_channels=1, output=(6, 6), kernel=3, stride=2, padding=1
    )
    assert str(geometry) == "n1 c1>1 i3x3 k3 s2 p1 o1"
    assert geometry.zero_insertion() == ((1, 1), ((1, 2), (1, 2)), (1, 1))


def test_defaults_and_one_number_for_every_axis() -> None:
    explicit = Geometry.make(
        batch=1,
        in_channels=4,
        out_channels=2,
        input=(5, 6),
        kernel=(3, 3),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        output_padding=(0, 0),
        dilation=(1, 1),
        groups=1,
    )
    assert Geometry.parse("c4>2 i5x6 k3") == explicit
    assert Geometry.make(in_channels=4, out_channels=2, input=[5, 6], kernel=np.int64(3)) == explicit
    assert Geometry.make(in_channels=4, out_channels=2, input=(5, 6), kernel=3, padding="valid") == explicit
    assert Geometry.make(in_channels=1, out_channels=1, input=5, kernel=3).input == (5,)


@pytest.mark.parametrize(
    ("text", "padding"),
    [
        ("p1", ((1, 1), (1, 1))),
        ("p1x2", ((1, 1), (2, 2))),
        ("p0:1", ((0, 1), (0, 1))),
        ("p0:1x1:2", ((0, 1), (1, 2))),
        ("p-1", ((-1, -1), (-1, -1))),
        ("p-1x2:-3", ((-1, -1), (2, -3))),
    ],
)
def test_padding_is_spelled_and_written_in_every_form(text: str, padding: tuple) -> None:
    geometry = Geometry.parse(f"n1 c1>1 i9x9 k5 {text}")
    assert geometry.padding == padding
    assert str(geometry).split()[-1] == text
    assert Geometry.make(in_channels=1, out_channels=1, input=(9, 9), kernel=5, padding=padding) == geometry


@pytest.mark.parametrize("stride", range(1, 8))
@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_is_input_times_stride_with_the_odd_cell_at_the_end(
    stride: int, kernel: int, dilation: int
) -> None:
    geometry = Geometry.make(
        in_channels=1,
        out_channels=1,
        input=5,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding="same",
    )
    (lo, hi) = geometry.padding[0]
    assert geometry.output == (5 * stride,)
    assert lo >= 0
    assert hi - lo in (0, 1) or (lo == 0 and hi < 0)  # a kernel shorter than the stride extends the end alone


def test_a_geometry_is_a_value() -> None:
    geometry = Geometry.parse("n1 c1>1 i4 k3 s2")
    with pytest.raises(FrozenInstanceError):
        geometry.batch = 2
    assert {geometry: 1}[Geometry.parse("c1>1 k3 s2 i4")] == 1
    assert replace(geometry, input=(5,)).output == (11,)
    assert not hasattr(geometry, "__dict__")


def test_an_empty_batch_is_fine() -> None:
    assert Geometry.parse("n0 c4>6 i4x4 k3 s2").output_shape == (0, 6, 9, 9)


def test_a_size_that_only_output_padding_makes_possible() -> None:
    geometry = Geometry.make(
        in_channels=1, out_channels=1, input=1, kernel=1, stride=4, padding=1, output_size=2
    )
    assert geometry.output_padding == (3,)
