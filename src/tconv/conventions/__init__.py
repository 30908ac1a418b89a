"""The same layer in other frameworks: calls read and written, and weights converted.

`read` parses a call in a user's code, without running it, and gives the Geometry that the framework
computes.  `write` gives the call to paste.  Where a framework cannot express a layer, the closest call comes
with an exact pad or crop around it.  `weight_to` and `weight_from` convert the weights.

>>> read("keras", "Conv2DTranspose(8, 3, strides=2, padding='same')", input=(5, 5), channels=4).geometry
Geometry.parse('n1 c4>8 i5x5 k3 s2 p0:1')
>>> write("pytorch", Geometry.parse("n1 c64>32 i8x8 k4 s2 p1")).line
'nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False)'
>>> write("pytorch", Geometry.parse("n1 c4>8 i5x5 k3 s2 p0:1")).after  # crops the last row and column
((0, -1), (0, -1))
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from tconv.conventions import caffe, jax, keras, onnx, pytorch, tensorflow, tflite
from tconv.conventions.answers import Call, CallContext, Reading
from tconv.errors import TconvError, unknown
from tconv.geometry import Geometry
from tconv.geometry.normalize import shown, whole

__all__ = ["FRAMEWORKS", "READINGS", "Call", "Reading", "read", "weight_from", "weight_to", "write"]

_TABLE: Any = MappingProxyType(
    {
        "pytorch": pytorch,
        "tensorflow": tensorflow,
        "keras": keras,
        "jax": jax,
        "onnx": onnx,
        "caffe": caffe,
        "tflite": tflite,
    }
)

#: The frameworks' names.
FRAMEWORKS: tuple[str, ...] = tuple(_TABLE)

#: Framework -> the runtimes whose interpretation of a call can be chosen, the default one first.
READINGS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {name: module.READINGS for name, module in _TABLE.items()}
)


def _checked(geometry: Geometry) -> Geometry:
    if not isinstance(geometry, Geometry):
        raise TconvError(f"{shown(geometry)} is no Geometry; tconv.Geometry.parse(text) makes one")
    return geometry


def _find(framework: str) -> Any:
    if not isinstance(framework, str) or framework not in FRAMEWORKS:
        raise unknown("framework", framework, FRAMEWORKS)
    return _TABLE[framework]


def _sizes(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(sizes) <= 3:
        raise TconvError(f"{name}={shown(value)} has {len(sizes)} axes; 1, 2 or 3 would fit")
    return tuple(whole(name, size) for size in sizes)


def read(
    framework: str,
    call: str,
    *,
    input: int | Sequence[int],
    channels: int | tuple[int | None, int | None] | None = None,
    batch: int = 1,
    kernel: int | Sequence[int] | None = None,
    reading: str | None = None,
) -> Reading:
    """The Geometry that `framework` computes for `call`, the line in a user's code.

    `input` is the spatial sizes (one int stands for all axes).  Where the call does not contain them,
    `channels` is the input channels or (in, out), and `kernel` the kernel's sizes; an array that is made in
    the call, such as `jnp.ones((3, 3, 8, 4))`, determines both.  `reading` names a runtime of `READINGS`
    where two interpret one call differently.

    >>> read("pytorch", "self.up = nn.ConvTranspose2d(64, 32, 4, 2, 1)", input=8).geometry
    Geometry.parse('n1 c64>32 i8x8 k4 s2 p1')
    >>> node = 'ConvTranspose(kernel_shape=[3], strides=[2], auto_pad="SAME_UPPER", output_shape=[10])'
    >>> for runtime in ("onnxruntime", "openvino"):
    ...     print(read("onnx", node, input=5, reading=runtime).geometry.padding)
    ((0, 1),)
    ((1, 0),)
    """
    module = _find(framework)
    if reading is not None and not (isinstance(reading, str) and reading in module.READINGS):
        raise unknown("reading=", reading, module.READINGS, f" for {framework}")
    pair = channels if isinstance(channels, tuple | list) else (channels, None)
    if len(pair) != 2:
        raise TconvError(f"channels={shown(channels)}; give the input channels, or (in, out)")
    context = CallContext(
        _sizes("input", input),
        (
            None if pair[0] is None else whole("channels", pair[0]),
            None if pair[1] is None else whole("channels", pair[1]),
        ),
        whole("batch", batch),
        None if kernel is None else _sizes("kernel", kernel),
        reading or module.READINGS[0],
    )
    answer: Reading = module.read(call, context)
    return answer


def write(framework: str, geometry: Geometry) -> Call:
    """The call of `framework` that computes `geometry`, or the closest one and what to pad or crop around it.

    >>> print(write("keras", Geometry.parse("n1 c4>8 i5x5 k3 s2 p1 o1")).code)
    import keras
    layer = keras.layers.Conv2DTranspose(8, 3, strides=2, use_bias=False)
    layer.build(x.shape)
    layer.set_weights([w])
    y = layer(x)
    y = y[:, 1:, 1:]
    """
    answer: Call = _find(framework).write(_checked(geometry))
    return answer


def weight_to(framework: str, weight: Any, geometry: Geometry) -> Any:
    """Weights in tconv's layout, (in, out/groups, *kernel), as the call of `write` takes them.

    An array of NumPy, PyTorch or JAX; a view of it where the library makes views.

    >>> weight_to("keras", np.zeros((4, 8, 3, 3)), Geometry.parse("n1 c4>8 i5x5 k3 s2 p0:1")).shape
    (3, 3, 8, 4)
    """
    layout = _find(framework).layout(_checked(geometry))
    return layout.to_theirs(weight, geometry)


def weight_from(framework: str, weight: Any, geometry: Geometry) -> Any:
    """Weights as the call of `write` takes them, in tconv's layout, (in, out/groups, *kernel).

    >>> weight_from("keras", np.zeros((3, 3, 8, 4)), Geometry.parse("n1 c4>8 i5x5 k3 s2 p0:1")).shape
    (4, 8, 3, 3)
    """
    layout = _find(framework).layout(_checked(geometry))
    return layout.from_theirs(weight, geometry)
