"""Transposed convolution for JAX, on the engine of tconv: jit, grad, vmap, on the CPU.

`conv_transpose` has what `lax.conv_transpose` lacks: groups, output padding, a fused activation.
Weights have the shape (in, out/groups, *kernel); `tconv.conventions.weight_from("jax", kernel, geometry)`
converts a kernel of lax or flax.

>>> import jax
>>> import jax.numpy as jnp
>>> weight = jnp.ones((1, 1, 3, 3))
>>> upsample = jax.jit(lambda x: conv_transpose(x, weight, stride=2, padding="same"))
>>> upsample(jnp.array([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
Array([[ 1.,  1.,  3.,  2.],
       [ 1.,  1.,  3.,  2.],
       [ 4.,  4., 10.,  6.],
       [ 3.,  3.,  7.,  4.]], dtype=float32)
"""

from __future__ import annotations

try:
    import jax.ffi  # noqa: F401
except ImportError as fault:
    raise ImportError("tconv.jax needs JAX 0.5 or newer: pip install 'tconv[jax]'") from fault

from tconv.jax.maps import conv, conv_transpose

__all__ = ["conv", "conv_transpose"]
