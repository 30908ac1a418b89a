"""What cannot be read or said is one line of TconvError: never another error, whatever the text."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tconv.conventions import FRAMEWORKS, read, weight_from, weight_to, write
from tconv.errors import TconvError
from tconv.geometry import Geometry

TF = "tf.nn.conv2d_transpose(x"
BAD = [
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, strid=2)", "argument 'strid' is unknown; did you mean 'stride'"),
    ("pytorch", "nn.Conv2d(8, 4, 3)", "call 'Conv2d' is unknown"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, padding='same')", "padding='same': .* only numbers"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, padding_mode='reflect')", "PyTorch takes only 'zeros'"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, kernel_size=k)", "kernel_size is 'k'; write the numbers"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, kernel_size=3)", "'kernel_size' twice"),
    ("pytorch", "nn.ConvTranspose2d(**options)", "hides options"),
    ("pytorch", "nn.ConvTranspose2d(8, 4)", "kernel_size is missing"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, padding=-1)", "padding=-1; it must be at least 0"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, 2)(x, output_size=[90, 90])", "output size 90 .* 11 or 12 can"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3, dilation=2)(x, output_size=[10, 10])", r"takes \(9, 9\) and up"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 0)", "kernel 0 on axis 0"),
    ("pytorch", "F.conv_transpose2d(x, w)", "give kernel=, or write the weights as torch.ones"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3", "is not a line of Python"),
    ("pytorch", "nn.ConvTranspose2d(8, 4, 3\0)", "is not a line of Python"),
    ("pytorch", "", "is not one call"),
    ("pytorch", "f(1); g(2)", "is not one call"),
    ("pytorch", "-" * 3000 + "1", "Python|one call"),
    ("pytorch", "x" * 5000, "at most 4000"),
    ("tensorflow", f"{TF}, tf.ones([3, 3, 8, 4]), [1, 9, 13, 8], 2)", "13 .* 9 or 10 would fit"),
    ("tensorflow", f"{TF}, tf.ones([3, 3, 8, 4]), tf.shape(y), 2)", "output_shape is 'tf.shape"),
    ("tensorflow", f"{TF}, tf.ones([3, 3, 8, 4]), [1, 9, 9, 7], 2)", "7 channels and filters 8"),
    ("tensorflow", f"{TF}, tf.ones([3, 3, 8, 4]), [1, 9, 9, 8], 2, [1, 1])", "4 .* pairs would fit"),
    ("keras", "keras.ops.conv_transpose(x, keras.ops.ones((3, 8, 4)), 2)", "has 2 axes and the call 1"),
    ("keras", "Conv2DTranspose(8, 3, strides=2, padding='full')", "padding='full' is unknown"),
    ("keras", "Conv2DTranspose(8, 3, strides=2, dilation_rate=2)", "no strides=2 with dilation_rate=2"),
    ("keras", "Conv2DTranspose(8, 3, strides=2, output_padding=2)", "from 0 to strides - 1"),
    ("keras", "Conv2DTranspose(8, 3, strides=0)", "strides=0; it must be at least 1"),
    ("jax", "lax.conv_transpose(x, w, 2, 'SAME')", "strides is one number per axis"),
    ("jax", "lax.conv_transpose(x, jnp.ones((3, 3, 4, 8)), (2, 2), 'same')", "padding='same'; 2 .* pairs"),
    ("jax", "lax.conv_transpose(x, w, (2,), 'SAME', None, ('NCH', 'OIW', 'NCH'))", "the same order"),
    ("jax", "lax.conv_transpose(x, w, (2,), 'SAME', dimension_numbers=dn)", "three strings of 3 letters"),
    ("onnx", "ConvTranspose(kernel_shape=[3, 3], auto_pad='SAME')", "'SAME' is unknown"),
    ("onnx", "ConvTranspose(kernel_shape=[3, 3], auto_pad='VALID', pads=[1, 1, 1, 1])", "exclude each other"),
    ("onnx", "ConvTranspose(kernel_shape=[3, 3], pads=[-1, 0, 0, 0])", "it must be at least 0"),
    ("onnx", "ConvTranspose(kernel_shape=[3, 3, 3])", "has 2 axes and the call 3"),
    ("caffe", 'layer { type: "Convolution" }', "0 Deconvolution layers"),
    ("caffe", "layer { convolution_param { num_output: 8 ", "ends within 'convolution_param'"),
    ("caffe", "num_output: 8 kernel_size: 3 kernel_h: 3", "belong together"),
    ("caffe", "num_output: 8 kernel_size: 3 output_pad: 3", "unknown field 'output_pad'"),
    ("caffe", "num_output: [ ] kernel_size: 3", "is empty or does not end"),
    ("caffe", "} kernel_size: 3", "closes what was never opened"),
    ("tflite", "TRANSPOSE_CONV([1, 9, 9], w, x, stride_h=2, stride_w=2)", "has 3 entries"),
]  # fmt: skip


@pytest.mark.parametrize(("framework", "call", "message"), BAD)
def test_bad_calls(framework: str, call: str, message: str) -> None:
    with pytest.raises(TconvError, match=message) as told:
        read(framework, call, input=(5, 5))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": ()}, "input=.* has 0 axes"),
        ({"input": "5x5"}, "is a str"),
        ({"input": (5, 5, 5)}, "has 3 axes and the call 2"),
        ({"input": 0}, "input size 0"),
        ({"input": 5, "channels": 7}, "8 input channels and 7 were asked for"),
        ({"input": 5, "channels": (1, 2, 3)}, r"input channels, or \(in, out\)"),
        ({"input": 5, "batch": -1}, "batch -1"),
        ({"input": 5, "reading": "tensorflow"}, "is unknown for pytorch; pytorch would fit"),
    ],
)
def test_bad_company(options: dict, message: str) -> None:
    with pytest.raises(TconvError, match=message):
        read("pytorch", "nn.ConvTranspose2d(8, 4, 3)", **options)


def test_a_batch_of_two_minds() -> None:
    call = "tf.nn.conv1d_transpose(x, tf.ones([3, 1, 1]), [4, 10, 1], 2)"
    assert read("tensorflow", call, input=5).geometry.batch == 4
    with pytest.raises(TconvError, match="a batch of 4 and 3 was asked for"):
        read("tensorflow", call, input=5, batch=3)


def test_unknown_frameworks() -> None:
    with pytest.raises(TconvError, match="'pytroch' is unknown; did you mean 'pytorch'"):
        write("pytroch", Geometry.parse("n1 c1>1 i5 k3"))


def test_tflite_has_two_axes() -> None:
    with pytest.raises(TconvError, match="has 2 spatial axes, not 3"):
        write("tflite", Geometry.parse("n1 c1>1 i5x5x5 k3"))


def test_weights_of_another_shape() -> None:
    geometry = Geometry.parse("n1 c4>8 i5x5 k3 s2")
    with pytest.raises(TconvError, match=r"shape \(8, 4, 3, 3\); these weights have shape \(4, 8, 3, 3\)"):
        weight_to("keras", np.zeros((8, 4, 3, 3)), geometry)
    with pytest.raises(TconvError, match=r"these weights have shape \(3, 3, 8, 4\)"):
        weight_from("keras", np.zeros((4, 8, 3, 3)), geometry)
    with pytest.raises(TconvError, match="list cannot be converted"):
        weight_to("keras", [1, 2], geometry)


def test_far_numbers_take_no_time() -> None:
    far = 2**31 - 1
    geometry = Geometry.parse(f"n1 c1>1 i{10**9} k3 s{10**9} p0:1")
    for framework in ("pytorch", "tensorflow", "keras", "jax", "onnx", "caffe"):
        assert str(10**9) in write(framework, geometry).line
    with pytest.raises(TconvError, match="would fit"):
        read("tensorflow", f"tf.nn.conv1d_transpose(x, tf.ones([3, 1, 1]), [1, 5, 1], {far})", input=far)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_mangled_calls_are_read_or_refused(framework: str) -> None:
    """Anything but a Reading or a TconvError would come out here as another exception."""
    rng = random.Random(5)
    geometry = Geometry.parse("n1 c4>8 i5x6 k3x2 s2 p0:1x1 d1x2")
    line = write(framework, geometry).line
    pieces = [*'(){}[],=-:."0123456789x', "None", "True", "SAME", "**a", "*a", "x.y", "1e9", "lambda: 0"]
    messages = []
    for _ in range(1500):
        text = line
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice([*pieces, "9" * 30]) + text[at + rng.randint(0, 3) :]
        try:
            read(framework, text, input=(5, 6), channels=4, kernel=(3, 2))
        except TconvError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert [message for message in messages if "\n" in message] == []
