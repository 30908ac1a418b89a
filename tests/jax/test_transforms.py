"""Derivatives and batches of tconv.jax against JAX's own of XLA's convolutions, exactly on whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
import jax.numpy as jnp  # noqa: E402

import tconv.jax as ours  # noqa: E402
from tconv.geometry import Geometry  # noqa: E402
from tconv.testing import assert_same  # noqa: E402
from tests.jax.helpers import MIXED, arrays, lax_conv, lax_conv_transpose  # noqa: E402
from tests.ops.helpers import layer_options, shared_options  # noqa: E402


@pytest.fixture
def x64() -> Iterator[None]:
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def forward(g: Geometry, **told: Any) -> Callable[..., Any]:
    return lambda x, weight, *bias: ours.conv_transpose(x, weight, *bias, **layer_options(g), **told)


def backward(g: Geometry) -> Callable[..., Any]:
    return lambda y, weight: ours.conv(y, weight, input_size=g.input, **shared_options(g))


def same(actual: Any, expected: Any) -> None:
    left, right = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64], ids=["real", "complex"])
@pytest.mark.parametrize("geometry", MIXED, ids=str)
def test_gradients_and_second_ones(geometry: Geometry, dtype: Any) -> None:
    """By vjp, jvp, and a vjp of a vjp, which passes through all three maps."""
    x, weight, _, y = arrays(geometry, dtype)
    pairs = (
        (forward(geometry), lambda x, w: lax_conv_transpose(x, w, geometry), x, y),
        (backward(geometry), lambda y, w: lax_conv(y, w, geometry), y, x),
    )
    for mine, theirs, source, cotangent in pairs:

        def first(f: Any, source: Any, weight: Any, cotangent: Any) -> Any:
            return jax.vjp(f, source, weight)[1](cotangent)

        def all_of_it(f: Any, source: Any, weight: Any, cotangent: Any, first: Any = first) -> Any:
            tangents = source[..., ::-1], weight[::-1]
            second = jax.vjp(lambda *given: first(f, *given), source, weight, cotangent)[1](tangents)
            return first(f, source, weight, cotangent), jax.jvp(f, (source, weight), tangents), second

        compiled = jax.jit(all_of_it, static_argnums=0)
        three = source, weight, cotangent  # no constants: jaxlib 0.5.3 folds some of lax's wrongly
        same(compiled(mine, *three), compiled(theirs, *three))


def test_complex_gradients_are_in_jax_s_convention() -> None:
    """JAX's gradient of a real loss is the conjugate of PyTorch's; it multiplies by no conjugate."""
    x, weight = jnp.array([[[1.0 + 2j]]]), jnp.array([[[3.0 - 1j, 2j]]])
    made = jax.grad(lambda x: ours.conv_transpose(x, weight).real.sum())(x)
    assert made.item() == (3 - 1j) + 2j


#: Of the channels of the first geometry.
_SLOPES = tuple(0.25 * (c - 1) for c in range(MIXED[0].out_channels))


@pytest.mark.parametrize(
    ("activation", "layout"),
    [
        (None, "channels_last"),
        ("relu", "channels_first"),
        ("tanh", "channels_last"),
        ("sigmoid", "channels_first"),
        (("leaky_relu", 0.25), "channels_first"),
        (("clamp", -2, 3), "channels_first"),
        ("gelu", "channels_first"),
        ("gelu_tanh", "channels_last"),
        ("silu", "channels_first"),
        ("hardswish", "channels_last"),
        ("mish", "channels_first"),
        (("elu", 0.5), "channels_first"),
        (("softplus", 2.0, 30.0), "channels_last"),
        (("leaky_relu", -0.5), "channels_first"),
        (("prelu", *_SLOPES), "channels_first"),
        (("prelu", *_SLOPES), "channels_last"),
    ],
    ids=str,
)
def test_gradients_with_bias_and_activation(activation: Any, layout: Any, x64: None) -> None:
    steps = {
        None: lambda z: z,
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "sigmoid": jax.nn.sigmoid,
        "leaky_relu": lambda z: jnp.where(z > 0, z, z * activation[1]),
        "clamp": lambda z: jnp.clip(z, -2, 3),
        "gelu": lambda z: z * (1 + jax.scipy.special.erf(z / 2**0.5)) / 2,
        "gelu_tanh": lambda z: z * (1 + jnp.tanh((2 / jnp.pi) ** 0.5 * (z + 0.044715 * z**3))) / 2,
        "silu": lambda z: z / (1 + jnp.exp(-z)),
        "hardswish": lambda z: z * jnp.clip(z + 3, 0, 6) / 6,
        "mish": lambda z: z * jnp.tanh(jnp.log1p(jnp.exp(z))),
        "elu": lambda z: jnp.where(z > 0, z, 0.5 * jnp.expm1(jnp.minimum(z, 0))),
        "softplus": lambda z: jnp.log1p(jnp.exp(2 * z)) / 2,
        "prelu": lambda z: jnp.where(z > 0, z, z * jnp.array(_SLOPES)[:, None, None]),
    }
    step = steps[activation[0] if isinstance(activation, tuple) else activation]
    g = MIXED[0]
    rng = np.random.default_rng(0)  # no sum is at a kink
    x, weight, bias = (
        jnp.asarray(rng.standard_normal(s) / 3) for s in (g.input_shape, g.weight_shape, (g.out_channels,))
    )

    def mine(x: Any, w: Any, b: Any) -> Any:
        if layout == "channels_first":
            return forward(g, activation=activation)(x, w, b)
        made = forward(g, activation=activation, layout=layout)(jnp.moveaxis(x, 1, -1), w, b)
        return jnp.moveaxis(made, -1, 1)

    def theirs(x: Any, w: Any, b: Any) -> Any:
        return step(lax_conv_transpose(x, w, g) + b[:, None, None])

    def twice(f: Any) -> Any:
        def loss(*given: Any) -> Any:
            return (f(*given) ** 3).sum()

        def of_gradient(*given: Any) -> Any:
            return sum((each**2).sum() for each in jax.grad(loss, (0, 1, 2))(*given))

        both = jax.value_and_grad(loss, (0, 1, 2)), jax.grad(of_gradient, (0, 1, 2))
        return jax.tree.leaves(jax.jit(lambda *given: [each(*given) for each in both])(x, weight, bias))

    for a, b in zip(twice(mine), twice(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_slopes_of_channels_in_batches_of_weights() -> None:
    x, weight, bias, _ = arrays(MIXED[0])
    call = forward(MIXED[0], activation=("prelu", *_SLOPES))
    many = jnp.stack([weight, -weight, 2 * weight])
    made = jax.vmap(call, in_axes=(None, 0, None))(x, many, bias)
    for each, one in zip(many, made, strict=True):
        np.testing.assert_allclose(one, call(x, each, bias), rtol=1e-6)


def test_only_wanted_gradients_are_computed() -> None:
    x, weight, bias, _ = arrays(MIXED[0])

    def maps(wanted: int, activation: Any) -> list[str]:
        def loss(*given: Any) -> Any:
            return forward(MIXED[0], activation=activation)(*given).sum()

        jaxpr = jax.make_jaxpr(jax.jit(jax.grad(loss, wanted)))(x, weight, bias)
        return [
            e.params["job"].map
            for e in jaxpr.eqns[0].params["jaxpr"].eqns
            if e.primitive.name.startswith("tconv")
        ]

    assert maps(0, "relu") == ["conv_transpose", "conv"]
    assert maps(1, "relu") == ["conv_transpose", "weight_gradient"]
    assert maps(2, "relu") == ["conv_transpose"]


def test_hessians_and_loops() -> None:
    """Forward over reverse, a scan, rematerialisation, and the transpose of a linear function."""
    x, weight, _, y = arrays(Geometry.parse("n1 c2>1 i3 k2 s2"))
    made, expected = (
        jax.hessian(lambda x, f=f: (f(x, weight) ** 2).sum())(x)
        for f in (
            forward(Geometry.parse("n1 c2>1 i3 k2 s2")),
            lambda x, w: lax_conv_transpose(x, w, Geometry.parse("n1 c2>1 i3 k2 s2")),
        )
    )
    same(made, expected)
    g = Geometry.parse("n1 c2>2 i5 k3 p1")
    x, weight, _, y = arrays(g)

    def three_times(f: Any) -> Any:
        def loss(x: Any) -> Any:
            step = jax.checkpoint(lambda carry, _: (f(carry, weight), None))
            return (jax.lax.scan(step, x, None, length=3)[0] * y).sum()

        return jax.jit(jax.grad(loss))(x)

    same(three_times(forward(g)), three_times(lambda x, w: lax_conv_transpose(x, w, g)))
    (turned,) = jax.linear_transpose(lambda x: forward(g)(x, weight), x)(y)
    same(turned, backward(g)(y, weight))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, None), (-1, 1)], ids=str)
def test_vmap_is_a_loop(axes: Any, layout: Any) -> None:
    """Over inputs, weights or both, wherever the further axis is; its gradients too."""
    g = MIXED[0]
    x, weight, bias, y = (jnp.stack([a, -a, a + 1]) for a in arrays(g))
    if layout == "channels_last":
        x, y = jnp.moveaxis(x, 2, -1), jnp.moveaxis(y, 2, -1)

    def everything(x: Any, weight: Any, bias: Any, y: Any) -> Any:
        given = {"layout": layout, **shared_options(g)}
        z, back = jax.vjp(lambda x, w: forward(g, layout=layout)(x, w), x, weight)
        u, further = jax.vjp(lambda y, w: ours.conv(y, w, input_size=g.input, **given), y, weight)
        layer = forward(g, layout=layout, activation="relu")(x, weight, bias)
        return z, *back(y), u, *further(x), layer

    x, y = (a[0] if axes[0] is None else jnp.moveaxis(a, 0, axes[0]) for a in (x, y))
    weight = weight[0] if axes[1] is None else jnp.moveaxis(weight, 0, axes[1])
    made = jax.jit(jax.vmap(everything, (axes[0], axes[1], None, axes[0])))(x, weight, bias[0], y)

    def at(array: Any, axis: int | None, i: int) -> Any:
        return array if axis is None else jnp.take(array, i, axis)

    for i in range(3):
        one = everything(at(x, axes[0], i), at(weight, axes[1], i), bias[0], at(y, axes[0], i))
        same([each[i] for each in made], one)


def test_vmap_over_biases_and_twice() -> None:
    g = MIXED[0]
    x, weight, bias, _ = arrays(g)
    biases = jnp.stack([bias, bias + 2])
    layer = forward(g, activation="relu")
    made = jax.vmap(layer, (None, None, 0))(x, weight, biases)
    same(made, jnp.stack([layer(x, weight, b) for b in biases]))
    xs, weights = jnp.stack([x, x + 1]), jnp.stack([weight, -weight, 2 * weight])
    made = jax.vmap(jax.vmap(forward(g), (None, 0)), (0, None))(xs, weights)
    same(made, jnp.stack([jnp.stack([forward(g)(x, w) for w in weights]) for x in xs]))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_nothing(axes: Any) -> None:
    g = MIXED[0]
    x, weight, _, y = arrays(g)
    none = [
        each if axis is None else jnp.stack([each])[:0] for each, axis in zip((x, weight), axes, strict=True)
    ]
    assert jax.vmap(forward(g), axes)(*none).shape == (0, *y.shape)
    gradients = jax.vmap(jax.grad(lambda x, w: forward(g)(x, w).sum(), (0, 1)), axes)(*none)
    assert [each.shape for each in gradients] == [(0, *x.shape), (0, *weight.shape)]


def test_what_vmap_becomes() -> None:
    """Shared weights: a longer batch. Weights of their own: more groups."""
    g = Geometry.parse("n2 c2>3 i4 k3 s2")
    x, weight, _, _ = arrays(g)
    xs, weights = jnp.stack([x] * 5), jnp.stack([weight] * 5)

    def runs(f: Any, *given: Any) -> list[str]:
        found = [e for e in jax.make_jaxpr(f)(*given).eqns if e.primitive.name == "tconv"]
        return [str(e.params["job"].geometry) for e in found]

    assert runs(jax.vmap(forward(g), (0, None)), xs, weight) == ["n10 c2>3 i4 k3 s2"]
    assert runs(jax.vmap(forward(g)), xs, weights) == ["n2 c10>15 i4 k3 s2 g5"]
    per_example = jax.vmap(jax.grad(lambda w, x: forward(g)(x, w).sum()), (None, 0))
    assert runs(per_example, weight, xs)[-1] == "n2 c10>15 i4 k3 s2 g5"
