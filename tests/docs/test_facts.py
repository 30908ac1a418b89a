"""What the explanations of transposed convolution claim, with their numbers: what the layer is.

Sources: Dumoulin & Visin 2016; Caffe; Odena, Dumoulin, Olah 2016; TensorFlow.
"""

from __future__ import annotations

import numpy as np
import pytest

from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.testing import assert_same, integer_arrays
from tconv.views import VIEWS, col2im, correlate, gather, scatter
from tests.views.helpers import dense, plane, slide

EVERY_VIEW = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


class TestPaddingAndStride:
    """Dumoulin & Visin: s-1 zeros between, k-p-1 around, the kernel turned, stride 1."""

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
    """Caffe: Deconvolution's forward pass is Convolution's backward pass, and the other way round."""

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
    """A 4x4 input and a 3x3 kernel, stride 1, no padding: C is 4x16."""

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
    """Each input spreads its multiple of the kernel; overlaps add, evenly only if k is a multiple of s."""

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
def test_tensorflows_example(view) -> None:
    x, ones = plane([[1, 2], [3, 4]]), plane(np.ones((3, 3), int))
    same = Geometry.make(in_channels=1, out_channels=1, input=(2, 2), kernel=3, stride=2, padding="same")
    assert view(x, ones, same)[0, 0].tolist() == [[1, 1, 3, 2], [1, 1, 3, 2], [4, 4, 10, 6], [3, 3, 7, 4]]
    full = Geometry.make(in_channels=1, out_channels=1, input=(2, 2), kernel=3, stride=2)
    assert full.output == (5, 5)
    assert_same(view(x, ones, full)[..., :4, :4], view(x, ones, same))
