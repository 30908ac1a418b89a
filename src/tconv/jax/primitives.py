"""The maps as JAX primitives: shapes, derivatives, batches, and how XLA runs them.

`bilinear` stands for all three maps. Each is linear in both operands, and the transposes of each are the
other two, on the same Geometry; JAX derives forward, reverse and higher derivatives from this. None of them
conjugates, as JAX requires. `layer` is conv_transpose or conv with the engine's epilogue: bias, activation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from math import inf
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from tconv.errors import TconvError
from tconv.jax.call_cache import MapCall, plan_of
from tconv.jax.ffi import TARGET
from tconv.ops.arrays import CODES
from tconv.planning import MapName

__all__ = ["apply", "bilinear", "layer"]

bilinear: Any = Primitive("tconv")
layer: Any = Primitive("tconv_layer")


def apply(job: MapCall, *operands: Any) -> Any:
    """The map of `job` on two operands and an optional bias, all with a batch axis."""
    if job.geometry.batch == 0:  # the engine has nothing to walk over
        return jnp.zeros(job.shape, operands[0].dtype)
    plain = len(operands) == 2 and job.activation is None
    return (bilinear if plain else layer).bind(*operands, job=job)


# Lowering.


@lru_cache(maxsize=4096)
def _compiled(primitive: Any, job: MapCall) -> Callable[..., Any]:
    return jax.jit(partial(primitive.bind, job=job))


def _lower(context: Any, *operands: Any, job: MapCall) -> Any:
    text = job.text(CODES[context.avals_in[0].dtype.name])
    plan_of(text)  # refuse now what would be refused inside the program
    return jax.ffi.ffi_lowering(TARGET)(context, *operands, job=text)


def _refuse(context: Any, *operands: Any, job: MapCall) -> Any:
    raise TconvError(
        f"{job.map} on {' or '.join(context.module_context.platforms)}; tconv.jax runs on the CPU: "
        "inputs placed by jax.device_put(x, jax.devices('cpu')[0]) would fit"
    )


for _primitive in (bilinear, layer):
    _primitive.def_impl(lambda *operands, job, of=_primitive: _compiled(of, job)(*operands))
    _primitive.def_abstract_eval(lambda *avals, job: jax.core.ShapedArray(job.shape, avals[0].dtype))
    mlir.register_lowering(_primitive, _refuse)
    mlir.register_lowering(_primitive, _lower, platform="cpu")


# Derivatives.

#: Map -> for each operand the map that takes the output's cotangent, and the other operand, to its cotangent;
#: and whether the output's cotangent is the first operand of that map.
_TRANSPOSES: dict[MapName, tuple[tuple[MapName, bool], tuple[MapName, bool]]] = {
    "conv_transpose": (("conv", True), ("weight_gradient", False)),
    "conv": (("conv_transpose", True), ("weight_gradient", True)),
    "weight_gradient": (("conv", False), ("conv_transpose", False)),
}


def _transpose(which: int, cotangent: Any, first: Any, second: Any, *, job: MapCall) -> Any:
    map, leads = _TRANSPOSES[job.map][which]
    other = (second, first)[which]
    operands = (cotangent, other) if leads else (other, cotangent)
    return bilinear.bind(*operands, job=job._replace(map=map))


ad.defbilinear(bilinear, partial(_transpose, 0), partial(_transpose, 1))  # type: ignore[no-untyped-call]


def _parts(activation: Any) -> tuple[str, tuple[float, ...]]:
    name, *numbers = activation if isinstance(activation, tuple) else (activation,)
    return name, tuple(numbers)


def _from_output(activation: Any) -> bool:
    """Whether the derivative of an activation is computed from its output."""
    name, numbers = _parts(activation)
    return name in ("relu", "tanh", "sigmoid", "clamp") or (name == "leaky_relu" and numbers[0] >= 0)


def _slope(answer: Any, activation: Any) -> Any:
    """The derivative of an activation, computed from its output."""
    name, numbers = _parts(activation)
    if name == "leaky_relu":
        return jnp.where(answer > 0, 1, numbers[0]).astype(answer.dtype)
    if name == "clamp":
        return ((answer > numbers[0]) & (answer < numbers[1])).astype(answer.dtype)
    if name == "relu":
        return (answer > 0).astype(answer.dtype)
    return 1 - answer * answer if name == "tanh" else answer * (1 - answer)


def _softplus(z: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    return jnp.where(z * beta > threshold, z, jnp.logaddexp(z * beta, 0) / beta)


#: The other activations, from the layer's output and their numbers.
_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "hardswish": jax.nn.hard_swish,
    "softplus": _softplus,
    "mish": jax.nn.mish,
})  # fmt: skip


def _activated(z: Any, *, job: MapCall) -> Any:
    """The activation of `job` as operators of JAX."""
    name, numbers = _parts(job.activation)
    if name in ("leaky_relu", "prelu"):
        slopes = jnp.asarray(numbers, z.dtype)
        return jnp.where(z > 0, z, z * (slopes if len(numbers) == 1 else _along_channels(slopes, job)))
    return _FUNCTIONS[name](z, *numbers)


def _layer_jvp(primals: Any, tangents: Any, *, job: MapCall) -> Any:
    linear = job._replace(activation=None)
    later = job.activation is not None and not _from_output(job.activation)
    answer = apply(linear if later else job, *primals)
    (first, second), (first_dot, second_dot, *bias_dot) = primals[:2], tangents
    terms = []
    if type(first_dot) is not ad.Zero:
        terms.append(apply(linear, first_dot, second))
    if type(second_dot) is not ad.Zero:
        terms.append(apply(linear, first, second_dot))
    for each in bias_dot:
        if type(each) is not ad.Zero:
            terms.append(jnp.broadcast_to(_along_channels(each, job), answer.shape))
    tangent = sum(terms[1:], terms[0])
    if later:
        return jax.jvp(partial(_activated, job=job), (answer,), (tangent,))
    return answer, tangent if job.activation is None else tangent * _slope(answer, job.activation)


def _along_channels(bias: Any, job: MapCall) -> Any:
    return bias if job.layout == "channels_last" else bias.reshape(-1, *(1,) * job.geometry.axes)


ad.primitive_jvps[layer] = _layer_jvp


# Batches: shared weights extend the batch, separate weights add groups.


def _channels(operand: Any, job: MapCall) -> int:
    """The position of the channel axis."""
    return operand.ndim - 1 if job.layout == "channels_last" else 1


def _into_groups(operand: Any, count: int, job: MapCall) -> Any:
    """(count, n, c, ...) to (n, count * c, ...)."""
    at = _channels(operand[0], job)
    moved = jnp.moveaxis(operand, 0, at)
    return moved.reshape(*moved.shape[:at], -1, *moved.shape[at + 2 :])


def _out_of_groups(answer: Any, count: int, job: MapCall) -> Any:
    """(n, count * c, ...) to (count, n, c, ...)."""
    at = _channels(answer, job)
    split = answer.reshape(*answer.shape[:at], count, -1, *answer.shape[at + 1 :])
    return jnp.moveaxis(split, at, 0)


def _batch(operands: Any, dims: Any, *, job: MapCall) -> Any:
    count = next(o.shape[d] for o, d in zip(operands, dims, strict=True) if d is not None)
    g = job.geometry
    gradient = job.map == "weight_gradient"
    if not count:  # the engine has nothing to walk over
        return jnp.zeros((0, *job.shape), operands[0].dtype), 0

    def leading(which: int) -> Any:
        operand, dim = operands[which], dims[which]
        if dim is None:
            return jnp.broadcast_to(operand, (count, *operand.shape))
        return jnp.moveaxis(operand, dim, 0)

    if not gradient and all(dim is None for dim in dims[1:]):
        first = leading(0)
        longer = job._replace(geometry=replace(g, batch=g.batch * count))
        result = apply(longer, first.reshape(-1, *first.shape[2:]), *operands[1:])
        return result.reshape(count, -1, *result.shape[1:]), 0
    activation = job.activation
    if isinstance(activation, tuple) and activation[0] == "prelu" and len(activation) > 2:
        activation = (activation[0], *activation[1:] * count)
    wider = job._replace(
        activation=activation,
        geometry=replace(
            g,
            in_channels=g.in_channels * count,
            out_channels=g.out_channels * count,
            groups=g.groups * count,
        ),
    )
    first, second, *bias = (leading(which) for which in range(len(operands)))
    first = _into_groups(first, count, job)
    second = _into_groups(second, count, job) if gradient else second.reshape(-1, *second.shape[2:])
    result = apply(wider, first, second, *(each.reshape(-1) for each in bias))
    if gradient:
        return result.reshape(count, -1, *result.shape[1:]), 0
    return _out_of_groups(result, count, job), 0


for _primitive in (bilinear, layer):
    batching.primitive_batchers[_primitive] = _batch
