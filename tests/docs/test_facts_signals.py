"""What the explanations of transposed convolution claim, with their numbers: what it is among filters.

Sources: Long, Shelhamer, Darrell 2015 (FCN) and its code; multirate signal processing.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from tconv.filters import bilinear
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays
from tconv.views import VIEWS, correlate, gather, scatter
from tests.views.helpers import dense, plane, slide

EVERY_VIEW = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


class TestBilinear:
    """FCN's bilinear filters."""

    TWICE = Geometry.parse("n1 c1>1 i3x3 k4 s2 p1")

    def test_values(self) -> None:
        kernel = bilinear(2, 2)
        assert kernel.shape == (4, 4)
        assert sorted(set(kernel.ravel())) == [0.0625, 0.1875, 0.5625]
        assert kernel[1:3, 1:3].tolist() == [[0.5625, 0.5625], [0.5625, 0.5625]]
        assert kernel[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]

    @EVERY_VIEW
    def test_2x_and_its_centre_at_the_third_row_and_column(self, view) -> None:
        x = np.array([[1.0, 5, 2], [7, 3, 8], [4, 9, 6]])
        y = view(plane(x), plane(bilinear(2, 2)), self.TWICE)[0, 0]
        assert y.shape == (6, 6)
        spread = np.zeros((6, 6))
        spread[::2, ::2] = x
        # Window position o covers o-2 .. o+1: its centre, index 2, is the third of four.
        assert_same(slide(np.pad(spread, (2, 1)), bilinear(2, 2)), y)

    def test_used_weights_sum_to_1_inside_and_a_corner_sees_0_5625(self) -> None:
        used = scatter(np.ones((1, 1, 3, 3)), plane(bilinear(2, 2)), self.TWICE)[0, 0]
        assert np.all(used[1:-1, 1:-1] == 1)
        assert [used[at] for at in ((0, 0), (0, -1), (-1, 0), (-1, -1))] == [0.5625] * 4
        assert set(used[0, 1:-1]) == {0.75}

    def test_each_channel_by_itself(self) -> None:
        geometry = Geometry.parse("n1 c3>3 i3x3 k4 s2 p1 g3")
        x = np.random.default_rng(0).integers(-9, 9, (1, 3, 3, 3)).astype(float)
        together = scatter(x, np.stack([bilinear(2, 2)[None]] * 3), geometry)
        for c in range(3):
            assert_same(together[:, c : c + 1], scatter(x[:, c : c + 1], plane(bilinear(2, 2)), self.TWICE))

    @pytest.mark.parametrize("f", range(1, 17))
    def test_factor_f(self, f: int) -> None:
        k = 2 * f - f % 2
        assert bilinear(f, 1).shape == (k,)
        geometry = Geometry.make(
            in_channels=1, out_channels=1, input=5, kernel=k, stride=f, padding=ceil((f - 1) / 2)
        )
        assert geometry.output == (5 * f,)
        used = scatter(np.ones((1, 1, 5)), bilinear(f, 1)[None, None], geometry)[0, 0]
        np.testing.assert_allclose(used[f:-f], 1, rtol=0, atol=1e-15)

    def test_it_is_no_resize_at_the_borders(self) -> None:
        def twice(*values: float) -> list[float]:
            geometry = Geometry.make(
                in_channels=1, out_channels=1, input=len(values), kernel=4, stride=2, padding=1
            )
            return scatter(plane(np.array(values)), bilinear(2, 1)[None, None], geometry)[0, 0].tolist()

        assert twice(1, 2, 3)[-1] == 2.25
        resized = [1, 1.25, 1.75, 2.25, 2.75, 3]  # half-pixel centres, edges repeated
        assert twice(1, 1, 2, 3, 3)[2:-2] == resized
        assert twice(1, 2, 3)[1:-1] == resized[1:-1]
        torch = pytest.importorskip("torch", reason="compares with PyTorch's resize; install tconv[torch]")
        x = torch.tensor([[[1.0, 2.0, 3.0]]])
        theirs = torch.nn.functional.interpolate(x, scale_factor=2, mode="linear", align_corners=False)
        assert theirs.flatten().tolist() == resized


class TestSignalProcessing:
    """D_k keeps every k-th sample, U_k = D_k^T inserts k-1 zeros; convolution by q is the matrix Q."""

    Q0, Q1, Q2 = 2, 3, 5
    FILTER = np.array([Q0, Q1, Q2])
    Q = np.array([[Q1, Q0, 0, 0], [Q2, Q1, Q0, 0], [0, Q2, Q1, Q0], [0, 0, Q2, Q1]])
    D2 = np.array([[1, 0, 0, 0], [0, 0, 1, 0]])

    def test_the_worked_matrices(self) -> None:
        samples = np.array([7, 11, 13, 17])
        assert_same(self.Q @ samples, np.convolve(samples, self.FILTER)[1:-1])  # Q is q*, size kept
        assert_same(self.D2 @ samples, samples[::2])
        assert (self.D2.T @ np.array([7, 11])).tolist() == [7, 0, 11, 0]
        assert_same(self.Q @ self.D2.T, (self.D2 @ self.Q.T).T)

    @EVERY_VIEW
    def test_transposed_is_q_after_u(self, view) -> None:
        geometry = Geometry.parse("n1 c1>1 i2 k3 s2 p1 o1")
        assert_same(dense(self.FILTER, geometry), self.Q @ self.D2.T)
        x = np.array([7, 11])
        assert_same(view(plane(x), plane(self.FILTER), geometry)[0, 0], self.Q @ self.D2.T @ x)
        assert_same(
            view(plane(x), plane(self.FILTER), geometry)[0, 0], np.convolve([7, 0, 11, 0], self.FILTER)[1:-1]
        )

    def test_strided_is_d_after_q(self) -> None:
        # A framework's convolution slides the filter unturned, so q* turned: its matrix is D Q^T.
        geometry = Geometry.for_output(in_channels=1, out_channels=1, output=4, kernel=3, stride=2, padding=1)
        y = np.array([7, 11, 13, 17])
        strided = gather(plane(y), plane(self.FILTER), geometry)[0, 0]
        assert_same(strided, self.D2 @ self.Q.T @ y)
        assert_same(strided, np.convolve(y, self.FILTER[::-1])[1:-1][::2])

    def test_dilated_is_u_q(self) -> None:
        geometry = Geometry.for_output(in_channels=1, out_channels=1, output=9, kernel=3, dilation=2)
        y = np.arange(3, 12) ** 2
        inserted = np.array([self.Q2, 0, self.Q1, 0, self.Q0])  # U_2 of the turned filter
        assert_same(
            gather(plane(y), plane(self.FILTER), geometry)[0, 0], np.convolve(y, inserted, mode="valid")
        )

    @pytest.mark.parametrize("p", [0, 1, 2])
    def test_nearest_then_filter_is_one_transposed_convolution(self, p: int) -> None:
        x = np.array([7, 11, 13, 17, 19])
        q0, q1, q2 = self.FILTER
        then = np.convolve(np.pad(np.repeat(x, 2), p), self.FILTER, mode="valid")
        merged = np.array([q0, q0 + q1, q1 + q2, q2])
        # The merged kernel reaches 2 beyond either end, the filter p: so 2 - p are cropped, and 1 stays 1.
        geometry = Geometry.make(in_channels=1, out_channels=1, input=5, kernel=4, stride=2, padding=2 - p)
        assert_same(scatter(plane(x), plane(merged), geometry)[0, 0], then)

    @pytest.mark.parametrize("p", [0, 1, 2])
    def test_in_a_frameworks_terms_with_channels_exchanged(self, p: int) -> None:
        rng = np.random.default_rng(p)
        x = rng.integers(-5, 6, (2, 3, 4, 5))
        weight = rng.integers(-5, 6, (6, 3, 3, 3))  # (out, in, 3, 3) of the convolution
        near = x.repeat(2, axis=2).repeat(2, axis=3)
        conv = Geometry.for_output(
            batch=2, in_channels=6, out_channels=3, output=near.shape[2:], kernel=3, padding=p
        )
        w0, w1, w2 = np.moveaxis(weight.swapaxes(0, 1), 2, 0)  # rows, then columns
        rows = np.stack([w2, w2 + w1, w1 + w0, w0], axis=2)
        w0, w1, w2 = np.moveaxis(rows, 3, 0)
        merged = np.stack([w2, w2 + w1, w1 + w0, w0], axis=3)
        assert merged.shape == (3, 6, 4, 4)
        one = Geometry.make(
            batch=2, in_channels=3, out_channels=6, input=(4, 5), kernel=4, stride=2, padding=2 - p
        )
        assert_same(scatter(x, merged, one), gather(near, weight, conv))

    def test_4_multiplications_an_output_where_there_were_9(self) -> None:
        after = Geometry.for_output(in_channels=1, out_channels=1, output=(64, 64), kernel=3, padding=1)
        one = Geometry.parse("n1 c1>1 i32x32 k4 s2 p1")
        assert after.macs / np.prod(after.input) == 9
        assert one.macs / np.prod(one.output) == 4


class TestMatchedFilter:
    """The Hermitian transpose of a filter is its time-reversed conjugate."""

    FILTER = np.array([1 + 2j, 3 - 1j, -2 + 5j])

    def test_as_matrices(self) -> None:
        geometry = Geometry.parse("n1 c1>1 i4 k3")
        matrix = dense(self.FILTER, geometry)  # full convolution by q
        x, z = np.array([1, 2j, -3, 4 + 1j]), np.array([2, 1j, 5, -1, 3 - 2j, 7j])
        assert_same(matrix @ x, np.convolve(x, self.FILTER))
        matched = np.conj(self.FILTER[::-1])
        assert_same(matrix.conj().T @ z, np.convolve(z, matched, mode="valid"))
        assert np.vdot(matrix @ x, z) == np.vdot(x, matrix.conj().T @ z)

    def test_the_adjoint_conjugates_the_weight_and_no_map_does(self) -> None:
        geometry = Geometry.parse("n2 c4>6 i4x3 k3 s2 p1 g2")
        x, weight, _, y = integer_arrays(geometry, "complex128", seed=5)
        made = scatter(x, weight, geometry)
        assert np.vdot(made, y) == np.vdot(x, gather(y, weight.conj(), geometry))
        assert np.vdot(made, y) != np.vdot(x, gather(y, weight, geometry))
        assert np.sum(made * y) == np.sum(x * gather(y, weight, geometry))  # bilinear, not sesquilinear

    def test_every_gradient_conjugates(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="compares with PyTorch's complex autograd; install tconv[torch]"
        )
        geometry = Geometry.parse("n2 c4>6 i4x3 k3 s2 p1 g2")
        x, weight, _, y = integer_arrays(geometry, "complex128", seed=6)
        leaves = [torch.tensor(array, requires_grad=True) for array in (x, weight)]
        torch.nn.functional.conv_transpose2d(*leaves, stride=2, padding=1, groups=2).backward(torch.tensor(y))
        assert_same(gather(y, weight.conj(), geometry), leaves[0].grad.numpy())
        assert_same(correlate(x.conj(), y, geometry), leaves[1].grad.numpy())


class TestNotDeconvolution:
    """If z = q*x, the true inverse applies q's pseudo-inverse; the transposed layer q's transpose."""

    def test_pseudo_inverse_and_transpose(self) -> None:
        x, q = np.array([1, 2, 3]), np.array([1, 2, 1])
        geometry = Geometry.for_output(in_channels=1, out_channels=1, output=5, kernel=3)
        convolve = dense(q, geometry)  # z = q*x, full: 5x3
        z = np.convolve(x, q)
        assert_same(convolve @ x, z)
        np.testing.assert_allclose(np.linalg.pinv(convolve) @ z, x, rtol=0, atol=1e-12)
        transposed = gather(plane(z), plane(q), geometry)[0, 0]
        assert_same(transposed, convolve.T @ z)
        assert transposed.tolist() == [17, 28, 27]  # not 1, 2, 3

    def test_the_transposed_layer_of_a_convolution_does_not_undo_it(self) -> None:
        geometry = Geometry.for_output(in_channels=1, out_channels=1, output=(4, 4), kernel=3)
        kernel = np.arange(1.0, 10).reshape(3, 3)
        c = dense(kernel, geometry).T
        z = np.array([[1.0, 0], [0, 2]])
        assert_same(scatter(plane(z), plane(kernel), geometry).ravel(), c.T @ z.ravel())
        np.testing.assert_allclose(c @ (np.linalg.pinv(c) @ z.ravel()), z.ravel(), rtol=0, atol=1e-12)
        assert not np.allclose(c @ (c.T @ z.ravel()), z.ravel())
