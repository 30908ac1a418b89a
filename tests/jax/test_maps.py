"""tconv.jax computes what the views define and what XLA's own convolutions give, with every option."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
import jax.numpy as jnp  # noqa: E402

import tconv  # noqa: E402
import tconv.jax as ours  # noqa: E402
from tconv.conventions import weight_from, weight_to  # noqa: E402
from tconv.errors import TconvError  # noqa: E402
from tconv.geometry import Geometry  # noqa: E402
from tconv.testing import assert_same, integer_arrays, load_cases  # noqa: E402
from tconv.views import gather, scatter  # noqa: E402
from tests.jax.helpers import MIXED, arrays, lax_conv, lax_conv_transpose, random_geometries  # noqa: E402
from tests.ops.helpers import layer_options, shared_options  # noqa: E402

ONE = Geometry.parse("n2 c4>6 i5x4 k3x2 s2x3 p1:0x-1:2 o1x0 g2")


@pytest.fixture
def x64() -> Iterator[None]:
    """Numbers of 64 bits, which JAX makes only where asked."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize(("name", "geometry"), load_cases(), ids=lambda value: str(value))
def test_every_case(name: str, geometry: Geometry) -> None:
    x, weight, _, y = integer_arrays(geometry, np.float32, seed=1)

    @jax.jit
    def both(x: Any, weight: Any, y: Any) -> Any:
        transposed = ours.conv_transpose(x, weight, **layer_options(geometry))
        return transposed, ours.conv(y, weight, input_size=geometry.input, **shared_options(geometry))

    for actual, view, source in zip(both(x, weight, y), (scatter, gather), (x, y), strict=True):
        assert_same(actual, view(source, weight, geometry))


def test_against_xla() -> None:
    """Groups, output padding, dilation, pairs and negative padding, 1 to 3 axes, compiled as one program."""
    for seed, geometry in enumerate(random_geometries(16, seed=3)):
        x, weight, _, y = arrays(geometry, seed=seed)

        @jax.jit
        def both(x: Any, weight: Any, y: Any, g: Geometry = geometry) -> Any:
            made = (
                ours.conv_transpose(x, weight, **layer_options(g)),
                ours.conv(y, weight, input_size=g.input, **shared_options(g)),
            )
            return made, (lax_conv_transpose(x, weight, g), lax_conv(y, weight, g))

        for actual, expected in zip(*both(x, weight, y), strict=True):
            assert_same(actual, expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex64", "int8", "int32", "uint16"])
def test_dtypes(dtype: str) -> None:
    x, weight, _, y = arrays(ONE, jnp.dtype(dtype))
    made = jax.jit(lambda x, w: ours.conv_transpose(x, w, **layer_options(ONE)))(x, weight)
    assert made.dtype == dtype
    wide = np.complex64 if dtype == "complex64" else np.float32
    if dtype.startswith(("int", "uint")):  # which wrap
        assert_same(made, scatter(np.asarray(x), np.asarray(weight), ONE))
    else:
        expected = scatter(np.asarray(x, wide), np.asarray(weight, wide), ONE)
        assert_same(np.asarray(made, wide), expected)
    back = ours.conv(y, weight, input_size=ONE.input, **shared_options(ONE))
    assert_same(back, tconv.conv(np.asarray(y), np.asarray(weight), **shared_options(ONE)))


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
def test_wide_dtypes(dtype: str, x64: None) -> None:
    """Numbers that do not fit in float32 come out whole."""
    x, weight, _, _ = integer_arrays(ONE, dtype)
    x = x * (2**30 + 1)
    made = ours.conv_transpose(x, weight, **layer_options(ONE))
    assert made.dtype == dtype
    assert_same(made, scatter(x, weight, ONE))


def test_64_bits_are_32_unless_asked() -> None:
    """As everywhere in JAX."""
    x, weight, _, _ = integer_arrays(ONE, np.float64)
    assert ours.conv_transpose(x, weight, **layer_options(ONE)).dtype == np.float32


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "activation",
    [None, "relu", "tanh", "sigmoid", ("leaky_relu", 0.5), ("clamp", -3, 4.5), "gelu", ("softplus", 2, 20)],
    ids=str,
)
def test_bias_activation_and_layout_are_the_engine_s(activation: Any, layout: Any) -> None:
    for geometry in MIXED[:3]:
        x, weight, bias, y = integer_arrays(geometry, np.float32)
        before = bias[: geometry.in_channels] if len(bias) >= geometry.in_channels else None
        if layout == "channels_last":
            x, y = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, y))
        told = {"activation": activation, "layout": layout}
        for name, source, b, options in (
            ("conv_transpose", x, bias, layer_options(geometry)),
            ("conv", y, before, {"input_size": geometry.input, **shared_options(geometry)}),
        ):
            made = jax.jit(partial(getattr(ours, name), **options, **told))
            expected = getattr(tconv, name)(source, weight, b, **options, **told)
            # XLA's threads take subnormal numbers for zero.
            normal = np.abs(expected) >= np.finfo(np.float32).tiny
            assert_same(np.where(normal, made(source, weight, b), 0), np.where(normal, expected, 0))


def test_words_and_sizes() -> None:
    x, weight = jnp.arange(1.0, 5).reshape(1, 1, 2, 2), jnp.ones((1, 1, 3, 3))
    same = [[1, 1, 3, 2], [1, 1, 3, 2], [4, 4, 10, 6], [3, 3, 7, 4]]
    assert ours.conv_transpose(x, weight, stride=2, padding="same")[0, 0].tolist() == same
    assert ours.conv_transpose(x, weight, stride=2, padding=[[0, 1], [0, 1]])[0, 0].tolist() == same
    assert ours.conv_transpose(x, weight, stride=2, padding="valid").shape == (1, 1, 5, 5)
    assert ours.conv_transpose(x, weight, stride=2, padding=1, output_size=(4, 3)).shape == (1, 1, 4, 3)
    assert ours.conv_transpose(x, weight, padding=-1).shape == (1, 1, 6, 6)


def test_without_batch_and_with_an_empty_one() -> None:
    x, weight, bias, y = arrays(ONE)
    whole = ours.conv_transpose(x, weight, bias, **layer_options(ONE))
    assert_same(ours.conv_transpose(x[1], weight, bias, **layer_options(ONE)), whole[1])
    last = ours.conv_transpose(
        jnp.moveaxis(x[1], 0, -1), weight, bias, layout="channels_last", **layer_options(ONE)
    )
    assert_same(jnp.moveaxis(last, -1, 0), whole[1])
    back = ours.conv(y, weight, **shared_options(ONE))
    assert_same(ours.conv(y[0], weight, **shared_options(ONE)), back[0])
    assert ours.conv_transpose(x[:0], weight, bias, **layer_options(ONE)).shape == (0, *whole.shape[1:])
    gradient = jax.grad(lambda w: ours.conv_transpose(x[:0], w, **layer_options(ONE)).sum())(weight)
    assert_same(gradient, jnp.zeros_like(weight))


def test_kernels_of_lax() -> None:
    """A kernel as lax.conv_transpose takes it, moved by tconv.conventions, inside a compiled program."""
    geometry = Geometry.parse("n2 c3>5 i4x6 k3x4 s2 p1:0x1:1")
    x, weight, _, _ = arrays(geometry)
    kernel = jnp.asarray(weight_to("jax", weight, geometry))
    assert kernel.shape == (3, 4, 3, 5)  # (*kernel, in, out)
    sides = geometry.zero_insertion().around

    @jax.jit
    def theirs(x: Any, kernel: Any) -> Any:
        made = jax.lax.conv_transpose(jnp.moveaxis(x, 1, -1), kernel, geometry.stride, sides)
        return jnp.moveaxis(made, -1, 1)

    @jax.jit
    def mine(x: Any, kernel: Any) -> Any:
        return ours.conv_transpose(x, weight_from("jax", kernel, geometry), **layer_options(geometry))

    assert_same(mine(x, kernel), theirs(x, kernel))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((1, 1, 4), bool)}, "input has dtype bool; float32, "),
        (
            {"x": np.ones((1, 2, 4), np.float32)},
            "input has 2 channels (shape (1, 2, 4)), but weight of",
        ),
        ({"x": np.ones(4, np.float32)}, "3 axes, or 2 without a batch axis, would fit"),
        (
            {"weight": np.ones((1, 1, 2), np.float16)},
            "input is float32, weight is float16; one dtype",
        ),
        ({"weight": np.ones((1, 2), np.float32)}, "weight has shape (1, 2); (in, out/groups, *kernel)"),
        ({"bias": np.ones(3, np.float32)}, "bias has shape (3,); (1,), one number per output channel"),
        ({"stride": 2.0}, "stride=2.0 is a float; it must be an int"),
        ({"padding": "SAME"}, 'padding=\'SAME\' is unknown; "same" or "valid" would fit'),
        ({"output_size": 40}, "output size 40 on axis 0 cannot be reached from input size 4; 5 can"),
        ({"activation": "selu"}, "activation='selu' is unknown; None, \"relu\""),
        ({"layout": "NHWC"}, "layout='NHWC' is unknown; channels_first, channels_last would fit"),
        ({"groups": 2}, "n1 c1>2 i4 k2 g2: 1 input channels do not divide into 2 groups"),
    ],
    ids=str,
)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_what_does_not_fit_is_told(change: dict[str, Any], message: str, compiled: bool) -> None:
    words = {"x": np.ones((1, 1, 4), np.float32), "weight": np.ones((1, 1, 2), np.float32), **change}
    arrays = {name: words.pop(name) for name in ("x", "weight", "bias") if name in words}

    def call(**arrays: Any) -> Any:
        return ours.conv_transpose(**arrays, **words)

    with pytest.raises(TconvError) as told:
        (jax.jit(call) if compiled else call)(**arrays)
    assert message in str(told.value)


def test_numbers_of_an_activation_may_be_any() -> None:
    x, weight = jnp.array([[[-4.0, 8.0]]]), jnp.ones((1, 1, 1))
    for activation, expected in (
        (("leaky_relu", np.float32(0.25)), [-1.0, 8.0]),
        (["clamp", np.int64(0), float("inf")], [0.0, 8.0]),
    ):
        assert ours.conv_transpose(x, weight, activation=activation)[0, 0].tolist() == expected


def test_no_array_is_told() -> None:
    with pytest.raises(TconvError, match="weight is a str; an array would fit"):
        ours.conv(np.ones((1, 1, 3)), "text")


def test_an_activation_that_the_dtype_lacks() -> None:
    x = jnp.ones((1, 1, 3), np.complex64)
    with pytest.raises(TconvError, match="activation='relu' has no meaning for conv_transpose of c64"):
        jax.jit(lambda x: ours.conv_transpose(x, x, activation="relu"))(x)
