"""The transposed convolutions of an OpenVINO model: what each computes, and why some stay OpenVINO's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tconv.geometry.axis import reach
from tconv.geometry.normalize import Sides
from tconv.planning import Activation

__all__ = ["Call", "Found", "find", "in_bodies"]

_NAMES = ("ConvolutionBackpropData", "GroupConvolutionBackpropData")


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a layer computes; entries of tuples are one per spatial axis."""

    stride: tuple[int, ...]
    padding: Sides  #: cropped from the full output; output padding is subtracted
    dilation: tuple[int, ...]
    kernel: tuple[int, ...]
    groups: int
    channels: int  #: of the output
    activation: Activation = None

    def sizes(self, axis: int, size: int) -> int:
        """The output's size along an axis for a size of the input."""
        full = (size - 1) * self.stride[axis] + reach(self.kernel[axis], self.dilation[axis])
        return full - sum(self.padding[axis])


@dataclass(frozen=True)
class Found:
    """A layer of a model, and what the engine would compute; `reason` says why the layer stays OpenVINO's."""

    node: Any
    reason: str = ""
    call: Call | None = None
    weight: np.ndarray[Any, Any] | None = None  #: (c_in, c_out/groups, *kernel); None: computed by the model
    bias: np.ndarray[Any, Any] | None = None
    last: Any = None  #: the last node that the engine's would replace

    @property
    def name(self) -> str:
        return str(self.node.get_friendly_name())

    @property
    def is_product(self) -> bool:
        """Whether it is a plain matrix product, for which OpenVINO needs nothing of the engine."""
        return self.call is not None and prod(self.call.kernel) == prod(self.call.stride) == 1

    @property
    def is_widened(self) -> bool:
        """Whether what follows has more axes; OpenVINO 2026.4 moves a transposition wrongly across that."""
        axes = self.node.get_output_partial_shape(0).rank.get_length()
        users = [use.get_node() for use in self.last.output(0).get_target_inputs()]
        ranks = [user.get_input_partial_shape(i).rank for user in users for i in range(user.get_input_size())]
        return any(rank.is_dynamic or rank.get_length() > axes for rank in ranks)


def find(model: Any) -> list[Found]:
    """Every transposed convolution of a model in the order of its run, but those that `in_bodies` finds."""
    return [_found(node) for node in _layers(model)]


def _layers(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() in _NAMES]


def in_bodies(model: Any) -> Iterator[tuple[str, str]]:
    """The names of the layers inside branches and loops, and the operators that they are in.

    A name begins with those of the operators around it: "If_1/then/up", "Loop_2/body/up".
    """
    for node in model.get_ordered_ops():
        kind = str(node.get_type_name())
        if kind == "If":
            bodies = {"then": node.get_then_body(), "else": node.get_else_body()}
        else:
            bodies = {"body": node.get_function()} if kind in ("Loop", "TensorIterator") else {}
        for which, body in bodies.items():
            inside = [(found.get_friendly_name(), kind) for found in _layers(body)]
            for name, within in (*inside, *in_bodies(body)):
                yield f"{node.get_friendly_name()}/{which}/{name}", within


def _found(node: Any) -> Found:
    if node.get_input_size() > 2:
        return Found(node, "it is told its output's sizes")
    if any(str(node.get_input_element_type(i).get_type_name()) != "f32" for i in range(2)):
        return Found(node, "it does not compute in float32")
    shape = node.input(1).get_partial_shape()
    if not shape.is_static:
        return Found(node, "the shape of its weights is not known")
    sizes = tuple(shape.to_shape())
    groups = int(sizes[0]) if node.get_type_name() == _NAMES[1] else 1
    sizes = sizes[1:] if groups > 1 or node.get_type_name() == _NAMES[1] else sizes
    told = node.get_attributes()
    ends = zip(told["pads_begin"], told["pads_end"], told["output_padding"], strict=True)
    call = Call(
        stride=tuple(told["strides"]),
        padding=tuple((lo, hi - extra) for lo, hi, extra in ends),
        dilation=tuple(told["dilations"]),
        kernel=tuple(map(int, sizes[2:])),
        groups=groups,
        channels=int(sizes[1]) * groups,
    )
    source = node.input_value(1).get_node()
    weight = constant(source)
    if weight is None and not _computed(source):
        return Found(node, "its weights are quantized, or else computed from constants, which OpenVINO folds")
    if weight is not None:
        weight = weight.reshape(int(sizes[0]) * groups, *map(int, sizes[1:]))
    last, bias = node, None
    follower = _follower(last)
    if follower is not None and follower.get_type_name() == "Add":
        bias = _bias(follower, last, call)
        last = follower if bias is not None else last
    follower = _follower(last)
    activation = None if follower is None else _activation(follower, call.channels)
    if activation is not None:
        last = follower
    return Found(node, "", Call(**{**vars(call), "activation": activation}), weight, bias, last)


def constant(node: Any) -> np.ndarray[Any, Any] | None:
    """The numbers of a constant in float32, also behind a conversion as in compressed files; else None."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
        if node.get_element_type().get_type_name() not in ("f16", "bf16", "f64"):
            return None
    if node.get_type_name() != "Constant":
        return None
    return np.array(node.get_data(dtype=np.float32), np.float32)


def _computed(node: Any) -> bool:
    """Whether a value depends on an input of the model."""
    seen, left = set(), [node]
    while left:
        here = left.pop()
        if here.get_type_name() in ("Parameter", "ReadValue"):
            return True
        if here.get_name() not in seen:
            seen.add(here.get_name())
            left += [value.get_node() for value in here.input_values()]
    return False


def _follower(node: Any) -> Any:
    """The node that alone reads this one's output."""
    uses = list(node.output(0).get_target_inputs())
    return uses[0].get_node() if len(uses) == 1 else None


def _bias(node: Any, layer: Any, call: Call) -> np.ndarray[Any, Any] | None:
    """What an Add adds to each channel, if it does that and no more."""
    others = [value.get_node() for value in node.input_values() if value.get_node() != layer]
    added = constant(others[0]) if len(others) == 1 else None
    return None if added is None else _by_channel(added, call.channels, len(call.kernel))


def _by_channel(numbers: np.ndarray[Any, Any], channels: int, axes: int) -> np.ndarray[Any, Any] | None:
    """Numbers that are broadcast over everything but channels, one for each channel."""
    if numbers.ndim > axes + 2:
        return None
    whole = numbers.reshape((1,) * (axes + 2 - numbers.ndim) + numbers.shape)
    if whole.shape not in ((1, channels, *(1,) * axes), (1,) * (axes + 2)):
        return None
    return np.ascontiguousarray(np.broadcast_to(whole.ravel(), (channels,)))


#: Activations without numbers.
_PLAIN = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "HSwish": "hardswish", "Mish": "mish"}


def _activation(node: Any, channels: int) -> Activation:
    """A node as an activation of the engine; None if it is none."""
    name, told = node.get_type_name(), node.get_attributes()
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "Clamp":
        return ("clamp", float(told["min"]), float(told["max"]))
    if name == "Elu":
        return ("elu", float(told["alpha"]))
    if name == "Gelu":
        return "gelu_tanh" if str(told.get("approximation_mode", "ERF")).upper() == "TANH" else "gelu"
    if name == "Swish":
        beta = constant(node.input_value(1).get_node()) if node.get_input_size() > 1 else np.ones(1)
        return "silu" if beta is not None and beta.size == 1 and beta.ravel()[0] == 1 else None
    if name == "PRelu":
        slopes = constant(node.input_value(1).get_node())
        if (
            slopes is not None
            and slopes.size in (1, channels)
            and max(slopes.shape, default=1) == slopes.size
        ):
            if slopes.size == 1:
                return ("leaky_relu", float(slopes.ravel()[0]))
            return ("prelu", *map(float, slopes.ravel())) if slopes.ndim == 1 else None
    return None
