"""What the explanations of transposed convolution claim, as tests with their numbers.

Sources: Long, Shelhamer, Darrell 2015 (FCN); Dumoulin & Visin 2016; Odena, Dumoulin, Olah 2016; Caffe;
TensorFlow.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.filters import bilinear
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays
from tconv.views import VIEWS, col2im, correlate, gather, scatter, triplets

EVERY_VIEW = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def plane(values: object) -> np.ndarray:
    """One image, one channel."""
    array = np.asarray(values)
    return array.reshape(1, 1, *array.shape)


def slide(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Sliding sums of window * image with stride 1: correlation, as frameworks' `conv` has it."""
    k = window.shape
    sizes = [n - m + 1 for n, m in zip(image.shape, k, strict=True)]
    made = np.zeros(sizes, np.result_type(image, window))
    for at in np.ndindex(*sizes):
        made[at] = np.sum(image[tuple(slice(a, a + m) for a, m in zip(at, k, strict=True))] * window)
    return made


def dense(kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """C^T of one channel pair as an ordinary matrix."""
    rows, cols, vals = triplets(kernel, geometry)
    matrix = np.zeros((np.prod(geometry.output), np.prod(geometry.input)), vals.dtype)
    matrix[rows, cols] = vals
    return matrix


class TestPaddingAndStride:
    """2. Dumoulin & Visin: s-1 zeros between, k-p-1 around, the kernel turned, stride 1."""

    @pytest.mark.parametrize(
        ("k", "s", "p"), [(3, 1, 0), (3, 2, 0), (3, 2, 1), (4, 2, 1), (5, 3, 2), (2, 2, 0), (4, 1, 2)]
    )
    def test_pictured(self, k: int, s: int, p: int) -> None:
        geometry = Geometry.make(in_channels=1, out_channels=1, input=(3, 4), kernel=k, stride=s, padding=p)
        recipe = geometry.zero_insertion()
        assert recipe.between == (s - 1, s - 1)
        assert recipe.around == ((k - p - 1,) * 2,) * 2
        x, weight, *_ = integer_arrays(geometry, "int64")
        spread = np.zeros(((3 - 1) * s + 1, (4 - 1) * s + 1), int)
        spread[::s, ::s] = x[0, 0]
        turned = np.flipud(np.fliplr(weight[0, 0]))
        assert_same(slide(np.pad(spread, k - p - 1), turned), scatter(x, weight, geometry)[0, 0])

    @pytest.mark.parametrize(
        "problem",
        [
            "n1 c1>1 i4 k3 s2 p1 o1",
            "n1 c1>1 i4 k3 s2 p5:-2 d3",
            "n1 c1>1 i3 k4 s3 p1:2 o2 d2",
            "n1 c1>1 i5 k2 p-1:2",
        ],
    )
    def test_in_general(self, problem: str) -> None:
        geometry = Geometry.parse(problem)
        (i, k, s, lo, hi, o, d) = geometry.axis(0)
        assert geometry.output == ((i - 1) * s - lo - hi + d * (k - 1) + 1 + o,)
        before, after = d * (k - 1) - lo, d * (k - 1) - hi + o
        assert geometry.zero_insertion() == ((s - 1,), ((before, after),), (d,))
        x, weight, *_ = integer_arrays(geometry, "int64")
        spread, dilated = np.zeros((i - 1) * s + 1, int), np.zeros(d * (k - 1) + 1, int)
        spread[::s], dilated[::d] = x[0, 0], weight[0, 0]
        image = np.concatenate([np.zeros(max(before, 0), int), spread, np.zeros(max(after, 0), int)])
        image = image[max(-before, 0) : len(image) - max(-after, 0)]  # negative crops
        assert_same(slide(image, dilated[::-1]), scatter(x, weight, geometry)[0, 0])

    @pytest.mark.parametrize(("s", "d"), [(1, 1), (2, 1), (1, 3), (2, 3), (4, 2)])
    def test_output_padding_is_below_max_s_d_as_in_pytorch(self, s: int, d: int) -> None:
        torch = pytest.importorskip(
            "torch", reason="compares with what PyTorch refuses; install tconv[torch]"
        )
        for o in range(7):
            options = {"stride": s, "output_padding": o, "dilation": d}
            try:
                theirs = torch.nn.functional.conv_transpose1d(
                    torch.ones(1, 1, 4), torch.ones(1, 1, 3), **options
                )
            except RuntimeError:
                assert o >= max(s, d)
                with pytest.raises(TconvError, match=f"below max\\(stride, dilation\\) = {max(s, d)}"):
                    Geometry.make(in_channels=1, out_channels=1, input=4, kernel=3, **options)
            else:
                ours = Geometry.make(in_channels=1, out_channels=1, input=4, kernel=3, **options)
                assert ours.output_shape == tuple(theirs.shape)


class TestGradientOfConvolution:
    """3. Caffe: Deconvolution's forward pass is Convolution's backward pass, and the other way round."""

    PROBLEM = Geometry.parse("n2 c4>6 i4x3 k3x4 s2x3 p1x0 d1x2 g2")

    def test_forward_is_the_gradient_of_a_convolution_with_respect_to_its_input(self) -> None:
        torch = pytest.importorskip("torch", reason="needs PyTorch's autograd; install tconv[torch]")
        g = self.PROBLEM
        x, weight, _, y = integer_arrays(g, "float64", seed=1)
        options = {"stride": g.stride, "padding": (1, 0), "dilation": g.dilation, "groups": g.groups}
        image = torch.tensor(y, requires_grad=True)  # Convolution's input is Deconvolution's output
        filters = torch.tensor(
            weight, requires_grad=True
        )  # (out, in/g) of the one is (in, out/g) of the other
        convolved = torch.nn.functional.conv2d(image, filters, **options)
        convolved.backward(torch.tensor(x))
        assert_same(col2im(x, weight, g), image.grad.numpy())
        assert_same(gather(y, weight, g), convolved.detach().numpy())
        assert_same(correlate(x, y, g), filters.grad.numpy())

    def test_its_own_gradients_are_the_convolution_and_the_correlation(self) -> None:
        torch = pytest.importorskip("torch", reason="needs PyTorch's autograd; install tconv[torch]")
        g = self.PROBLEM
        x, weight, bias, y = integer_arrays(g, "float64", seed=2)
        leaves = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
        options = {"stride": g.stride, "padding": (1, 0), "dilation": g.dilation, "groups": g.groups}
        made = torch.nn.functional.conv_transpose2d(*leaves, **options)
        made.backward(torch.tensor(y))
        assert_same(scatter(x, weight, g) + bias[:, None, None], made.detach().numpy())
        assert_same(gather(y, weight, g), leaves[0].grad.numpy())  # dL/dx
        assert_same(correlate(x, y, g), leaves[1].grad.numpy())  # dL/dw
        assert_same(y.sum((0, 2, 3)), leaves[2].grad.numpy())  # dL/db

    def test_gradients_by_finite_differences(self) -> None:
        # The layer is linear in x and in w, so a difference by 1 is the derivative, on integers exactly.
        g = Geometry.parse("n2 c2>2 i3x2 k3x2 s2x1 p1x0 g2")
        x, weight, _, y = integer_arrays(g, "int64", seed=3)
        loss = np.sum(scatter(x, weight, g) * y)
        for array, gradient, moved in (
            (x, gather(y, weight, g), lambda changed: scatter(changed, weight, g)),
            (weight, correlate(x, y, g), lambda changed: scatter(x, changed, g)),
        ):
            for at in np.ndindex(array.shape):
                changed = array.copy()
                changed[at] += 1
                assert gradient[at] == np.sum(moved(changed) * y) - loss

    def test_influence_is_local_and_weights_are_shared(self) -> None:
        g = Geometry.parse("n1 c1>1 i3x3 k2 s2")
        x, weight, _, y = integer_arrays(g, "int64", seed=4)
        changed = weight.copy()
        changed[0, 0, 0, 1] += 1
        moved = (scatter(x, changed, g) != scatter(x, weight, g))[0, 0]
        assert np.argwhere(moved).tolist() == [
            [r, c] for r in (0, 2, 4) for c in (1, 3, 5)
        ]  # 9 of 36 outputs
        # Its gradient is the sum over the nine positions that the filter visited.
        assert correlate(x, y, g)[0, 0, 0, 1] == sum(
            x[0, 0, r, c] * y[0, 0, 2 * r, 2 * c + 1] for r in range(3) for c in range(3)
        )


class TestMatrix:
    """4. A 4x4 input and a 3x3 kernel, stride 1, no padding: C is 4x16."""

    GEOMETRY = Geometry.for_output(in_channels=1, out_channels=1, output=(4, 4), kernel=3)
    KERNEL = np.array([[1, 4, 1], [1, 4, 3], [3, 3, 1]])

    def test_c_is_4x16_and_slides_the_kernel(self) -> None:
        transposed = dense(self.KERNEL, self.GEOMETRY)
        assert transposed.T.shape == (4, 16)
        image = np.arange(16).reshape(4, 4)
        assert_same((transposed.T @ image.ravel()).reshape(2, 2), slide(image, self.KERNEL))
        assert transposed[:, 0].reshape(4, 4).tolist() == [
            [1, 4, 1, 0],
            [1, 4, 3, 0],
            [3, 3, 1, 0],
            [0, 0, 0, 0],
        ]

    @EVERY_VIEW
    def test_its_transpose_maps_2x2_back_to_4x4(self, view) -> None:
        x = np.array([[2, 1], [4, 4]])
        transposed = dense(self.KERNEL, self.GEOMETRY)
        assert transposed.shape == (16, 4)
        y = view(plane(x), plane(self.KERNEL), self.GEOMETRY)[0, 0]
        assert_same((transposed @ x.ravel()).reshape(4, 4), y)
        # The 16 rows, each reshaped to 2x2, times the 2x2 and summed.
        assert_same(np.array([np.sum(row.reshape(2, 2) * x) for row in transposed]).reshape(4, 4), y)
        # The turned kernel slid over the padded 2x2.
        assert_same(slide(np.pad(x, 2), self.KERNEL[::-1, ::-1]), y)

    def test_connectivity_is_kept_one_value_to_nine(self) -> None:
        transposed = dense(self.KERNEL, self.GEOMETRY)
        assert np.count_nonzero(transposed, axis=0).tolist() == [9, 9, 9, 9]
        for i, row in enumerate(np.ndindex(2, 2)):
            reached = np.argwhere(transposed[:, i].reshape(4, 4)) - row
            assert reached.tolist() == [[r, c] for r in range(3) for c in range(3)]

    def test_values_are_not(self) -> None:
        c = dense(self.KERNEL, self.GEOMETRY).T
        image = np.arange(16)
        assert np.linalg.matrix_rank(c) == 4 < 16  # no inverse
        assert not np.array_equal(c.T @ (c @ image), image)

    def test_weights_need_not_come_from_that_convolution(self) -> None:
        other = np.arange(9).reshape(3, 3)
        assert_same(
            dense(other, self.GEOMETRY) @ np.array([2, 1, 4, 4]),
            scatter(plane([[2, 1], [4, 4]]), plane(other), self.GEOMETRY).ravel(),
        )


class TestStamp:
    """5. Each input spreads its multiple of the kernel; overlaps add, evenly only if k is a multiple of s."""

    def test_overlaps_add(self) -> None:
        geometry = Geometry.parse("n1 c1>1 i2x2 k3 s2")
        kernel = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        expected = np.zeros((5, 5), int)
        for (r, c), value in np.ndenumerate(np.array([[1, 10], [100, 1000]])):
            expected[2 * r : 2 * r + 3, 2 * c : 2 * c + 3] += value * kernel
        assert expected[2, 2] == 9 + 70 + 300 + 1000
        assert_same(scatter(plane([[1, 10], [100, 1000]]), plane(kernel), geometry)[0, 0], expected)

    @pytest.mark.parametrize("s", range(1, 7))
    @pytest.mark.parametrize("k", range(1, 13))
    def test_checkerboard_where_k_is_no_multiple_of_s(self, k: int, s: int) -> None:
        coverage = Geometry.make(in_channels=1, out_channels=1, input=20, kernel=k, stride=s).coverage()[0]
        inside = set(coverage[k - 1 : 19 * s + 1])  # where no tap hangs over an end
        assert (len(inside) == 1) == (k % s == 0)

    def test_coverage_is_what_ones_make_of_ones(self) -> None:
        geometry = Geometry.parse("n1 c1>1 i3x4 k3 s2 p1x0 o1x0")
        rows, columns = geometry.coverage()
        assert rows == (1, 2, 1, 2, 1, 1)
        assert columns == (1, 1, 2, 1, 2, 1, 2, 1, 1)
        assert_same(
            scatter(np.ones((1, 1, 3, 4), int), np.ones((1, 1, 3, 3), int), geometry)[0, 0],
            np.multiply.outer(np.array(rows), np.array(columns)),
        )

    def test_a_convolution_after_it_or_resize_then_convolution_softens_it(self) -> None:
        geometry = Geometry.parse("n1 c1>1 i12 k3 s2")
        board = np.array(geometry.coverage()[0])[2:-2]
        assert set(board) == {1, 2}
        softened = slide(board, np.ones(3, int))
        assert set(softened) == {4, 5}  # a ratio of 1.25 where it was 2
        resized = np.repeat(np.ones(12, int), 2)
        assert set(slide(resized, np.ones(3, int))) == {3}


@EVERY_VIEW
def test_6_tensorflows_example(view) -> None:
    x, ones = plane([[1, 2], [3, 4]]), plane(np.ones((3, 3), int))
    same = Geometry.make(in_channels=1, out_channels=1, input=(2, 2), kernel=3, stride=2, padding="same")
    assert view(x, ones, same)[0, 0].tolist() == [[1, 1, 3, 2], [1, 1, 3, 2], [4, 4, 10, 6], [3, 3, 7, 4]]
    full = Geometry.make(in_channels=1, out_channels=1, input=(2, 2), kernel=3, stride=2)
    assert full.output == (5, 5)
    assert_same(view(x, ones, full)[..., :4, :4], view(x, ones, same))


class TestBilinear:
    """7. FCN's bilinear filters."""

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
    """8. D_k keeps every k-th sample, U_k = D_k^T inserts k-1 zeros; convolution by q is the matrix Q."""

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
    """9. The Hermitian transpose of a filter is its time-reversed conjugate."""

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
    """11. If z = q*x, the true inverse applies q's pseudo-inverse; the transposed layer q's transpose."""

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
