"""Calls as people write them are read, layers are written.  tests/frameworks runs the frameworks."""

from __future__ import annotations

import numpy as np
import pytest

from tconv.conventions import FRAMEWORKS, READINGS, read, weight_from, weight_to, write
from tconv.geometry import Geometry
from tconv.testing import integer_arrays, load_cases

CASES = [(name, g) for name, g in load_cases() if g.batch]

# framework, call, what stands beside it, the problem
READ = [
    ("pytorch", "nn.ConvTranspose2d(64, 32, 4, 2, 1)", {"input": 8}, "n1 c64>32 i8x8 k4 s2 p1"),
    ("pytorch", "nn.ConvTranspose1d(8, 4, 3, stride=2)(x, output_size=[12])",
     {"input": 5}, "n1 c8>4 i5 k3 s2 o1"),
    ("pytorch", "up = nn.ConvTranspose1d(8, 4, 3, 2)(x, (1, 4, 11))", {"input": 5}, "n1 c8>4 i5 k3 s2"),
    ("pytorch", "nn.LazyConvTranspose2d(4, 3, groups=2)", {"input": 5, "channels": 6}, "n1 c6>4 i5x5 k3 g2"),
    ("pytorch", "F.conv_transpose1d(x, w, stride=3)", {"input": 4, "kernel": 5}, "n1 c1>1 i4 k5 s3"),
    ("tensorflow", "tf.nn.conv2d_transpose(x, w, output_shape=[1, 10, 10, 8], strides=2, padding='SAME')",
     {"input": 5, "kernel": 3, "channels": 4}, "n1 c4>8 i5x5 k3 s2 p0:1"),
    ("tensorflow", "tf.nn.conv2d_transpose(x, tf.ones([4, 4, 1, 2]), (3, 1, 8, 8), 2, data_format='NCHW')",
     {"input": 4}, "n3 c2>1 i4x4 k4 s2 p1"),
    ("tensorflow", "tf.nn.conv1d_transpose(x, w, [1, 15, 1], 3, 'VALID')",
     {"input": 5, "kernel": 2}, "n1 c1>1 i5 k2 s3 p0:-1"),
    ("keras", "Conv2DTranspose(8, 3, strides=2, padding='same')",
     {"input": (5, 5), "channels": 4}, "n1 c4>8 i5x5 k3 s2 p0:1"),
    ("keras", "x = layers.Conv1DTranspose(8, 2, strides=3, activation='relu')(x)",
     {"input": 5, "channels": 4}, "n1 c4>8 i5 k2 s3 o1"),
    ("keras", "Conv1DTranspose(8, 5, 2, 'same', 1)", {"input": 5, "channels": 4}, "n1 c4>8 i5 k5 s2 p1:2"),
    ("keras", "keras.ops.conv_transpose(x, keras.ops.ones((3, 8, 4)), 2, 'same')",
     {"input": 5}, "n1 c4>8 i5 k3 s2 p0:1"),
    ("jax", "lax.conv_transpose(x, w, (2, 2), 'SAME')", {"input": 5, "kernel": 3}, "n1 c1>1 i5x5 k3 s2 p0:1"),
    ("jax", "jax.lax.conv_transpose(x, jnp.ones((4, 8, 3)), (2,), ((2, 1),))",
     {"input": 5}, "n1 c8>3 i5 k4 s2 p1:2"),
    ("jax", "lax.conv_transpose(x, jnp.ones((4, 8, 3)), (2,), 'VALID', transpose_kernel=True)",
     {"input": 5}, "n1 c3>8 i5 k4 s2"),
    ("onnx", "ConvTranspose(kernel_shape=[3, 3], strides=[2, 2], auto_pad='SAME_LOWER')",
     {"input": 5}, "n1 c1>1 i5x5 k3 s2 p1:0"),
    ("onnx", "make_node('ConvTranspose', ['x', 'w'], ['y'], kernel_shape=[4], strides=[2], pads=[1, 2])",
     {"input": 5, "channels": (4, 8)}, "n1 c4>8 i5 k4 s2 p1:2"),
    ("onnx", "op.ConvTranspose(x, np.ones((4, 3, 3)), group=2, strides=[2], output_padding=[1])",
     {"input": 5}, "n1 c4>6 i5 k3 s2 p0:-1 g2"),
    ("caffe", 'layer { type: "Deconvolution" convolution_param { num_output: 21 kernel_size: 4 stride: 2 } }',
     {"input": (5, 6), "channels": 21}, "n1 c21>21 i5x6 k4 s2"),
    ("caffe", "num_output: 4 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2 group: 2 # depthwise\n",
     {"input": 5, "channels": 4}, "n1 c4>4 i5x5 k3x5 p1x2 g2"),
    ("tflite", "TRANSPOSE_CONV([1, 10, 10, 8], w, x, padding='SAME', stride_h=2, stride_w=2)",
     {"input": 5, "kernel": 3, "channels": 4}, "n1 c4>8 i5x5 k3 s2 p0:1"),
]  # fmt: skip

# problem, framework, the call alone
WRITTEN = [
    ("n1 c64>32 i8x8 k4 s2 p1", "pytorch", "nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False)"),
    ("n1 c4>8 i5x5 k3 s2 p1 o1", "pytorch",
     "nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1, bias=False)"),
    ("n1 c4>8 i5x5 k3 s2 p0:1", "tensorflow",
     "tf.nn.conv2d_transpose(x, w, output_shape=[1, 10, 10, 8], strides=2)"),
    ("n1 c4>8 i5x5 k3 s2", "tensorflow",
     'tf.nn.conv2d_transpose(x, w, output_shape=[1, 11, 11, 8], strides=2, padding="VALID")'),
    ("n1 c4>8 i5x5 k3 s2 p0:1", "keras",
     'keras.layers.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False)'),
    ("n1 c4>8 i5 k2 s3 o1", "keras", "keras.layers.Conv1DTranspose(8, 2, strides=3, use_bias=False)"),
    ("n1 c4>8 i5x5 k3 s2 p0:1", "jax", 'lax.conv_transpose(x, w, (2, 2), "SAME")'),
    ("n1 c4>8 i5 k3 s2 p1 o1", "jax", "lax.conv_transpose(x, w, (2,), ((1, 2),))"),
    ("n1 c4>8 i5x5 k3 s2 p1 o1 g2", "onnx",
     "ConvTranspose(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], group=2)"),
    ("n1 c21>21 i5x5 k4 s2 p1 g21", "caffe",
     'layer { name: "up" type: "Deconvolution" bottom: "x" top: "y" convolution_param { num_output: 21 '
     "kernel_size: 4 stride: 2 pad: 1 group: 21 bias_term: false } }"),
    ("n1 c4>8 i5x5 k3 s2 p0:1", "tflite",
     'TRANSPOSE_CONV([1, 10, 10, 8], w, x, padding="SAME", stride_h=2, stride_w=2)'),
]  # fmt: skip


def test_frameworks_are_named() -> None:
    assert FRAMEWORKS == ("pytorch", "tensorflow", "keras", "jax", "onnx", "caffe", "tflite")
    assert READINGS["onnx"] == ("onnxruntime", "openvino", "reference")


@pytest.mark.parametrize(("framework", "call", "beside", "problem"), READ)
def test_read(framework: str, call: str, beside: dict, problem: str) -> None:
    assert str(read(framework, call, **beside).geometry) == problem


@pytest.mark.parametrize(("problem", "framework", "line"), WRITTEN)
def test_written(problem: str, framework: str, line: str) -> None:
    call = write(framework, Geometry.parse(problem))
    assert call.line == line
    assert not any(map(any, call.after))
    assert "\n".join(line.split()) in "\n".join(call.code.split()) or framework == "onnx"


def test_assumptions_are_told() -> None:
    assert read("jax", "lax.conv_transpose(x, w, (2,), 'SAME')", input=5, kernel=3).notes == (
        "the call does not contain its input channels: 1 assumed",
        "the call does not contain its output channels: 1 assumed",
    )
    told = read("keras", "Conv1DTranspose(8, 3, activation='relu')", input=5, channels=2)
    assert told.notes == ("activation='relu' comes after the layer and is left out",)


def test_what_pytorch_cannot_say_is_cropped_or_added() -> None:
    call = write("pytorch", Geometry.parse("n1 c1>1 i5x5 k3 s2 p0:1x-1:0"))
    assert call.line == "nn.ConvTranspose2d(1, 1, 3, stride=2, bias=False)"
    assert call.before == ((0, 0), (0, 0))
    assert call.after == ((0, -1), (1, 0))
    assert call.code.splitlines()[-2:] == ["y = F.pad(y, (1, 0, 0, 0))", "y = y[:, :, :-1, :]"]
    assert len(call.notes) == 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_written_line_is_read_back(framework: str) -> None:
    """The call alone is the problem but for what `after` adds or crops."""
    count = 0
    for _, g in CASES:
        if framework == "tflite" and g.axes != 2:
            continue
        if framework in ("tensorflow", "keras", "tflite") and (g.groups > 1 or max(g.dilation) > 1):
            continue  # several calls, or a kernel with zeros in it
        call = write(framework, g)
        beside = {"channels": g.in_channels, "kernel": g.kernel, "batch": g.batch}
        if framework in ("jax", "onnx"):
            beside["channels"] = (g.in_channels, g.out_channels)
        seen = read(framework, call.line, input=g.input, **beside).geometry
        windows = [
            (lo - more, hi - o - behind)
            for (lo, hi), o, (more, behind) in zip(seen.padding, seen.output_padding, call.after, strict=True)
        ]
        assert windows == [(lo, hi - o) for (lo, hi), o in zip(g.padding, g.output_padding, strict=True)]
        assert (seen.input_shape, seen.weight_shape) == (g.input_shape, g.weight_shape)
        assert (seen.stride, seen.dilation, seen.groups) == (g.stride, g.dilation, g.groups)
        count += 1
    assert count >= 40


# A weight array (in 4, out/groups 3, kernel 2x5): where its entry [1, 2, 0, 3] goes, with 1 group and with 2.
WEIGHTS = {
    "pytorch": ((4, 3, 2, 5), (1, 2, 0, 3), (4, 3, 2, 5), (1, 2, 0, 3)),
    "tensorflow": ((2, 5, 3, 4), (0, 3, 2, 1), (2, 5, 3, 4), (0, 3, 2, 1)),
    "keras": ((2, 5, 3, 4), (0, 3, 2, 1), (2, 5, 3, 4), (0, 3, 2, 1)),
    "jax": ((2, 5, 4, 3), (1, 1, 1, 2), (2, 5, 2, 6), (1, 1, 1, 2)),
    "onnx": ((4, 3, 2, 5), (1, 2, 0, 3), (4, 3, 2, 5), (1, 2, 0, 3)),
    "caffe": ((4, 3, 2, 5), (1, 2, 0, 3), (4, 3, 2, 5), (1, 2, 0, 3)),
    "tflite": ((3, 2, 5, 4), (2, 0, 3, 1), (3, 2, 5, 4), (2, 0, 3, 1)),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weights_go_where_the_framework_has_them(framework: str) -> None:
    plain_shape, plain, grouped_shape, grouped = WEIGHTS[framework]
    for problem, shape, at in (
        ("n1 c4>3 i5x5 k2x5", plain_shape, plain),
        ("n1 c4>6 i5x5 k2x5 g2", grouped_shape, grouped),
    ):
        weight = np.zeros((4, 3, 2, 5))
        weight[1, 2, 0, 3] = 7
        theirs = weight_to(framework, weight, Geometry.parse(problem))
        assert theirs.shape == shape
        assert theirs[at] == 7


def test_groups_of_jax_share_the_output_axis() -> None:
    """Input channel 3 is the second group's second: row 1, in the columns 3 to 5 of that group."""
    weight = np.zeros((4, 3, 2))
    weight[3, 2, 1] = 7
    assert weight_to("jax", weight, Geometry.parse("n1 c4>6 i5 k2 g2"))[0, 1, 5] == 7


def test_a_reading_knows_how_its_own_weights_lie() -> None:
    """With transpose_kernel JAX takes them as TensorFlow does: (*kernel, out, in), not flipped."""
    weight = np.zeros((3, 5, 4))
    weight[0, 3, 2] = 7
    told = read(
        "jax", "lax.conv_transpose(x, jnp.ones((3, 5, 4)), (2,), 'SAME', transpose_kernel=True)", input=5
    )
    assert told.weight(weight)[2, 3, 0] == 7
    plain = read("jax", "lax.conv_transpose(x, jnp.ones((3, 5, 4)), (2,), 'SAME')", input=5)
    assert plain.weight(weight)[3, 2, 2] == 7


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_weights_come_back(framework: str, library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    for name in ("uneven_all", "group_uneven", "line_k5_s3", "cube_group"):
        geometry = dict(CASES)[name]
        ours = integer_arrays(geometry, "float32", seed=1).weight
        array = {"numpy": np.asarray, "torch": getattr(module, "tensor", None)}.get(library)
        array = array or module.numpy.asarray
        there = weight_to(framework, array(ours), geometry)
        assert type(there) is type(array(ours))
        assert np.array_equal(np.asarray(weight_from(framework, there, geometry)), ours)
