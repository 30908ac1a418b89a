"""Bad input ends in one line that names the value and what would fit, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tconv
from tconv import TconvError
from tests.helpers import refused_in_one_line

X = np.ones((1, 4, 5, 6), "f4")  # (n, c_in, h, w)
W = np.ones((4, 3, 3, 3), "f4")  # (c_in, c_out/groups, kh, kw)
Y = np.ones((1, 3, 7, 8), "f4")  # what X becomes


def of_x(*shape: int) -> np.ndarray:
    return np.ones(shape, "f4")


REFUSED: dict[str, tuple[Callable[[], object], list[str]]] = {
    "no spatial axes in the weight": (lambda: tconv.conv_transpose(X, W[:, :, 0, 0]), ["(4, 3)", "1 to 3"]),
    "four spatial axes": (
        lambda: tconv.conv_transpose(of_x(1, 4, 2, 2, 2, 2), of_x(4, 3, 1, 1, 1, 1)),
        ["(4, 3, 1, 1, 1, 1)", "1 to 3 kernel axes would fit"],
    ),
    "wrong rank": (
        lambda: tconv.conv_transpose(X[0, 0], W),
        ["(5, 6)", "(4, 3, 3, 3)", "4 axes, or 3 without a batch axis, would fit"],
    ),
    "wrong rank, channels last": (
        lambda: tconv.conv_transpose(X[0, 0], W, layout="channels_last"),
        ["(5, 6)", "4 axes, or 3"],
    ),
    "wrong rank of conv": (lambda: tconv.conv(Y[0, 0], W), ["(7, 8)", "4 axes, or 3"]),
    "channels": (lambda: tconv.conv_transpose(X[:, :3], W), ["3 channels", "(1, 3, 5, 6)", "takes 4"]),
    "channels of conv": (lambda: tconv.conv(Y[:, :2], W), ["2 channels", "(1, 2, 7, 8)", "takes 3"]),
    "channels and groups": (
        lambda: tconv.conv_transpose(X, W, groups=3),
        ["4 input channels", "3 groups", "divide both 4 and 9"],
    ),
    "no groups": (lambda: tconv.conv_transpose(X, W, groups=0), ["groups=0", "at least 1 would fit"]),
    "groups of another type": (lambda: tconv.conv_transpose(X, W, groups=1.5), ["groups=1.5"]),
    "no channels": (
        lambda: tconv.conv_transpose(X[:, :0], W[:0]),
        ["0 input channels", "at least 1 would fit"],
    ),
    "stride 0": (lambda: tconv.conv_transpose(X, W, stride=(2, 0)), ["stride 0 on axis 1", "at least 1"]),
    "negative stride": (lambda: tconv.conv_transpose(X, W, stride=-2), ["stride -2 on axis 0", "at least 1"]),
    "stride 0 of conv": (lambda: tconv.conv(Y, W, stride=0), ["stride 0 on axis 0", "at least 1"]),
    "stride of another type": (
        lambda: tconv.conv_transpose(X, W, stride=2.5),
        ["stride=2.5", "float", "must be an int"],
    ),
    "stride of three axes": (lambda: tconv.conv_transpose(X, W, stride=(2, 2, 2)), ["stride=(2, 2, 2)", "2"]),
    "dilation 0": (lambda: tconv.conv_transpose(X, W, dilation=0), ["dilation 0 on axis 0", "at least 1"]),
    "beyond all integers": (
        lambda: tconv.conv_transpose(X, W, dilation=2**40),
        ["1099511627776", "2147483647"],
    ),
    "output padding": (
        lambda: tconv.conv_transpose(X, W, stride=2, output_padding=2),
        ["output_padding 2 on axis 0", "below max(stride, dilation) = 2"],
    ),
    "negative output padding": (
        lambda: tconv.conv_transpose(X, W, stride=2, output_padding=-1),
        ["output_padding -1 on axis 0", "at least 0"],
    ),
    "output size": (
        lambda: tconv.conv_transpose(X, W, stride=2, output_size=(11, 15)),
        ["output size 15 on axis 1", "input size 6", "13 or 14 can"],
    ),
    "output size and output padding": (
        lambda: tconv.conv_transpose(X, W, stride=2, output_padding=1, output_size=12),
        ["output_size=12", "output_padding=1", "one of them"],
    ),
    "input size": (lambda: tconv.conv(Y, W, input_size=(5, 7)), ["8 on axis 1", "input size 7", "9 can"]),
    "nothing left": (
        lambda: tconv.conv_transpose(X, W, padding=4),
        ["output size on axis 0 is -1", "lo + hi of at most 6 would fit"],
    ),
    "no input": (lambda: tconv.conv_transpose(X[:, :, :0], W), ["input size 0 on axis 0", "at least 1"]),
    "no kernel": (lambda: tconv.conv_transpose(X, W[..., :0]), ["kernel 0 on axis 1", "at least 1"]),
    "too small for conv": (
        lambda: tconv.conv(Y[:, :, :2], W),
        ["size 2 on axis 0 is too small", "at least 3 would fit"],
    ),
    "padding word": (lambda: tconv.conv_transpose(X, W, padding="full"), ["'full'", '"same" or "valid"']),
    "padding pairs": (
        lambda: tconv.conv_transpose(X, W, padding=((1, 2, 3), (1, 1))),
        ["(1, 2, 3)", "3 entries", "(lo, hi)"],
    ),
    "dtype mix": (
        lambda: tconv.conv_transpose(X, W.astype("f8")),
        ["input is f32", "weight is f64", "one dtype"],
    ),
    "dtype of the bias": (
        lambda: tconv.conv_transpose(X, W, np.ones(3, "f8")),
        ["input is f32", "bias is f64", "one dtype"],
    ),
    "dtype of the gradient": (
        lambda: tconv.conv_weight_gradient(X, Y.astype("f2"), kernel=3),
        ["x is f32", "y is f16", "one dtype"],
    ),
    "length of the bias": (
        lambda: tconv.conv_transpose(X, W, np.ones(4, "f4")),
        ["bias has shape (4,)", "(3,)"],
    ),
    "shape of the bias": (lambda: tconv.conv(Y, W, np.ones((4, 1), "f4")), ["(4, 1)", "(4,)"]),
    "bool": (lambda: tconv.conv_transpose(X > 0, W > 0), ["dtype bool", "float32"]),
    "foreign byte order": (lambda: tconv.conv_transpose(X.astype(">f4"), W), ["dtype >f4", "float32"]),
    "objects": (lambda: tconv.conv_transpose(X.astype(object), W), ["dtype object", "float32"]),
    "a list": (lambda: tconv.conv_transpose([[[[1.0]]]], W), ["input is a list", "NumPy array"]),
    "no weight": (lambda: tconv.conv_transpose(X, None), ["weight is a NoneType", "NumPy array"]),
    "activation": (lambda: tconv.conv_transpose(X, W, activation="selu"), ["'selu'", '"gelu"']),
    "leaky without slope": (
        lambda: tconv.conv_transpose(X, W, activation="leaky_relu"),
        ["'leaky_relu'", "slope"],
    ),
    "slopes of other channels": (
        lambda: tconv.conv_transpose(X, W, activation=("prelu", 1, 2)),
        ["2 slopes", "1, or 3"],
    ),
    "softplus without a beta": (
        lambda: tconv.conv_transpose(X, W, activation=("softplus", 0, 20)),
        ["('softplus', 0, 20)", "beta above 0"],
    ),
    "clamp the wrong way round": (
        lambda: tconv.conv_transpose(X, W, activation=("clamp", 2, 1)),
        ["('clamp', 2, 1)", "lower bound"],
    ),
    "activation of integers": (
        lambda: tconv.conv_transpose(X.astype("i4"), W.astype("i4"), activation="relu"),
        ["activation='relu'", "i32"],
    ),
    "activation of complex numbers": (
        lambda: tconv.conv_transpose(X.astype("c8"), W.astype("c8"), activation="tanh"),
        ["activation='tanh'", "c64"],
    ),
    "algorithm": (lambda: tconv.conv_transpose(X, W, algorithm="fft"), ["'fft'", "auto, reference, "]),
    "algorithm that does not apply": (
        lambda: tconv.conv_transpose(X.astype("i4"), W.astype("i4"), algorithm="phases"),
        ["'phases' does not apply", "i32"],
    ),
    "layout": (
        lambda: tconv.conv_transpose(X, W, layout="NCHW"),
        ["'NCHW'", "channels_first, channels_last"],
    ),
    "gradient without batch": (
        lambda: tconv.conv_weight_gradient(X[0], Y[0], kernel=3),
        ["(4, 5, 6)", "(n, c_in"],
    ),
    "gradient of two batches": (
        lambda: tconv.conv_weight_gradient(X, of_x(2, 3, 7, 8), kernel=3),
        ["(1, 4, 5, 6)", "(2, 3, 7, 8)"],
    ),
    "gradient of sizes that do not belong": (
        lambda: tconv.conv_weight_gradient(X, Y, kernel=4),
        ["output size 7 on axis 0", "8 can"],
    ),
    "gradient and groups": (
        lambda: tconv.conv_weight_gradient(X, Y, kernel=3, groups=2),
        ["3 output", "2 groups"],
    ),
    "weights without axes": (lambda: tconv.prepare(np.array(3, "f4")), ["weight has shape ()"]),
    "no geometry": (lambda: tconv.prepare(W, geometry=True), ["geometry=True"]),  # type: ignore[arg-type]
    "threads": (lambda: tconv.set_num_threads(0), ["0 threads", "1 to 1024"]),
    "half a thread": (lambda: tconv.set_num_threads(1.5), ["1.5 threads"]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_one_clear_line(what: str) -> None:
    refused_in_one_line(*REFUSED[what])


@pytest.mark.parametrize("stride", [2**29, 2**20])
def test_an_output_beyond_the_memory_is_refused(stride: int) -> None:
    """No machine has 3 * (4 * stride)**2 numbers to spare, their bytes within 64-bit integers or not."""
    with pytest.raises(TconvError, match="not enough memory") as caught:
        tconv.conv_transpose(X, W, stride=stride)
    size = (5 - 1) * stride + 3
    assert str(size) in str(caught.value)
    assert "bytes" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(TconvError, match="not enough memory"):
        tconv.prepare(W, stride=stride)(X)


@pytest.mark.parametrize(("name", "value"), [
    ("activation", {}), ("activation", ["relu", []]), ("activation", ("clamp", 10**400, 0)),
    ("activation", ("leaky_relu", -(10**400))), ("activation", np.zeros(0)), ("algorithm", []),
    ("algorithm", {}), ("layout", []), ("layout", np.zeros(0)),
])  # fmt: skip
def test_a_name_of_another_type_is_one_clear_line(name: str, value: object) -> None:
    options: dict[str, Any] = {name: value}
    for call in (
        lambda: tconv.conv_transpose(X, W, **options),
        lambda: tconv.conv(Y, W, **options),
        lambda: tconv.prepare(W, **options)(X),
    ):
        with pytest.raises(TconvError, match=f"^{name}=.* would fit$"):
            call()


def test_an_array_that_no_memory_holds_is_refused() -> None:
    """No machine has 2**44 numbers, which a view claims of one."""
    huge = np.broadcast_to(np.float32(1), (1 << 20, 1 << 20, 1 << 4))
    for call in (
        lambda: tconv.prepare(huge),
        lambda: tconv.conv_transpose(of_x(1, 1 << 20, 4), huge),
        lambda: tconv.prepare(of_x(1, 1, 2))(huge),
    ):
        with pytest.raises(TconvError, match="there is too little for a copy; a smaller one would fit"):
            call()


def test_torch_tensors_that_arrays_cannot_carry() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for tensor, piece in [
        (torch.ones(1, 4, 5, 6, requires_grad=True), "requires a gradient"),
        (torch.ones(1, 4, 5, 6, device="meta"), "CPU"),
        (torch.ones(1, 4, 5, 6).to_sparse(), "CPU"),
    ]:
        with pytest.raises(TconvError, match=piece) as caught:
            tconv.conv_transpose(tensor, W)
        assert "\n" not in str(caught.value)
