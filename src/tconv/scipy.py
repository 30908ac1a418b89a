"""Convolution as a linear operator for SciPy's solvers, and its true inverse, deconvolution.

With A the matrix of a convolution, a transposed convolution multiplies by A^H; deconvolution solves A y = z.

>>> geometry = "n1 c1>1 i6 k3 p1"
>>> weight = np.array([[[1.0, 2.0, 1.0]]])
>>> A = linear_operator(weight, geometry)
>>> A @ np.array([0.0, 0, 1, 0, 0, 0])
array([0., 1., 2., 1., 0., 0.])
>>> deconvolve([[[0.0, 1, 2, 1, 0, 0]]], weight, geometry).y.round(6) + 0.0
array([[[0., 0., 1., 0., 0., 0.]]])
>>> A.rmatvec([0.0, 1, 2, 1, 0, 0])  # the transposed layer blurs once more
array([1., 4., 6., 4., 1., 0.])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, prod
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from scipy.sparse.linalg import LinearOperator, lsqr
except ImportError as fault:
    raise ImportError("tconv.scipy needs SciPy 1.11 or newer: pip install 'tconv[scipy]'") from fault

from tconv.arguments import checked
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown, whole
from tconv.ops import conv, conv_transpose
from tconv.ops.arrays import Array, operand

__all__ = ["Deconvolved", "deconvolve", "linear_operator"]


class _Convolution(LinearOperator):  # type: ignore[misc]
    """See `linear_operator`."""

    def __init__(self, weight: Array, geometry: Geometry) -> None:
        super().__init__(weight.dtype, (prod(geometry.input_shape), prod(geometry.output_shape)))
        self._weight, self._geometry = weight, geometry
        g = geometry
        shared = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation, "groups": g.groups}
        self._forth = {**shared, "input_size": g.input}
        self._back = {**shared, "output_padding": g.output_padding}

    def _matmat(self, columns: Array) -> Array:
        return self._run(conv, columns, self._geometry.output_shape, self._weight, self._forth)

    def _rmatmat(self, columns: Array) -> Array:
        weight = self._weight.conj() if self._weight.dtype.kind == "c" else self._weight
        return self._run(conv_transpose, columns, self._geometry.input_shape, weight, self._back)

    def _matvec(self, vector: Array) -> Array:
        return self._matmat(vector.reshape(-1, 1)).reshape(-1)

    def _rmatvec(self, vector: Array) -> Array:
        return self._rmatmat(vector.reshape(-1, 1)).reshape(-1)

    @staticmethod
    def _run(
        map: Callable[..., Any],
        columns: Array,
        shape: tuple[int, ...],
        weight: Array,
        options: dict[str, Any],
    ) -> Array:
        """All columns as one longer batch, in a dtype that can represent them and the weights."""
        dtype = np.result_type(columns, weight)
        batch = np.ascontiguousarray(columns.T, dtype).reshape(-1, *shape[1:])
        result: Array = map(batch, weight.astype(dtype, copy=False), **options)
        return result.reshape(columns.shape[1], prod(result.shape[1:]) * shape[0]).T


@checked
def linear_operator(weight: npt.ArrayLike, geometry: Geometry | str) -> LinearOperator:
    """The convolution of a Geometry as a matrix A that is never stored.

    `A.matvec` is `tconv.conv`, from the flattened (n, c_out, *output) to the flattened (n, c_in, *input);
    `A.rmatvec`, multiplication by A^H, is `tconv.conv_transpose` with conjugated weights. `A.matmat` and
    `A.rmatmat` take columns as one longer batch. So lsqr, lsmr, cg, svds and eigsh take A, or A.H, A.T, sums
    and products of operators.

    Args:
        weight: (c_in, c_out/groups, *kernel); of any dtype that the engine supports.
        geometry: the transposed layer, or its spelling; the operator has its batch.

    Returns:
        An operator of shape (prod(input_shape), prod(output_shape)) and the dtype of `weight`. Its products
        have the dtype that NumPy gives to a product of both: float32 weights times a float64 vector are
        computed and returned in float64, real weights times a complex vector as complex.

    Raises:
        TconvError: weights of another shape, or a dtype that the engine lacks.

    >>> A = linear_operator(np.ones((1, 1, 2)), "n1 c1>1 i3 k2")
    >>> A.shape
    (3, 4)
    >>> A @ np.eye(4)
    array([[1., 1., 0., 0.],
           [0., 1., 1., 0.],
           [0., 0., 1., 1.]])
    >>> from scipy.sparse.linalg import svds
    >>> svds(A, k=1, return_singular_vectors=False).round(4)  # 2 cos(pi / 8)
    array([1.8478])
    """
    g = geometry if isinstance(geometry, Geometry) else Geometry.parse(geometry)
    array = _array("weight", weight)
    if array.shape != g.weight_shape:
        raise TconvError(f"{g}: weight has shape {array.shape}; {g.weight_shape} would fit")
    if g.batch == 0:
        raise TconvError(f"{g}: a batch of 0 has no vector; a batch of 1 would fit")
    operand("weight", array)
    return _Convolution(array.copy(), g)


@dataclass(frozen=True, slots=True)
class Deconvolved:
    """The result of `deconvolve`, and how LSQR stopped."""

    y: Array  #: (n, c_out, *output)
    converged: bool  #: whether the tolerances were met
    stopped: str  #: why LSQR stopped, as text
    iterations: int  #: each is one convolution and one transposed convolution
    residual: float  #: the norm of conv(y) - z


#: LSQR's codes (Paige & Saunders 1982, section 6) -> whether the tolerances were met, and a text.
_STOPPED = {
    0: (True, "y = 0 is the solution"),
    1: (True, "conv(y) equals z within atol and btol"),
    2: (True, "no y is closer to z, within atol"),
    3: (False, "the condition number has passed conlim: more damping would fit"),
    4: (True, "conv(y) equals z as far as float64 can tell"),
    5: (True, "no y is closer to z as far as float64 can tell"),
    6: (False, "the condition number is beyond float64: more damping would fit"),
    7: (False, "the iterations are used up: more of them or more damping would fit"),
}


@checked
def deconvolve(
    z: npt.ArrayLike,
    weight: npt.ArrayLike,
    geometry: Geometry | str,
    *,
    damp: float = 0.0,
    iterations: int | None = None,
    atol: float = 1e-6,
    btol: float = 1e-6,
    conlim: float = 1e8,
    start: npt.ArrayLike | None = None,
) -> Deconvolved:
    """The true inverse of a convolution: the y whose convolution is closest to z.

    It minimises norm(conv(y) - z)^2 + damp^2 norm(y - start)^2 by LSQR (Paige & Saunders 1982) on A of
    `linear_operator`, in float64 or complex128. Without damping it is the pseudo-inverse: the smallest of all
    y that come closest to z. Damping limits noise, which the inverse amplifies at frequencies that the kernel
    suppresses.

    Args:
        z: (n, c_in, *input): the output of a convolution; or (c_in, *input) where the geometry's batch is 1.
        weight: (c_in, c_out/groups, *kernel), which a convolution calls (out, in/groups, *kernel).
        geometry: the transposed layer, or its spelling: the convolution maps its output to its input.
        damp: in units of the singular values of A; 0 or more.
        iterations: the largest number of iterations; None: twice the size of y.
        atol: assumed relative error of A, and `btol` that of z; they determine when to stop.
        conlim: stop where the estimated condition number of A is larger.
        start: an initial estimate of y, towards which damping pulls; None: 0.

    Returns:
        A `Deconvolved`; its y has the dtype of z times weight, float64 for integers.

    Raises:
        TconvError: shapes that do not fit, numbers that are not finite, a negative damp, a complex start
            where everything else is real.

    >>> found = deconvolve([[[1.0, 3.0, 2.0]]], [[[1.0, 1.0]]], "n1 c1>1 i3 k2")
    >>> found.y.round(6), found.stopped  # the smallest of all solutions of four numbers
    (array([[[-0.25, 1.25, 1.75, 0.25]]]), 'conv(y) equals z within atol and btol')
    """
    A = linear_operator(weight, geometry)
    g: Geometry = A._geometry
    given = _array("z", z)
    batched = _fits("z", given, g.input_shape, g)
    for name, value in {"damp": damp, "atol": atol, "btol": btol, "conlim": conlim}.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or value < 0:
            raise TconvError(f"{name}={shown(value)}; a number of at least 0 would fit")
    if iterations is not None and whole("iterations", iterations) < 1:
        raise TconvError(f"iterations={iterations}; at least 1 would fit")
    wanted = np.result_type(given, A.dtype)
    if wanted.kind not in "fc":
        wanted = np.dtype(np.float64)
    working = np.complex128 if wanted.kind == "c" else np.float64
    right = given.astype(working).ravel()
    first, left = np.zeros(A.shape[1], working), right
    if start is not None:
        guess = _array("start", start)
        _fits("start", guess, g.output_shape, g)
        if guess.dtype.kind == "c" and working is np.float64:
            raise TconvError(f"start is {guess.dtype} where z and weight are real; a real one would fit")
        first = guess.astype(working).ravel()
        # LSQR gets the residual: SciPy's own x0 accepts any y as a solution where z is 0 (1.17.1).
        left = right - A.matvec(first)
        btol *= float(np.linalg.norm(right)) / (float(np.linalg.norm(left)) or 1.0)
    y, code, count, *_ = lsqr(A, left, damp, atol, btol, conlim, iterations)
    y += first
    residual = float(np.linalg.norm(A.matvec(y) - right))  # LSQR only estimates it
    converged, stopped = _STOPPED[code]
    if start is not None and not code:
        stopped = "start is a solution"
    shape = g.output_shape if batched else g.output_shape[1:]
    return Deconvolved(y.reshape(shape).astype(wanted), converged, stopped, int(count), residual)


def _array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TconvError(f"{name} is not an array of numbers: {error}") from error
    if array.dtype.kind not in "iufc":
        raise TconvError(f"{name} has dtype {array.dtype}; an array of numbers would fit")
    if not np.isfinite(array).all():
        raise TconvError(f"{name} has numbers that are infinite or NaN; finite ones would fit")
    return array


def _fits(name: str, array: Array, shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether `array` has the batch axis of `shape`, which it may leave out where that is 1."""
    if array.shape == shape:
        return True
    if geometry.batch == 1 and array.shape == shape[1:]:
        return False
    raise TconvError(f"{geometry}: {name} has shape {array.shape}; {shape} would fit")
