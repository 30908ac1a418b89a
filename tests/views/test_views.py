"""The five views are equal to the last bit, and the three maps belong together."""

from __future__ import annotations

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays, load_cases
from tconv.views import VIEWS, apply_triplets, correlate, gather, scatter, triplets

CASES = dict(load_cases())
DTYPES = ["float32", "float64", "int8", "uint8", "int64", "complex64", "complex128"]
MIXED = "n2 c6>4 i4x3 k3x4 s2x3 p1:0x-1:2 o1x0 d1x2 g2"  # a bit of everything


def by_definition(x: np.ndarray, weight: np.ndarray, g: Geometry) -> np.ndarray:
    """One product at a time, y[n, co, i*s + t*d - lo] += x[n, ci, i] * w[ci, m, t]: hard to get wrong."""
    y = np.zeros(g.output_shape, x.dtype)
    per_group_in, per_group_out = g.in_channels // g.groups, g.out_channels // g.groups
    for n, ci, *i in np.ndindex(x.shape):
        for m, *t in np.ndindex(weight.shape[1:]):
            o = [i[a] * g.stride[a] + t[a] * g.dilation[a] - g.padding[a][0] for a in range(g.axes)]
            if all(0 <= at < size for at, size in zip(o, g.output, strict=True)):
                y[(n, ci // per_group_in * per_group_out + m, *o)] += x[(n, ci, *i)] * weight[(ci, m, *t)]
    return y


@pytest.mark.parametrize("problem", [
    MIXED,
    "n2 c2>3 i5 k3 s2 p1 o1",
    "n1 c2>2 i4 k4 s6 p2 o5 d4",
    "n1 c4>4 i3x2 k3 s2 p1 g4",
    "n1 c2>2 i2x3x2 k3x1x2 s2x1x3 p-1:1x0x1 d1x2x2",
])  # fmt: skip
def test_the_oracle_is_the_definition(problem: str) -> None:
    geometry = Geometry.parse(problem)
    arrays = integer_arrays(geometry, "int64", seed=1)
    assert_same(scatter(arrays.x, arrays.weight, geometry), by_definition(arrays.x, arrays.weight, geometry))


@pytest.mark.parametrize("view", [name for name in VIEWS if name != "scatter"])
@pytest.mark.parametrize("case", CASES)
def test_views_equal_the_stamp(view: str, case: str) -> None:
    geometry = CASES[case]
    x, weight, *_ = integer_arrays(geometry, "float32", seed=2)
    actual = VIEWS[view](x, weight, geometry)
    assert actual.shape == geometry.output_shape
    assert_same(actual, scatter(x, weight, geometry), signed_zeros=True)


@pytest.mark.parametrize("view", [name for name in VIEWS if name != "scatter"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_views_keep_every_dtype(view: str, dtype: str) -> None:
    # int8 and uint8 overflow here, and wrap alike in all views.
    geometry = Geometry.parse(MIXED)
    x, weight, *_ = integer_arrays(geometry, dtype, seed=3)
    actual = VIEWS[view](x, weight, geometry)
    assert actual.dtype == np.dtype(dtype)
    assert_same(actual, scatter(x, weight, geometry))


@pytest.mark.parametrize("case", [n for n, g in CASES.items() if g.batch])
def test_python_integers_stay_exact(case: str) -> None:
    """Numerators of 100 bits: each product takes 200, which no dtype of a fixed width holds."""
    geometry = CASES[case]
    x, weight, *_ = integer_arrays(geometry, "int64", seed=4)
    high = scatter(x, weight, geometry).astype(object) << 200
    for view in VIEWS.values():
        made = view(x.astype(object) << 100, weight.astype(object) << 100, geometry)
        assert {type(value) for value in made.ravel().tolist()} <= {int}
        assert np.array_equal(made, high)


def test_int8_wraps() -> None:
    geometry = Geometry.parse("n1 c1>1 i1 k1")
    x, weight = np.full((1, 1, 1), 100, "i1"), np.full((1, 1, 1), 3, "i1")
    for view in VIEWS.values():
        assert view(x, weight, geometry).item() == 300 - 256


@pytest.mark.parametrize("case", CASES)
def test_the_three_maps_are_one_trilinear_form(case: str) -> None:
    """sum(A^T(x, w) * y) == sum(x * A(y, w)) == sum(w * gradient(x, y)), on integers exactly."""
    geometry = CASES[case]
    x, weight, _, y = integer_arrays(geometry, "int64", seed=4)
    form = np.sum(scatter(x, weight, geometry) * y)
    back, gradient = gather(y, weight, geometry), correlate(x, y, geometry)
    assert back.shape == geometry.input_shape
    assert gradient.shape == geometry.weight_shape
    assert form == np.sum(x * back)
    assert form == np.sum(weight * gradient)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_and_correlate_keep_every_dtype(dtype: str) -> None:
    geometry = Geometry.parse(MIXED)
    x, weight, _, y = integer_arrays(geometry, dtype, seed=5)
    assert gather(y, weight, geometry).dtype == np.dtype(dtype)
    assert correlate(x, y, geometry).dtype == np.dtype(dtype)


def test_nothing_is_conjugated() -> None:
    geometry = Geometry.parse(MIXED)
    x, weight, _, y = integer_arrays(geometry, "complex128", seed=6)
    for function, a, b in ((scatter, x, weight), (gather, y, weight), (correlate, x, y)):
        assert_same(function(1j * a, b, geometry), 1j * function(a, b, geometry))
        assert_same(function(a, 1j * b, geometry), 1j * function(a, b, geometry))


TORCH_CASES = [
    name
    for name, g in CASES.items()
    if g.batch and all(lo == hi >= 0 for lo, hi in g.padding)
]  # fmt: skip


@pytest.mark.parametrize("case", TORCH_CASES)
def test_the_oracle_agrees_with_pytorch(case: str) -> None:
    torch = pytest.importorskip(
        "torch", reason="compares with PyTorch's conv_transpose; install tconv[torch]"
    )
    g = CASES[case]
    x, weight, _, y = (torch.tensor(array) for array in integer_arrays(g, "float64", seed=7))
    x.requires_grad_()
    weight.requires_grad_()
    options = {
        "stride": g.stride,
        "padding": [lo for lo, _ in g.padding],
        "dilation": g.dilation,
        "groups": g.groups,
    }
    theirs = getattr(torch.nn.functional, f"conv_transpose{g.axes}d")(
        x, weight, output_padding=g.output_padding, **options
    )
    theirs.backward(y)
    ours = (x.detach().numpy(), weight.detach().numpy(), y.numpy())
    assert_same(scatter(ours[0], ours[1], g), theirs.detach().numpy())
    assert_same(gather(ours[2], ours[1], g), x.grad.numpy())
    assert_same(correlate(ours[0], ours[2], g), weight.grad.numpy())


def test_triplets_name_each_non_zero_once() -> None:
    geometry = Geometry.parse("n1 c1>1 i3x2 k3x2 s2x1 p1x0 d1x2")
    kernel = np.arange(1, 7).reshape(3, 2)
    rows, cols, vals = triplets(kernel, geometry)
    dense = np.zeros((np.prod(geometry.output), np.prod(geometry.input)), int)
    np.add.at(dense, (rows, cols), vals)
    assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == len(rows) == geometry.macs_exact
    x = np.arange(1, 7)
    assert_same(apply_triplets((rows, cols, vals), x, len(dense)), dense @ x)
    assert_same(
        (dense @ x).reshape(1, 1, *geometry.output),
        scatter(x.reshape(1, 1, 3, 2), kernel[None, None], geometry),
    )


@pytest.mark.parametrize("function", [*VIEWS.values(), gather, correlate])
def test_wrong_shapes_are_refused(function) -> None:
    geometry = Geometry.parse(MIXED)
    x, weight, _, y = integer_arrays(geometry, "float32")
    right = {gather: (y, weight), correlate: (x, y)}.get(function, (x, weight))
    for wrong in ((right[0][..., :-1], right[1]), (right[0], right[1][:-1])):
        with pytest.raises(TconvError, match=r"has shape \(.*\); \(.*\) would fit"):
            function(*wrong, geometry)
