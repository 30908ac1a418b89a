"""Transposed convolutions as convolution and shuffle, exact against the definition, and back."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest

from tconv import TconvError, algebra, views
from tconv.geometry import Geometry


def whole(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-5, 6, shape)


def transposed(x, weight, stride, padding=0, dilation=1, groups=1):
    """The definition; `padding` holds pairs, and negative ones add cells of zero."""
    geometry = Geometry.make(
        batch=x.shape[0], in_channels=x.shape[1], out_channels=weight.shape[1] * groups, input=x.shape[2:],
        kernel=weight.shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip
    return views.scatter(x, weight, geometry)


def conv(x, weight, padding, dilation=1, groups=1):
    """A convolution of stride 1 by its definition, axis after axis of the kernel."""
    x = np.pad(x, [(0, 0), (0, 0), *padding])
    axes = x.ndim - 2
    dilations = (dilation,) * axes if isinstance(dilation, int) else dilation
    sizes = [n - d * (k - 1) for n, k, d in zip(x.shape[2:], weight.shape[2:], dilations, strict=True)]
    y = np.zeros((x.shape[0], weight.shape[0], *sizes), np.result_type(x, weight))
    blocks = zip(np.split(x, groups, 1), np.split(weight, groups), np.split(y, groups, 1), strict=True)
    for of_x, of_w, of_y in blocks:
        for tap in product(*map(range, weight.shape[2:])):
            at = tuple(slice(t * d, t * d + n) for t, d, n in zip(tap, dilations, sizes, strict=True))
            of_y += np.einsum("nc...,oc->no...", of_x[(..., *at)], of_w[(..., *tap)])
    return y


def shuffle(x, stride):
    """(n, c * blocks, *q) -> (n, c, *(q * stride)), each phase written by itself."""
    n, channels, *sizes = x.shape
    sizes = [q * s for q, s in zip(sizes, stride, strict=True)]
    made = np.zeros((n, channels // prod(stride), *sizes), x.dtype)
    for phase, residues in enumerate(product(*map(range, stride))):
        at = tuple(slice(r, None, s) for r, s in zip(residues, stride, strict=True))
        made[(..., *at)] = x[:, phase :: prod(stride)]
    return made


def cut(y, crop):
    return y[(..., *(slice(lo, size - hi) for size, (lo, hi) in zip(y.shape[2:], crop, strict=True)))]


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(k, s, d) for k, s, d in product(range(1, 6), range(1, 5), range(1, 4)) if d == 1 or k > 1],
)
def test_one_axis_for_every_padding(kernel: int, stride: int, dilation: int, cropped: bool) -> None:
    weight, x = whole(1, 2, 3, kernel), whole(2, 2, 2, 4)
    full = 3 * stride + dilation * (kernel - 1) + 1
    for lo, hi in product(range(-2, 5), repeat=2):
        if full - lo - hi < 1:
            continue
        made = algebra.to_subpixel(weight, stride, ((lo, hi),), dilation, cropped=cropped)
        assert min(made.padding[0]) >= 0
        assert min(made.crop[0]) >= 0
        if cropped and dilation == 1:
            assert made.weight.shape[2] == -(-kernel // stride)  # what the fullest phase has
        shuffled = shuffle(conv(x, made.weight, made.padding, made.dilation), made.stride)
        expected = transposed(x, weight, stride, ((lo, hi),), dilation)
        np.testing.assert_array_equal(cut(shuffled, made.crop), expected)


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((4, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),
        ((2, 5), (3, 1), ((0, 0), (2, 2)), (1, 2)),
        ((3, 3), (2, 4), ((0, 1), (0, -1)), (2, 1)),
        ((3, 2, 4), (2, 1, 2), ((0, 1), (0, 0), (1, 1)), (1, 1, 1)),
    ],
)
def test_several_axes_and_groups(kernel, stride, padding, dilation, groups, cropped) -> None:
    weight, x = whole(3, 4, 3, *kernel), whole(4, 2, 4, *(3, 4, 2)[: len(kernel)])
    made = algebra.to_subpixel(weight, stride, padding, dilation, groups, cropped=cropped)
    shuffled = shuffle(conv(x, made.weight, made.padding, made.dilation, groups), stride)
    expected = transposed(x, weight, stride, padding, dilation, groups)
    np.testing.assert_array_equal(cut(shuffled, made.crop), expected)


def test_the_kernels_that_people_use() -> None:
    """(kernel, padding, crop) for k4 s2 p1, with and without cropping, k2 s2, k3 s2 p1 o1 and k16 s8 p4."""

    def line(k: int, s: int, lo: int, hi: int, cropped: bool) -> tuple[object, ...]:
        made = algebra.to_subpixel(np.ones((1, 1, k)), s, ((lo, hi),), cropped=cropped)
        return made.weight.shape[2], *made.padding, *made.crop

    assert line(4, 2, 1, 1, False) == (3, (1, 1), (0, 0))
    assert line(4, 2, 1, 1, True) == (2, (1, 1), (1, 1))
    assert line(2, 2, 0, 0, False) == line(2, 2, 0, 0, True) == (1, (0, 0), (0, 0))
    assert line(3, 2, 1, 0, False) == line(3, 2, 1, 0, True) == (2, (0, 1), (0, 0))
    assert line(16, 8, 4, 4, False) == (3, (1, 1), (0, 0))
    assert line(16, 8, 4, 4, True) == (2, (1, 1), (4, 4))


def test_a_dilated_kernel_in_one_phase_stays_dilated() -> None:
    made = algebra.to_subpixel(np.ones((1, 1, 3)), 1, dilation=4)
    assert made.weight.shape == (1, 1, 3)
    assert made.dilation == (4,)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((3,), (2,), ((1, 1),), (1,)),
        ((3,), (3,), ((0, 2),), (2,)),
        ((1,), (4,), ((0, 0),), (1,)),
        ((3, 2), (2, 2), ((1, 1), (1, 0)), (1, 1)),
        ((2, 3), (1, 3), ((0, 2), (2, 1)), (2, 1)),
        ((2, 3, 1), (2, 1, 2), ((1, 0), (1, 1), (0, 0)), (1, 1, 1)),
    ],
)
def test_convolution_and_shuffle_as_one_layer(kernel, stride, padding, dilation, groups) -> None:
    weight, x = whole(5, 2 * 2 * prod(stride), 3, *kernel), whole(6, 2, 3 * groups, *(4, 3, 2)[: len(kernel)])
    made = algebra.from_subpixel(weight, stride, padding, dilation, groups)
    expected = shuffle(conv(x, weight, padding, dilation, groups), stride)
    np.testing.assert_array_equal(transposed(x, made.weight, made.stride, made.padding, 1, groups), expected)


@pytest.mark.parametrize("cropped", [False, True])
def test_back_and_forth(cropped: bool) -> None:
    for k, s, p in [(4, 2, 1), (2, 2, 0), (3, 1, 1), (6, 3, 0), (16, 8, 4)]:
        weight = 1 + np.abs(whole(7, 4, 3, k, k))
        there = algebra.to_subpixel(weight, s, p, groups=2, cropped=cropped)
        back = algebra.from_subpixel(there.weight, s, there.padding, there.dilation, 2)
        np.testing.assert_array_equal(back.weight, weight)
        if not any(map(any, there.crop)):
            assert back.padding == ((p, p),) * 2


def test_channel_orders_are_each_others_transpose() -> None:
    weight = whole(8, 3 * 4, 2, 1)
    last = algebra.channels_last(weight, (2, 2))
    np.testing.assert_array_equal(last.reshape(4, 3, 2), weight.reshape(3, 4, 2).transpose(1, 0, 2))
    np.testing.assert_array_equal(algebra.channels_first(last, (2, 2)), weight)


def test_no_weights_at_all_still_have_a_tap() -> None:
    made = algebra.from_subpixel(np.zeros((4, 1, 3)), 2, 1)
    assert made.weight.shape[2] >= 1
    np.testing.assert_array_equal(
        transposed(np.ones((1, 1, 3), int), made.weight.astype(int), 2, made.padding), np.zeros((1, 2, 6))
    )


def test_zeros_at_the_ends_are_taken_off_as_far_as_padding_goes() -> None:
    weight = np.zeros((2, 1, 3), int)
    weight[:, 0, 1] = 5, 7
    for padding, kernel, left in [(0, 2, (2, 2)), (1, 2, (0, 0)), (2, 6, (0, 0))]:
        made = algebra.from_subpixel(weight, 2, padding)
        assert made.weight.shape[2] == kernel
        assert made.padding == (left,)


def test_what_would_fill_the_memory_is_refused() -> None:
    one = np.ones((1, 1, 3))
    for make in (
        lambda: algebra.to_subpixel(one, 2**30),
        lambda: algebra.from_subpixel(np.ones((2, 1, 3)), 2, dilation=2**30),
        lambda: algebra.merge_nearest(one, 2**30),
        lambda: algebra.to_frames(one, 2**30),
        lambda: algebra.linear_resize(2**30, 3),
    ):
        with pytest.raises(TconvError, match=r" weights for \d now; up to 67,108,864 would fit$"):
            make()


def test_what_cannot_be_one_layer_is_refused() -> None:
    with pytest.raises(TconvError, match=r"^4 channels in 2 groups for blocks of 4; a multiple of 8"):
        algebra.from_subpixel(np.ones((4, 1, 1, 1)), 2, groups=2)
    with pytest.raises(TconvError, match=r"^padding \(2, 0\) on axis 0 reaches beyond the kernel of 2"):
        algebra.from_subpixel(np.ones((2, 1, 2)), 2, ((2, 0),))
