"""The three maps on arrays, and layers whose weights are packed once.

With A the matrix of a convolution: `conv_transpose` is y = A^T x, `conv` is x = A y, and
`conv_weight_gradient` correlates x with y, one number per weight. The input gradient of each of the first two
is the other one. None of them conjugates. Weights always have the shape (in, out/groups, *kernel) of the
transposed layer.

>>> import numpy as np
>>> x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
>>> conv_transpose(x, np.ones((1, 1, 3, 3)), stride=2, padding=((0, 1), (0, 1)))[0, 0]  # TensorFlow's SAME
array([[ 1.,  1.,  3.,  2.],
       [ 1.,  1.,  3.,  2.],
       [ 4.,  4., 10.,  6.],
       [ 3.,  3.,  7.,  4.]])
"""

from __future__ import annotations

from typing import Any

from tconv.errors import TconvError
from tconv.geometry.normalize import Padding, PerAxis
from tconv.ops.arrays import Array, allocate, operand, returned
from tconv.ops.call_cache import Options, frozen, planned_call, planned_gradient
from tconv.ops.execute import Ready, bias_operand, check_layout, execute, run_map, same_dtype
from tconv.planning import Activation, Layout, MapName

__all__ = ["conv", "conv_transpose", "conv_weight_gradient"]


def _map(map: MapName, source: Any, weight: Any, bias: Any, options: Options, out: Any) -> Any:
    check_layout(options.layout)
    x, w = operand("input", source), operand("weight", weight)
    same_dtype("input", x, "weight", w)

    def prepared(shape: tuple[int, ...]) -> Ready:
        try:
            job = planned_call(map, x.code, shape, w.array.shape, options)
        except TypeError:
            options.check()
            raise
        return Ready(job, w.array, bias_operand(bias, job.channels, x))

    return run_map(source, x, prepared, out)


def conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    output_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
    out: Array | None = None,
) -> Any:
    """Transposed convolution: every input stamps its multiple of the kernel on the output, overlaps add.

    Output sizes are (i-1)*stride - lo - hi + dilation*(k-1) + 1 + output_padding (Dumoulin & Visin 2016,
    chapter 4).

    Args:
        x: (n, c_in, *input), or (c_in, *input); 1 to 3 spatial axes.
        weight: (c_in, c_out/groups, *kernel).
        bias: (c_out,), or None.
        stride: an int, or one per axis; so are `output_padding` and `dilation`.
        padding: output cells cropped at both ends of each axis: an int, one per axis, one (lo, hi) pair per
            axis (negative values extend), "valid" for 0, or "same" for an output of input * stride.
        output_padding: cells added at the far end, to choose among the output sizes that a convolution maps
            to the same input size.
        groups: the number of groups of channels that do not mix.
        output_size: the spatial sizes of the output; determines `output_padding`.
        activation: "relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "hardswish", "mish", "elu",
            ("elu", alpha), "softplus", ("softplus", beta, threshold), ("leaky_relu", slope),
            ("prelu", slope, ...) with one slope or one for each channel of the output, or
            ("clamp", lo, hi), applied in the epilogue. They are named and defined as in PyTorch;
            past the threshold softplus is the identity, and there is none unless it is given.
        layout: "channels_first" or "channels_last", of x and of the output.
        algorithm: "auto", or a name in `tconv.planning.ALGORITHMS`. Only `winograd` spreads the rounding
            error of a large number over its neighbours; "auto" chooses it only if TCONV_WINOGRAD=1 is in the
            environment.
        out: an array to write the output to.

    Returns:
        (n, c_out, *output), of the dtype and array type of `x`. Integers are exact and wrap. Infinities and
        NaN affect the outputs that they reach, and with the algorithm `winograd` their neighbours too.
        float16 and bfloat16 are summed in float32 and rounded once. CPUs with matrix registers (AMX) lose
        less than 2^-100 of each product.

    Raises:
        TconvError: arguments that do not fit; the message says what would.

    >>> x = np.ones((1, 2, 3), np.float32)
    >>> conv_transpose(x, np.ones((2, 1, 2), np.float32), stride=2).shape  # (3-1)*2 + (2-1) + 1
    (1, 1, 6)
    """
    options = Options.of(
        stride, padding, output_padding, dilation, groups, output_size, activation, algorithm, layout
    )
    return _map("conv_transpose", x, weight, bias, options, out)


def conv(
    y: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    input_size: PerAxis | None = None,
    activation: Activation = None,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
    out: Array | None = None,
) -> Any:
    """The convolution that `conv_transpose` with the same weight and options is the transpose of.

    Args:
        y: (n, c_out, *output) in the transposed layer's terms: the shape of its output.
        weight: (c_in, c_out/groups, *kernel), which a convolution calls (out, in/groups, *kernel).
        bias: (c_in,), or None.
        input_size: the spatial sizes of the result, where several fit (only with dilation > stride).

    Returns:
        (n, c_in, *input), with input = floor((output + lo + hi - dilation*(k-1) - 1) / stride) + 1.

    >>> y = np.arange(4.0).reshape(1, 1, 4)
    >>> conv(y, np.ones((1, 1, 2)), stride=2)
    array([[[1., 5.]]])
    """
    options = Options.of(stride, padding, 0, dilation, groups, input_size, activation, algorithm, layout)
    return _map("conv", y, weight, bias, options, out)


def conv_weight_gradient(
    x: Any,
    y: Any,
    *,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    layout: Layout = "channels_first",
    algorithm: str = "auto",
) -> Any:
    """The gradient of the weights: sum over batch and i of x[:, a, i] * y[:, b, i*stride + t*dilation - lo].

    One map serves both: for `conv_transpose`, x is its input and y the gradient of its output; for `conv`, y
    is its input and x the gradient of its output.

    Args:
        x: (n, c_in, *input).
        y: (n, c_out, *output).
        kernel: an int, or one per axis.
        layout: "channels_first" or "channels_last", of x and of y.

    Returns:
        (c_in, c_out/groups, *kernel).

    >>> x, y = np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> conv_weight_gradient(x, y, kernel=2, stride=2)  # 1*1 + 10*3, 1*2 + 10*4
    array([[[31., 42.]]])
    """
    check_layout(layout)
    a, b = operand("x", x), operand("y", y)
    same_dtype("x", a, "y", b)
    axes = a.array.ndim - 2
    x_shape, y_shape = a.array.shape, b.array.shape
    if len(x_shape) != len(y_shape) or not 1 <= axes <= 3 or x_shape[0] != y_shape[0]:
        fits = "(n, c_in, *input) and (n, c_out, *output)"
        if layout == "channels_last":
            fits = "(n, *input, c_in) and (n, *output, c_out)"
        raise TconvError(f"x has shape {x_shape} and y {y_shape}; {fits} would fit")
    options = Options.of(stride, padding, 0, dilation, groups, None, None, algorithm, layout)
    try:
        job = planned_gradient(a.code, x_shape, y_shape, frozen("kernel", kernel), options)
    except TypeError:
        options.check()
        raise
    out = allocate(str(job.plan.geometry), job.shape, a.array.dtype)
    if x_shape[0] == 0:
        out[...] = 0
    else:
        execute(job.plan, a.array, b.array, None, out)
    return returned(out, a, x)
