"""The guide's ConvTranspose for flax against nnx.ConvTranspose: the same parameters, the same answers."""

from __future__ import annotations

import importlib.util
import random
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tconv.testing import assert_same
from tests import ROOT
from tests.frameworks.problems import axes_of

EXAMPLE = ROOT / "docs" / "examples" / "flax_conv_transpose.py"


@pytest.fixture(scope="module")
def ours() -> ModuleType:
    specification = importlib.util.spec_from_file_location("flax_conv_transpose", EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def whole(key: Any, shape: Any, dtype: Any, out_sharding: Any = None) -> jax.Array:
    """An initialiser of small whole numbers, so that answers are equal bit by bit."""
    return jax.random.randint(key, shape, -3, 4).astype(dtype)


def pair(ours: ModuleType, *given: Any, **options: Any) -> tuple[nnx.Module, nnx.Module]:
    """Both layers, ours with the very state of flax's."""
    theirs = nnx.ConvTranspose(*given, rngs=nnx.Rngs(0), kernel_init=whole, bias_init=whole, **options)
    mine = ours.ConvTranspose(*given, rngs=nnx.Rngs(1), kernel_init=whole, bias_init=whole, **options)
    nnx.update(mine, nnx.state(theirs))
    return mine, theirs


def data(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).integers(-3, 4, shape), jnp.float32)


def test_answers_are_flax_s(ours: ModuleType) -> None:
    """Strides, paddings as words and numbers, dilation, both kernels, 1 to 3 axes, batches of any shape."""
    rng, words = random.Random(5), set()
    for _ in range(20):
        axes = rng.choice([1, 2, 2, 3])
        kernel = axes_of(rng, axes, lambda: rng.randint(1, 5))
        how = rng.choice(["SAME", "SAME", "VALID", "number", "numbers", "pairs"])
        words.add(how)
        sides = [(rng.randint(0, 3), rng.randint(0, 3)) for _ in range(axes)]
        paddings: dict[str, Any] = {"number": sides[0][0] + 2, "numbers": [lo + 2 for lo, _ in sides]}
        paddings["pairs"] = [(lo + 2, hi + 2) for lo, hi in sides]
        options = {
            "strides": rng.choice([None, rng.randint(1, 4), axes_of(rng, axes, lambda: rng.randint(1, 3))]),
            "padding": paddings.get(how, how),
            "kernel_dilation": rng.choice([None, None, 2, axes_of(rng, axes, lambda: rng.randint(1, 3))]),
            "transpose_kernel": rng.random() < 0.5,
            "use_bias": rng.random() < 0.5,
        }
        mine, theirs = pair(ours, rng.randint(1, 4), rng.randint(1, 4), kernel, **options)
        sizes = [rng.randint(5, 7) for _ in range(axes)]
        for batch in ((2,), rng.choice([(), (2, 3)])):
            x = data(*batch, *sizes, theirs.in_features)
            try:
                expected = theirs(x)
            except Exception:  # cropped to nothing
                break
            assert_same(mine(x), expected)
    assert words == {"SAME", "VALID", "number", "numbers", "pairs"}


def test_a_step_of_training_is_flax_s(ours: ModuleType) -> None:
    """Gradients of the parameters, compiled, through a small network."""

    class Net(nnx.Module):
        def __init__(self, layer: nnx.Module) -> None:
            self.layer = layer

        def __call__(self, x: jax.Array) -> jax.Array:
            return nnx.relu(self.layer(x))

    x = data(2, 6, 5, 3)
    made = []
    for layer in pair(ours, 3, 4, (4, 4), (2, 2), padding="SAME"):
        step = nnx.jit(nnx.value_and_grad(lambda net: net(x).sum()))
        made.append(jax.tree.leaves(step(Net(layer))))
    assert len(made[0]) == 3
    for a, b in zip(*made, strict=True):
        assert_same(a, b)


def test_masks_dtypes_and_what_stays_flax_s(ours: ModuleType) -> None:
    mask = jnp.tril(jnp.ones((3, 3, 4)))
    for options in (
        {"mask": mask},
        {"dtype": jnp.bfloat16},
        {"padding": "CIRCULAR"},
        {"preferred_element_type": jnp.float32},
    ):
        mine, theirs = pair(ours, 3, 4, 3, **options)
        x = data(2, 6, 3)
        assert_same(mine(x), theirs(x))


def test_tconv_computes_it(ours: ModuleType) -> None:
    mine, _ = pair(ours, 3, 4, (3, 3), (2, 2))
    names = {e.primitive.name for e in jax.make_jaxpr(lambda x: mine(x))(data(1, 5, 5, 3)).eqns}
    assert "tconv_layer" in names
    assert "conv_general_dilated" not in names
