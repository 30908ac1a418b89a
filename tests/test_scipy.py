"""Convolutions as SciPy's operators, and their true inverse, against matrices that are written down."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed")
from scipy.sparse import linalg

import tconv
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.scipy import deconvolve, linear_operator
from tconv.testing import assert_same, integer_arrays
from tests.ops.helpers import layer_options
from tests.views.helpers import dense

PROBLEMS = [
    Geometry.parse(problem)
    for problem in (
        "n1 c1>1 i5 k3 p1",
        "n2 c4>6 i3x2 k3x2 s2x3 p1:0x-1:2 o1x0 d1x2 g2",
        "n3 c2>3 i4 k3 o1 d2",
        "n1 c2>2 i2x3x2 k2x3x2 s2x1x2 g2",
    )
]
DTYPES = ["float32", "float64", "complex64", "complex128", "int32", "float16"]


def matrix(weight: np.ndarray, g: Geometry) -> np.ndarray:
    """The convolution, written down from the triplets of each pair of channels."""
    ins, outs = g.in_channels // g.groups, g.out_channels // g.groups
    rows, columns = int(np.prod(g.input)), int(np.prod(g.output))
    one = np.zeros((g.in_channels * rows, g.out_channels * columns), weight.dtype)
    for c_in in range(g.in_channels):
        for m in range(outs):
            c_out = c_in // ins * outs + m
            block = dense(weight[c_in, m], g).T
            one[c_in * rows : (c_in + 1) * rows, c_out * columns : (c_out + 1) * columns] = block
    return np.kron(np.eye(g.batch, dtype=weight.dtype), one)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", PROBLEMS, ids=str)
def test_it_is_the_views_matrix(geometry: Geometry, dtype: str) -> None:
    """Both ways, vectors and columns, exactly on whole numbers; and <Ay, x> = <y, A^H x>."""
    x, weight, _, y = integer_arrays(geometry, dtype)
    A, written = linear_operator(weight, str(geometry)), matrix(weight, geometry)
    assert A.shape == written.shape
    assert A.dtype == dtype
    x, y = x.ravel(), y.ravel()
    forth, back = A.matvec(y), A.rmatvec(x)
    assert_same(forth, written @ y)
    assert_same(back, written.conj().T @ x)
    assert np.vdot(forth, x) == np.vdot(y, back)
    assert_same(A @ np.stack([y, -y, 2 * y], 1), written @ np.stack([y, -y, 2 * y], 1))
    assert_same(A.rmatmat(np.stack([x, -x], 1)), written.conj().T @ np.stack([x, -x], 1))
    assert_same(A.H @ x, written.conj().T @ x)
    assert_same(A.T @ x, written.T @ x)
    assert_same(A @ y[:, None], (written @ y)[:, None])
    assert_same(pickle.loads(pickle.dumps(A)) @ y, forth)


@pytest.mark.parametrize("geometry", PROBLEMS, ids=str)
def test_rmatvec_is_the_transposed_layer(geometry: Geometry) -> None:
    x, weight, _, _ = integer_arrays(geometry, np.complex128)
    made = linear_operator(weight, geometry).rmatvec(x.ravel()).reshape(geometry.output_shape)
    assert_same(made, tconv.conv_transpose(x, weight.conj(), **layer_options(geometry)))


@pytest.mark.parametrize(
    ("weight", "vector", "product"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float64"),
        ("float32", "complex64", "complex64"),
        ("complex64", "float64", "complex128"),
        ("int8", "int64", "int64"),
        ("int32", "float64", "float64"),
        ("float16", "float16", "float16"),
    ],
)
def test_products_have_numpy_s_dtype(weight: str, vector: str, product: str) -> None:
    g = PROBLEMS[0]
    w, y = integer_arrays(g, weight).weight, integer_arrays(g, vector).y.ravel()
    assert_same(linear_operator(w, g) @ y, (matrix(w, g) @ y).astype(product))


def test_weights_are_kept() -> None:
    g = PROBLEMS[0]
    _, weight, _, y = integer_arrays(g, np.float64)
    A = linear_operator(weight, g)
    before = A @ y.ravel()
    weight[...] = 0
    assert_same(A @ y.ravel(), before)


def random(geometry: str, kind: str = "f") -> tuple[Geometry, np.ndarray, np.ndarray, np.ndarray]:
    """Geometry, weight, z, matrix."""
    g, rng = Geometry.parse(geometry), np.random.default_rng(1)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        real = rng.standard_normal(shape)
        return real + 1j * rng.standard_normal(shape) if kind == "c" else real

    weight, z = draw(g.weight_shape), draw(g.input_shape)
    return g, weight, z, matrix(weight, g)


@pytest.mark.parametrize("kind", ["f", "c"])
def test_solvers_take_it(kind: str) -> None:
    """lsqr, lsmr, cg, gmres, svds, eigsh: against NumPy on the matrix."""
    g, weight, z, written = random("n2 c3>2 i4x3 k3x2 s1x2 p1x0 o0x1", kind)
    A, b = linear_operator(weight, g), z.ravel()
    least = np.linalg.lstsq(written, b)[0]
    np.testing.assert_allclose(linalg.lsqr(A, b, atol=1e-13, btol=1e-13)[0], least, atol=1e-9)
    np.testing.assert_allclose(linalg.lsmr(A, b, atol=1e-13, btol=1e-13)[0], least, atol=1e-9)
    damped = A @ A.H + 0.3 * linalg.aslinearoperator(np.eye(len(b)))
    inverse = np.linalg.solve(written @ written.conj().T + 0.3 * np.eye(len(b)), b)
    for solver in (linalg.cg, linalg.gmres):
        found, code = solver(damped, b, rtol=1e-12)
        assert code == 0
        np.testing.assert_allclose(found, inverse, atol=1e-9)
    values = np.linalg.svd(written, compute_uv=False)
    np.testing.assert_allclose(np.sort(linalg.svds(A, k=3)[1]), np.sort(values)[-3:], rtol=1e-9)
    largest = linalg.eigsh(A @ A.H, k=2, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(largest), np.sort(values**2)[-2:], rtol=1e-9)


@pytest.mark.parametrize("kind", ["f", "c"])
@pytest.mark.parametrize("problem", ["n1 c1>1 i9 k4 s2", "n2 c4>2 i4x5 k3 s2 p1 g2", "n1 c2>3 i4 k3"])
@pytest.mark.parametrize("damp", [0.0, 0.7])
def test_deconvolution_is_the_pseudo_inverse_or_tikhonov_s(problem: str, kind: str, damp: float) -> None:
    g, weight, z, written = random(problem, kind)
    found = deconvolve(z, weight, g, damp=damp, atol=1e-14, btol=1e-14, conlim=0)
    if damp:
        normal = written.conj().T @ written + damp**2 * np.eye(written.shape[1])
        expected = np.linalg.solve(normal, written.conj().T @ z.ravel())
    else:
        expected = np.linalg.pinv(written) @ z.ravel()
    assert found.y.shape == g.output_shape
    assert found.y.dtype == z.dtype
    np.testing.assert_allclose(found.y.ravel(), expected, atol=1e-8)
    assert found.converged
    np.testing.assert_allclose(found.residual, np.linalg.norm(written @ expected - z.ravel()), atol=1e-7)


def test_what_a_convolution_made_is_found_again() -> None:
    """And the transposed layer, which is no inverse, does not find it (where A^H A is not 1)."""
    g = Geometry.parse("n1 c2>1 i8x8 k3 p1")  # two kernels look at one picture: nothing is lost
    rng = np.random.default_rng(0)
    weight, y = rng.standard_normal(g.weight_shape), rng.standard_normal(g.output_shape)
    z = tconv.conv(y, weight, padding=1)
    found = deconvolve(z, weight, g, atol=1e-12, btol=1e-12)
    np.testing.assert_allclose(found.y, y, atol=1e-8)
    assert found.converged
    assert found.stopped == "conv(y) equals z within atol and btol"
    assert np.abs(tconv.conv_transpose(z, weight, padding=1) - y).max() > 1


def test_dtype_and_batch_axis_are_the_caller_s() -> None:
    g = Geometry.parse("n1 c1>1 i4 k2")
    weight = np.array([[[1, 1]]])
    for z, expected in (
        (np.ones((1, 1, 4), np.int64), np.float64),
        (np.ones((1, 4), np.float64), np.float64),
        (np.ones((1, 1, 4), np.complex64), np.complex128),
    ):
        found = deconvolve(z, weight, g)
        assert found.y.dtype == expected
        assert found.y.ndim == z.ndim
        np.testing.assert_allclose(found.y.ravel(), [0.4, 0.6, 0.4, 0.6, 0.4], atol=1e-6)
    single = deconvolve(np.ones((1, 1, 4), np.float32), weight.astype(np.float32), g)
    assert single.y.dtype == np.float32


def test_how_it_ends_is_told() -> None:
    g, weight, z, _ = random("n1 c1>1 i30 k5 p2")
    short = deconvolve(z, weight, g, iterations=2)
    assert (short.converged, short.iterations) == (False, 2)
    assert short.stopped == "the iterations are used up: more of them or more damping would fit"
    nothing = deconvolve(0 * z, weight, g)
    assert nothing.converged
    assert not nothing.y.any()
    assert nothing.stopped == "y = 0 is the solution"
    ill = deconvolve(z, weight, g, conlim=1.5)
    assert not ill.converged
    assert ill.stopped.startswith("the condition number has passed conlim")
    more = deconvolve(z, weight, g, damp=0.1, atol=1e-12, btol=1e-12)
    again = deconvolve(z, weight, g, atol=1e-12, btol=1e-12, start=more.y)
    assert again.converged
    drawn = deconvolve(z, weight, g, damp=1e6, start=more.y)  # towards the first guess
    np.testing.assert_allclose(drawn.y, more.y, atol=1e-6)


def test_a_guess_is_no_solution_where_z_is_zero() -> None:
    g, weight = Geometry.parse("n1 c1>1 i6 k2"), np.array([[[1.0, 0.5]]])
    start = np.arange(1.0, 8.0).reshape(1, 1, 7)
    A = linear_operator(weight, g) @ np.eye(7)
    found = deconvolve(np.zeros((1, 1, 6)), weight, g, start=start, atol=1e-12)
    nearest = start.ravel() - np.linalg.pinv(A) @ A @ start.ravel()  # of all y that A maps to 0
    np.testing.assert_allclose(found.y.ravel(), nearest, atol=1e-9)
    assert found.converged
    assert found.residual < 1e-9
    again = deconvolve((A @ start.ravel()).reshape(1, 1, 6), weight, g, start=start)
    assert (again.stopped, again.iterations) == ("start is a solution", 0)
    np.testing.assert_array_equal(again.y, start)


def test_no_columns_give_none() -> None:
    A = linear_operator(np.ones((2, 3, 2)), "n2 c2>3 i4 k2")
    assert (A @ np.ones((30, 0))).shape == (16, 0)
    assert (A.H @ np.ones((16, 0))).shape == (30, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.ones((1, 2, 3))}, "n1 c1>1 i4 k2: weight has shape (1, 2, 3); (1, 1, 2) would fit"),
        ({"weight": "text"}, "weight has dtype <U4; an array of numbers would fit"),
        ({"weight": np.ones((1, 1, 2), np.longdouble)}, "weight has dtype"),
        ({"weight": [[[1.0, np.nan]]]}, "weight has numbers that are infinite or NaN; finite ones would fit"),
        ({"z": [[1.0], [2.0, 3.0]]}, "z is not an array: setting an array element with a sequence"),
        ({"z": np.ones((1, 1, 5))}, "n1 c1>1 i4 k2: z has shape (1, 1, 5); (1, 1, 4) would fit"),
        ({"start": np.ones(5)}, "start has shape (5,); (1, 1, 5) would fit"),
        ({"start": np.full((1, 1, 5), 1j)}, "start is complex128 where z and weight are real; a real one"),
        ({"damp": -1}, "damp=-1.0; a number of at least 0 would fit"),
        ({"atol": "small"}, "atol='small' is a str; a number would fit"),
        ({"iterations": 0}, "iterations=0; at least 1 would fit"),
        ({"iterations": 2.0}, "iterations=2.0 is a float; it must be an int"),
        ({"geometry": "n1 c1>1 i4 q2"}, "cannot read 'q2'"),
        ({"geometry": "n0 c1>1 i4 k2"}, "a batch of 0 has no vector; a batch of 1 would fit"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "z": np.ones((1, 1, 4)),
        "weight": np.ones((1, 1, 2)),
        "geometry": "n1 c1>1 i4 k2",
    }
    with pytest.raises(TconvError) as told:
        deconvolve(**{**given, **change})
    assert message in str(told.value)
