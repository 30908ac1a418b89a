"""Answers by blocks against those of the whole array."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tconv
import tconv.dask
from tconv import TconvError
from tconv.dask.cuts import cuts
from tconv.geometry import Axis, Geometry

MAPS = ("conv_transpose", "conv")


def _cut(draw: Any, size: int) -> tuple[int, ...]:
    """Sizes of chunks, some of them 1."""
    sizes = []
    while size:
        sizes.append(draw(st.integers(1, min(size, 7))))
        size -= sizes[-1]
    return tuple(sizes) or (0,)


@st.composite
def problems(draw: Any) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, dict[str, Any], Any, Any]:
    """A map, its arrays of integers and options, the whole's answer, and chunks for its source."""
    axes = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    groups, own, other = (draw(st.integers(1, 3)) for _ in range(3))
    map, last, batched = draw(st.sampled_from(MAPS)), draw(st.booleans()), draw(st.booleans())
    options = {
        "stride": each(1, 4),
        "dilation": each(1, 3),
        "padding": tuple((draw(st.integers(-4, 4)), draw(st.integers(-4, 4))) for _ in range(axes)),
        "groups": groups,
        "layout": "channels_last" if last else "channels_first",
    }
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weight = rng.integers(-9, 9, (groups * own, other, *each(1, 5)), np.int32)
    size, channels = each(1, (40, 14, 7)[axes - 1]), groups * (own if map == "conv_transpose" else other)
    shape = (*size, channels) if last else (channels, *size)
    shape = (draw(st.integers(0, 3)), *shape) if batched else shape
    source = rng.integers(-9, 9, shape, np.int32)
    bias = rng.integers(-9, 9, groups * (other if map == "conv_transpose" else own), np.int32)
    try:
        whole = getattr(tconv, map)(source, weight, bias, **options)
    except TconvError as fault:
        whole = str(fault)
    return map, source, weight, bias, options, tuple(_cut(draw, size) for size in shape), whole


@settings(max_examples=150, deadline=None)
@given(problems())
def test_integers_equal_the_whole_and_errors_are_the_same(problem: Any) -> None:
    map, source, weight, bias, options, chunks, whole = problem
    call = getattr(tconv.dask, map)
    if isinstance(whole, str):
        with pytest.raises(TconvError) as caught:
            call(da.from_array(source, chunks=chunks), weight, bias, **options)
        assert str(caught.value) == whole
        return
    answer = call(da.from_array(source, chunks=chunks), weight, bias, **options)
    assert answer.shape == whole.shape
    assert answer.dtype == whole.dtype
    # Each block on its own: a wrong one could not be hidden by how they are put together.
    offsets = [np.cumsum((0, *sizes)) for sizes in answer.chunks]
    for index in np.ndindex(*answer.numblocks):
        block = answer.blocks[index].compute(scheduler="sync")
        part = tuple(slice(o[i], o[i + 1]) for o, i in zip(offsets, index, strict=True))
        np.testing.assert_array_equal(block, whole[part], strict=True)


@given(
    axis=st.builds(
        Axis,
        *(st.integers(1, 30), st.integers(1, 7), st.integers(1, 5)),
        *(st.integers(-9, 9), st.integers(-9, 9), st.just(0), st.integers(1, 4)),
    ),
    parts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    map=st.sampled_from(MAPS),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_a_cut_reads_what_reaches_it_and_no_more(axis: Axis, parts: list[int], map: Any) -> None:
    if axis.output < 1:
        return
    forward = map == "conv_transpose"
    source, result = (axis.input, axis.output) if forward else (axis.output, axis.input)
    ends = np.unique(np.clip(np.cumsum([0, *parts]), 0, source))
    found = cuts(axis, map, tuple(int(size) for size in np.diff([*ends[:-1], source])))
    assert [o for cut in found for o in cut.result] == list(range(result))
    for cut in found:
        pairs = {(i, o) for i in range(axis.input) for o, _ in axis.outputs_of_input(i)}
        needed = {i if forward else o for i, o in pairs if (o if forward else i) in cut.result}
        assert needed <= set(cut.source)
        if needed and axis.dilation == 1 and axis.kernel >= axis.stride:  # else some in between reach nothing
            assert needed == set(cut.source)


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
def test_floats_of_plain_loops_equal_the_whole(map: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(dtype) for shape in ((2, 24, 20, 13), (24, 24, 4, 3)))
    options = {"stride": (2, 3), "padding": ((1, 2), (-1, 0))}
    call = getattr(tconv.dask, map)
    whole = getattr(tconv, map)(x, weight, **options, algorithm="reference")
    parts = call(da.from_array(x, chunks=(1, 5, 3, 4)), weight, **options, algorithm="reference")
    np.testing.assert_array_equal(parts.compute(), whole, strict=True)
    # Chosen by estimate, the sums may have another order.
    other = call(da.from_array(x, chunks=(1, 5, 3, 4)), weight, **options).compute()
    np.testing.assert_allclose(other, whole, rtol=0, atol=2e-2 if dtype == "float16" else 2e-4)


def test_an_activation_follows_the_complete_sums() -> None:
    x, weight = np.arange(-6, 6, dtype="float32").reshape(1, 1, 12), np.ones((1, 1, 4), "float32")
    answer = tconv.dask.conv_transpose(da.from_array(x, chunks=2), weight, stride=2, activation="relu")
    np.testing.assert_array_equal(answer, tconv.conv_transpose(x, weight, stride=2, activation="relu"))


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_any_scheduler(scheduler: str) -> None:
    x, weight = np.arange(64, dtype="int64").reshape(1, 1, 8, 8), np.arange(16).reshape(1, 1, 4, 4)
    answer = tconv.dask.conv_transpose(da.from_array(x, chunks=3), weight, stride=2, padding=1)
    found = answer.compute(scheduler=scheduler)
    np.testing.assert_array_equal(found, tconv.conv_transpose(x, weight, stride=2, padding=1))


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    read = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(block_info[None]["chunk-location"])
        return np.ones(block_info[None]["chunk-shape"], "int8")

    x = da.map_blocks(block, chunks=((1,), (1,), (4,) * 10), dtype="int8", meta=np.empty((0, 0, 0), "int8"))
    answer = tconv.dask.conv_transpose(x, np.ones((1, 1, 4), "int8"), stride=2, padding=1)
    assert read == []
    assert answer.chunks[2] == (8,) * 10
    answer[..., 32:40].compute(scheduler="sync")
    assert sorted(at[2] for at in read) == [3, 4, 5]  # its own chunk and those beside it


def test_chunks_of_equal_size_stay_equal() -> None:
    x = da.zeros((1, 2, 64, 64), chunks=(1, 2, 16, 16), dtype="float32")
    weight = np.zeros((2, 2, 3, 3), "float32")
    up = tconv.dask.conv_transpose(x, weight, stride=2, padding=1, output_padding=1)
    assert up.chunks[2] == (32,) * 4
    assert tconv.dask.conv(up, weight, stride=2, padding=1).chunks == x.chunks
    assert tconv.dask.conv(x, weight, padding=1).chunks == x.chunks


def test_the_same_call_has_the_same_name_and_another_has_not() -> None:
    x, weight = da.zeros((1, 1, 8), chunks=2, dtype="float32"), np.ones((1, 1, 4), "float32")
    call = tconv.dask.conv_transpose
    assert call(x, weight).name == call(x, weight).name
    names = {call(x, weight).name, call(x, 2 * weight).name, call(x, weight, stride=2).name}
    assert len({*names, call(x, weight, np.ones(1, "float32")).name, tconv.dask.conv(x, weight).name}) == 5


def test_volumes_beyond_any_memory_are_only_integers() -> None:
    x = da.zeros((1, 1, 100_000, 100_000, 100_000), chunks=(1, 1, 25_000, 25_000, 25_000), dtype="float32")
    answer = tconv.dask.conv_transpose(x, np.ones((1, 1, 4, 4, 4), "float32"), stride=2, padding=1)
    assert answer.shape == Geometry.parse("n1 c1>1 i100000x100000x100000 k4 s2 p1").output_shape
    assert dask.is_dask_collection(answer)


@pytest.mark.parametrize(
    ("x", "options", "says"),
    [
        (np.zeros((1, 1, 4), "f4"), {}, "x is a ndarray; a dask array, as dask.array.from_array makes one"),
        (da.zeros((1, 1, 4), dtype="f8"), {}, "x is f64 and weight is f32; one dtype for both would fit"),
        (da.zeros((1, 1, 4), dtype="M8[s]"), {}, "x has dtype datetime64"),
        (da.zeros((1, 1, 4), dtype=">f4"), {}, "x has dtype >f4"),
        (da.zeros((1, 2, 4), dtype="f4"), {}, "input has 2 channels"),
        (da.zeros((4,), dtype="f4"), {}, "input has shape (4,)"),
        (da.zeros((1, 1, 4), dtype="f4"), {"stride": 0}, "stride 0 on axis 0"),
        (da.zeros((1, 1, 4), dtype="f4"), {"padding": 99}, "the output size on axis 0"),
        (da.zeros((1, 1, 4), dtype="f4"), {"bias": np.zeros(2, "f4")}, "bias has shape (2,)"),
        (da.zeros((1, 1, 4), dtype="f4"), {"algorithm": "fft"}, "algorithm='fft' is unknown"),
        (da.zeros((1, 1, 4), dtype="f4"), {"algorithm": []}, "algorithm=[] is unknown"),
        (da.zeros((1, 1, 4), dtype="f4"), {"activation": "relux"}, "relux"),
        (da.zeros((1, 1, 4), dtype="f4"), {"layout": "NHWC"}, "layout='NHWC' is unknown"),
        (da.ma.masked_equal(da.zeros((1, 1, 4), dtype="f4"), 1), {}, "x has blocks of MaskedArray"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_at_once(x: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(TconvError) as caught:
        tconv.dask.conv_transpose(x, np.ones((1, 1, 2), "f4"), **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_chunks_of_unknown_sizes_and_dask_weights_are_refused() -> None:
    x = da.zeros((1, 1, 8), chunks=2, dtype="f4")
    with pytest.raises(TconvError, match="unknown sizes; those that x"):
        tconv.dask.conv_transpose(x[:, :, x[0, 0] == 0], np.ones((1, 1, 2), "f4"))
    with pytest.raises(TconvError, match="weight is a Array; a NumPy array"):
        tconv.dask.conv_transpose(x, da.ones((1, 1, 2), dtype="f4"))
