"""The alignment arithmetic, against brute force over taps and against gradients of real layers."""

from __future__ import annotations

from fractions import Fraction

import pytest

torch = pytest.importorskip("torch")

from tconv.errors import TconvError  # noqa: E402
from tconv.geometry import Geometry  # noqa: E402
from tconv.nets import UPSAMPLINGS  # noqa: E402
from tconv.nets.grid import Grid  # noqa: E402
from tconv.nets.upsampling import grid_after, upsampler  # noqa: E402


def window(text: str) -> Geometry:
    return Geometry.parse(f"c1>1 {text}")


@pytest.mark.parametrize("text", ["i9 k3 p1", "i9 k2 s2", "i9 k7 s3 p2", "i9 k3 s2 p0:1 d2", "i9 k4 s2 p-1"])
def test_the_grid_of_a_convolution_is_where_its_taps_read(text: str) -> None:
    geometry = window(text)
    grid = Grid().convolved(geometry)
    middle = 4  # far enough from the borders that no tap is cut off
    places = [place for place, _ in geometry.outputs_of_input(0, middle)]
    assert (min(places), max(places)) == (grid.first + grid.step * middle, grid.last + grid.step * middle)
    assert Fraction(sum(places), len(places)) == grid.start + grid.step * middle


@pytest.mark.parametrize(
    "text", ["i9 k4 s2 p1", "i9 k16 s8 p4", "i9 k5 s3 p1", "i9 k2 s2", "i9 k6 s2 p0:1", "i9 k3 d2"]
)
def test_the_grid_of_a_transposed_convolution_holds_every_output(text: str) -> None:
    geometry = window(text)
    grid = Grid().transposed(geometry)
    first, last = [], []
    for output in range(geometry.output[0] // 2 - 4, geometry.output[0] // 2 + 4):
        inputs = [index for index, _ in geometry.taps_of_output(0, output)]
        first.append(min(inputs) - grid.step * output)
        last.append(max(inputs) - grid.step * output)
    assert grid.first <= min(first)
    assert max(last) <= grid.last
    # The stamp of one input is centred on it.
    stamp = [output for output, _ in geometry.outputs_of_input(0, 4)]
    assert grid.start + grid.step * Fraction(sum(stamp), len(stamp)) == 4


def test_pooling_and_a_bilinear_filter_cancel() -> None:
    pool, up = window("i1 k2 s2"), window("i1 k4 s2 p1")
    grid = Grid()
    starts = []
    for _ in range(5):
        grid = grid.convolved(pool)
        starts.append(grid.start)
    assert starts == [Fraction(1, 2), Fraction(3, 2), Fraction(7, 2), Fraction(15, 2), Fraction(31, 2)]
    assert grid.transposed(up).start == starts[3]
    # One cell of edge in front and `factor` more cropped behind it: the same place.
    assert grid.padded(1).transposed(window("i3 k4 s2 p3")).start == starts[3]


def test_valid_convolutions_are_cut_where_they_lie() -> None:
    """A 7x7 fc6 without padding starts three cells in, so a skip is cut by six of its own cells."""
    pool5 = Grid(Fraction(32), Fraction(31, 2))
    pool4 = Grid(Fraction(16), Fraction(15, 2))
    up = pool5.convolved(window("i1 k7")).transposed(window("i1 k4 s2 p1"))
    assert pool4.crop_to(up) == 6
    assert pool4.joined(up).start == up.start
    with pytest.raises(TconvError, match="a start whole steps before fit"):
        up.crop_to(pool4)
    with pytest.raises(TconvError, match="same step"):
        pool5.crop_to(pool4)
    with pytest.raises(TconvError, match="2 axes"):
        Grid().convolved(window("i4x4 k3"))


@pytest.mark.parametrize("kind", UPSAMPLINGS)
@pytest.mark.parametrize("factor", [2, 8])
def test_outputs_of_every_upsampling_depend_on_what_its_grid_says(kind: str, factor: int) -> None:
    size = 9
    module = upsampler(kind, 1, factor).double()
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1.0)
    grid = grid_after(kind, factor, Grid())
    assert grid.step == Fraction(1, factor)
    # The grid counts from the cell that stays in front, wherever the module's own cropping put it.
    x = torch.rand(1, 1, size, 1, dtype=torch.float64, requires_grad=True)
    y = module(x)[0, 0, :, 0]
    assert y.shape == (size * factor,)
    for output in range(2 * factor, (size - 2) * factor):
        (gradient,) = torch.autograd.grad(y[output], x, retain_graph=True)
        used = gradient[0, 0, :, 0].nonzero()[:, 0].tolist()
        assert grid.first + grid.step * output <= min(used)
        assert max(used) <= grid.last + grid.step * output


@pytest.mark.parametrize("kind", UPSAMPLINGS)
@pytest.mark.parametrize("factor", [2, 8, 32])
@torch.no_grad()
def test_one_cell_spreads_around_its_place(kind: str, factor: int) -> None:
    size, cell = 9, 4
    grid = grid_after(kind, factor, Grid())
    single = torch.zeros(1, 1, size, size, dtype=torch.float64)
    single[0, 0, cell, cell] = 1
    y = upsampler(kind, 1, factor).double()(single)[0, 0]
    places = torch.arange(size * factor, dtype=torch.float64)
    expected = float((cell - grid.start) / grid.step)
    for axis in (0, 1):
        line = y.sum(axis)
        assert float((line * places).sum() / line.sum()) == pytest.approx(expected, abs=1e-9)
    assert float(y.sum()) == pytest.approx(factor**2)


@pytest.mark.parametrize("kind", ["learned", "fixed", "stack", "bilinear"])
@pytest.mark.parametrize("factor", [2, 8, 32])
@torch.no_grad()
def test_a_ramp_comes_out_where_its_grid_says(kind: str, factor: int) -> None:
    """Linear upsampling of the cells' own places gives the outputs' places, exactly on dyadic numbers."""
    size = 8
    grid = grid_after(kind, factor, Grid())
    ramp = torch.arange(size, dtype=torch.float64).expand(1, 1, size, size)
    y = upsampler(kind, 1, factor).double()(ramp)[0, 0]
    inner = range(2 * factor, (size - 2) * factor)
    expected = torch.tensor([float(grid.start + grid.step * o) for o in inner], dtype=torch.float64)
    assert torch.equal(y[inner.start : inner.stop, inner.start : inner.stop], expected.expand(len(inner), -1))


def test_a_stack_doubles() -> None:
    with pytest.raises(TconvError, match="cannot upsample 6 times; powers of 2 would fit"):
        upsampler("stack", 2, 6)
