"""Arrays of every kind: dtypes, memory orders, packages that speak DLPack, `layout` and `out`."""

from __future__ import annotations

import numpy as np
import pytest

import tconv
from tconv import TconvError, views
from tconv.geometry import Geometry
from tconv.ops import execute as executing
from tconv.ops import layer, maps
from tconv.ops.execute import execute
from tconv.planning import Plan
from tconv.testing import assert_same, integer_arrays
from tests.ops.helpers import layer_options, shared_options

G = Geometry.parse("n2 c6>4 i4x5 k3x4 s2x3 p1:0x-1:2 o1x0 d1x2 g2")
OPTIONS = layer_options(G)
KINDS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def three(x: object, weight: object, y: object) -> tuple[object, object, object]:
    """All three maps on G."""
    shared = shared_options(G)
    return (
        tconv.conv_transpose(x, weight, **OPTIONS),
        tconv.conv(y, weight, input_size=G.input, **shared),
        tconv.conv_weight_gradient(x, y, kernel=G.kernel, **shared),
    )


@pytest.mark.parametrize("dtype", KINDS)
def test_every_dtype_in_its_own_width(dtype: str) -> None:
    # int8 and uint8 overflow here and wrap, in the maps as in NumPy.
    x, weight, bias, y = integer_arrays(G, dtype, seed=21)
    expected = views.scatter(x, weight, G), views.gather(y, weight, G), views.correlate(x, y, G)
    for actual, wanted in zip(three(x, weight, y), expected, strict=True):
        assert_same(actual, wanted)
    with_bias = tconv.conv_transpose(x, weight, bias, **OPTIONS)
    assert_same(with_bias, expected[0] + bias[:, None, None])


@pytest.mark.parametrize(("dtype", "wrapped"), [("i1", 300 - 256), ("u1", 44), ("i2", 300), ("u2", 300)])
def test_integers_wrap(dtype: str, wrapped: int) -> None:
    made = tconv.conv_transpose(np.full((1, 1, 1), 100, dtype), np.full((1, 1, 1), 3, dtype))
    assert made.dtype == dtype
    assert made.item() == wrapped


@pytest.mark.parametrize("dtype", ["i4", "i8", "u8"])
def test_the_largest_integers_wrap(dtype: str) -> None:
    most = np.iinfo(dtype).max
    made = tconv.conv_transpose(np.full((1, 2, 1), most, dtype), np.full((2, 1, 1), most, dtype))
    with np.errstate(over="ignore"):
        expected = np.full((1, 1, 1), most, dtype) * np.array(most, dtype) * np.array(2, dtype)
    assert_same(made, expected)


def test_float16_is_summed_in_float32_and_rounded_once() -> None:
    rng = np.random.default_rng(22)
    g = Geometry.parse("n1 c300>2 i6 k3 s2")
    x, weight = (rng.standard_normal(shape).astype("f2") for shape in (g.input_shape, g.weight_shape))
    made = tconv.conv_transpose(x, weight, stride=2)
    wide = views.scatter(x.astype("f8"), weight.astype("f8"), g)
    assert made.dtype == np.float16
    # The float32 sum is off by far less than half a step of float16.
    assert np.all(np.abs(made - wide) <= np.spacing(np.abs(wide).astype("f2")) * 0.51)
    assert tconv.conv_transpose(np.full((1, 1, 1), 300, "f2"), np.full((1, 1, 1), 300, "f2")) == np.inf


def test_bfloat16_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    x, weight, bias, y = (array.astype(ml_dtypes.bfloat16) for array in integer_arrays(G, "f4", seed=23))
    for actual, exact in zip(
        three(x, weight, y),
        three(x.astype("f4"), weight.astype("f4"), y.astype("f4")),
        strict=True,
    ):
        assert actual.dtype == ml_dtypes.bfloat16
        assert_same(actual, exact.astype(ml_dtypes.bfloat16))
    made = tconv.conv_transpose(x, weight, bias, **OPTIONS)
    exact = tconv.conv_transpose(*(array.astype("f4") for array in (x, weight, bias)), **OPTIONS)
    assert_same(made, exact.astype(ml_dtypes.bfloat16))
    out = np.empty_like(made)
    assert tconv.conv_transpose(x, weight, bias, out=out, **OPTIONS) is out
    assert_same(out, made)


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16", "float16", "int64", "uint8", "complex64"])
def test_torch_in_torch_out(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    dtype = getattr(torch, name)
    numbers = integer_arrays(G, "u1" if name == "uint8" else "f8", seed=24)
    x, weight, _, y = (torch.from_numpy(array).to(dtype) for array in numbers)
    for actual, exact in zip(three(x, weight, y), three(numbers.x, numbers.weight, numbers.y), strict=True):
        assert type(actual) is torch.Tensor
        assert actual.dtype is dtype
        assert torch.equal(actual, torch.from_numpy(exact).to(dtype))
    turned = x.movedim(1, -1).contiguous().movedim(-1, 1)  # not contiguous
    assert not turned.is_contiguous()
    assert torch.equal(tconv.conv_transpose(turned, weight, **OPTIONS), three(x, weight, y)[0])


def test_other_kinds_beside_numpy() -> None:
    """The answer is of the first argument's kind."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, weight, *_ = integer_arrays(G, "f4", seed=25)
    expected = views.scatter(x, weight, G)
    assert_same(tconv.conv_transpose(x, torch.from_numpy(weight), **OPTIONS), expected)
    made = tconv.conv_transpose(torch.from_numpy(x), weight, **OPTIONS)
    assert type(made) is torch.Tensor
    assert_same(made.numpy(), expected)


def reordered(array: np.ndarray, how: str) -> np.ndarray:
    """The same numbers in another memory order."""
    if how == "fortran":
        return np.asfortranarray(array)
    if how == "backwards":
        return array[:, :, ::-1].copy()[:, :, ::-1]
    if how == "every second":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if how == "offset":
        long = np.zeros(array.size + 3, array.dtype)
        long[3:] = array.ravel()
        return long[3:].reshape(array.shape)
    raise ValueError(how)


@pytest.mark.parametrize("how", ["fortran", "backwards", "every second", "offset"])
@pytest.mark.parametrize("dtype", ["f4", "c16", "i2"])
def test_any_memory_order(how: str, dtype: str) -> None:
    x, weight, _, y = integer_arrays(G, dtype, seed=26)
    made = three(*(reordered(array, how) for array in (x, weight, y)))
    for actual, expected in zip(made, three(x, weight, y), strict=True):
        assert_same(actual, expected)


def test_constants_broadcast_and_read_only_inputs() -> None:
    x = np.broadcast_to(np.float32(2), (1, 3, 4, 4))
    weight = np.broadcast_to(np.float32(1), (3, 2, 2, 2))
    bias = np.ones(4, "f4")[::2]
    made = tconv.conv_transpose(x, weight, bias, stride=2)
    assert_same(made, np.full((1, 2, 8, 8), 7, "f4"))


def test_inputs_stay_as_they_are() -> None:
    arrays = integer_arrays(G, "f4", seed=27)
    before = [array.copy() for array in arrays]
    three(arrays.x, arrays.weight, arrays.y)
    tconv.conv_transpose(arrays.x, arrays.weight, arrays.bias, activation="relu", **OPTIONS)
    for array, copy in zip(arrays, before, strict=True):
        assert_same(array, copy)


@pytest.mark.parametrize("problem", ["n2 c3>4 i5 k3 s2", str(G), "n1 c2>3 i2x3x4 k2 s2"])
def test_channels_last(problem: str) -> None:
    g = Geometry.parse(problem)
    x, weight, bias, y = integer_arrays(g, "f4", seed=28)
    last = np.moveaxis(x, 1, -1)
    made = tconv.conv_transpose(last, weight, bias, layout="channels_last", **layer_options(g))
    expected = np.moveaxis(tconv.conv_transpose(x, weight, bias, **layer_options(g)), 1, -1)
    assert_same(made, expected)
    alone = tconv.conv_transpose(last[0], weight, bias, layout="channels_last", **layer_options(g))
    assert_same(alone, expected[0])
    back = tconv.conv(
        np.moveaxis(y, 1, -1), weight, input_size=g.input, layout="channels_last", **shared_options(g)
    )
    assert_same(back, np.moveaxis(tconv.conv(y, weight, input_size=g.input, **shared_options(g)), 1, -1))
    out = np.empty_like(expected)
    tconv.conv_transpose(last, weight, bias, layout="channels_last", out=out, **layer_options(g))
    assert_same(out, expected)


def test_channels_last_weight_gradient() -> None:
    x, _, _, y = integer_arrays(G, "f4", seed=34)
    words = {"kernel": G.kernel, **shared_options(G)}
    made = tconv.conv_weight_gradient(
        np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1), layout="channels_last", **words
    )
    assert_same(made, tconv.conv_weight_gradient(x, y, **words))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "c8"])
def test_channels_last_is_read_and_written_where_it_lies(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias, y = integer_arrays(G, dtype, seed=35)
    last, back = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, y))
    seen: list[tuple[object, ...]] = []

    def watched(chosen: Plan, *arrays: object) -> None:
        assert chosen.layout == "channels_last"
        seen.append(arrays)
        execute(chosen, *arrays)

    for module in (executing, maps, layer):
        monkeypatch.setattr(module, "execute", watched)
    made = tconv.conv_transpose(last, weight, bias, layout="channels_last", **OPTIONS)
    expected = seen[-1]
    assert expected[0] is last
    assert expected[3] is made
    out = np.full_like(made, 9)
    tconv.conv_transpose(last, weight, bias, layout="channels_last", out=out, **OPTIONS)
    assert seen[-1][0] is last
    assert np.shares_memory(seen[-1][3], out)
    assert_same(out, made)
    prepared = tconv.prepare(weight, bias, layout="channels_last", **OPTIONS)
    assert_same(prepared(last), made)
    assert seen[-1][0] is last
    assert prepared(last, out=out) is out
    assert np.shares_memory(seen[-1][3], out)
    tconv.conv_weight_gradient(last, back, kernel=G.kernel, layout="channels_last", **shared_options(G))
    assert seen[-1][0] is last
    assert seen[-1][1] is back


def test_out_is_written_in_place() -> None:
    x, weight, bias, _ = integer_arrays(G, "f4", seed=29)
    expected = tconv.conv_transpose(x, weight, bias, **OPTIONS)
    for out in (
        np.full(G.output_shape, np.nan, "f4"),
        reordered(np.full(G.output_shape, np.nan, "f4"), "fortran"),
        reordered(np.full(G.output_shape, np.nan, "f4"), "every second"),
        reordered(np.full(G.output_shape, np.nan, "f4"), "backwards"),
    ):
        assert tconv.conv_transpose(x, weight, bias, out=out, **OPTIONS) is out
        assert_same(out, expected)


def test_out_between_other_numbers_touches_only_its_own() -> None:
    x, weight, bias, _ = integer_arrays(G, "f4", seed=30)
    wide = np.full((G.batch, G.out_channels + 2, *G.output), 77, "f4")
    out = wide[:, 1:-1]
    tconv.conv_transpose(x, weight, bias, out=out, **OPTIONS)
    assert_same(out, tconv.conv_transpose(x, weight, bias, **OPTIONS))
    assert np.all(wide[:, [0, -1]] == 77)


def test_out_of_the_wrong_kind() -> None:
    x, weight, bias, _ = integer_arrays(G, "f4", seed=31)
    shape = G.output_shape

    def refused(out: object, *pieces: str) -> None:
        with pytest.raises(TconvError) as caught:
            tconv.conv_transpose(x, weight, bias, out=out, **OPTIONS)
        for piece in pieces:
            assert piece in str(caught.value)
        assert "\n" not in str(caught.value)

    refused(np.empty((*shape[:-1], 1), "f4"), f"{(*shape[:-1], 1)}", f"{shape} and dtype float32 would fit")
    refused(np.empty(shape, "f8"), "dtype float64", "float32 would fit")
    refused(np.empty(shape[1:], "f4"), str(shape[1:]), str(shape))
    refused([0.0], "out is a list")
    frozen = np.empty(shape, "f4")
    frozen.flags.writeable = False
    refused(frozen, "read-only")
    memory = np.zeros(x.size + int(np.prod(shape)), "f4")
    overlapping = memory[: np.prod(shape)].reshape(shape)
    x = memory[np.prod(shape) - 1 : np.prod(shape) - 1 + x.size].reshape(x.shape)  # one number in common
    refused(overlapping, "overlaps an input")
    x = integer_arrays(G, "f4", seed=31).x
    weight = memory[: weight.size].reshape(weight.shape)
    refused(overlapping, "overlaps an input")
    assert not memory.any()  # nothing was written
