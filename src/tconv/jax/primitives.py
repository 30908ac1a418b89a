"""The maps as JAX primitives: shapes, derivatives, batches, and how XLA runs them.

`bilinear` stands for all three maps. Each is linear in both operands, and the transposes of each are the
other two, on the same Geometry; JAX derives forward, reverse and higher derivatives from this. None of them
conjugates, as JAX requires. `layer` is conv_transpose or conv with the engine's epilogue: bias, activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
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


def _slope(answer: Any, activation: Any) -> Any:
    """The derivative of an activation, computed from its output."""
    name, *numbers = activation if isinstance(activation, tuple) else (activation,)
    if name == "leaky_relu":
        if numbers[0] < 0:
            raise TconvError(
                f"the gradient of activation={activation!r} cannot be computed from its output; "
                "a slope of at least 0 would fit"
            )
        return jnp.where(answer > 0, 1, numbers[0]).astype(answer.dtype)
    if name == "clamp":
        return ((answer > numbers[0]) & (answer < numbers[1])).astype(answer.dtype)
    if name == "relu":
        return (answer > 0).astype(answer.dtype)
    return 1 - answer * answer if name == "tanh" else answer * (1 - answer)


def _layer_jvp(primals: Any, tangents: Any, *, job: MapCall) -> Any:
    answer = layer.bind(*primals, job=job)
    linear = job._replace(activation=None)
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
    wider = job._replace(
        geometry=replace(
            g,
            in_channels=g.in_channels * count,
            out_channels=g.out_channels * count,
            groups=g.groups * count,
        )
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
