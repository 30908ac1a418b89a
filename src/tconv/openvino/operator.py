"""The node that takes a layer's place: OpenVINO calls its `evaluate`, which calls the engine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13

from tconv.openvino.layers import Call, Found
from tconv.ops import conv_transpose, prepare
from tconv.planning import Layout

#: Created here, the engine's threads run on any core: OpenVINO binds the threads that call `evaluate` to one.
conv_transpose(np.zeros((1, 32, 64, 64), np.float32), np.zeros((32, 32, 4, 4), np.float32), stride=2)

__all__ = ["TconvConvTranspose", "output_for"]


class _Work:
    """What the clones of a node share: its call, and its weights, packed once."""

    def __init__(self, found: Found, layout: Layout) -> None:
        assert found.call is not None
        self.call: Call = found.call
        self.options: dict[str, Any] = {
            name: getattr(found.call, name)
            for name in ("stride", "padding", "dilation", "groups", "activation")
        }
        self.options["layout"] = self.layout = layout
        self.bias = found.bias
        self.layer = None if found.weight is None else prepare(found.weight, found.bias, **self.options)
        # OpenVINO merges nodes of one type, input and attributes: the numbers must be among these.
        said = hashlib.sha256(repr((found.call, layout)).encode())
        for numbers in (found.weight, found.bias):
            said.update(b"-" if numbers is None else np.ascontiguousarray(numbers).tobytes())
        self.digest = said.hexdigest()

    def run(self, target: Any, source: Any, weight: Any) -> None:
        if self.layer is not None:
            self.layer(source, out=target)
        else:
            channels = source.shape[1 if self.layout == "channels_first" else -1]
            weight = weight.reshape(channels, -1, *self.call.kernel)
            conv_transpose(source, weight, self.bias, out=target, **self.options)


class TconvConvTranspose(ov.Op):  # type: ignore[misc]
    """A transposed convolution, its bias and activation, of x and of weights that a model computes."""

    def __init__(self, inputs: Any, work: _Work) -> None:
        super().__init__(self)
        self._work = work
        self.set_arguments(inputs)
        self.constructor_validate_and_infer_types()

    def validate_and_infer_types(self) -> None:
        call, shape = self._work.call, self.get_input_partial_shape(0)
        axes, first = len(call.kernel), self._work.layout == "channels_first"
        batch: Any = -1
        sizes: list[Any] = [-1] * axes
        if shape.rank.is_static:
            batch = shape[0]
            sizes = [_size(call, axis, shape[axis + 1 + first]) for axis in range(axes)]
        made = [batch, call.channels, *sizes] if first else [batch, *sizes, call.channels]
        self.set_output_type(0, ov.Type.f32, ov.PartialShape(made))

    def clone_with_new_inputs(self, new_inputs: Any) -> TconvConvTranspose:
        return TconvConvTranspose(new_inputs, self._work)

    def visit_attributes(self, visitor: Any) -> bool:
        visitor.on_attributes({"digest": self._work.digest})
        return True

    def has_evaluate(self) -> bool:
        return True

    def evaluate(self, outputs: Any, inputs: Any) -> bool:
        target = outputs[0].data
        if target.size:
            self._work.run(target, inputs[0].data, inputs[1].data if len(inputs) > 1 else None)
        return True


def _size(call: Call, axis: int, size: Any) -> Any:
    """The output's size along an axis, or its limits."""
    if size.is_static:
        return call.sizes(axis, size.get_length())
    least = max(0, call.sizes(axis, max(1, size.get_min_length())))
    most = size.get_max_length()
    return ov.Dimension(least, -1 if most < 0 else call.sizes(axis, most))


def output_for(found: Found, layout: Layout) -> Any:
    """The output that takes the place of a layer's, with the name of the last node that it replaces.

    OpenVINO's convolutions keep channels last in memory. Where the engine's node does so too, the
    transpositions around it move nothing, and OpenVINO removes them.
    """
    inputs = [found.node.input_value(i) for i in range(1 if found.weight is not None else 2)]
    if layout == "channels_first":
        made = TconvConvTranspose(inputs, _Work(found, layout))
    else:
        assert found.call is not None
        spatial = range(2, 2 + len(found.call.kernel))
        inputs[0] = _transposed(inputs[0], 0, *spatial, 1)
        node = TconvConvTranspose(inputs, _Work(found, layout))
        node.set_friendly_name(f"{found.last.get_friendly_name()}/tconv")
        made = _transposed(node.output(0), 0, spatial[-1], *range(1, spatial[-1])).get_node()
    made.set_friendly_name(found.last.get_friendly_name())
    return made.output(0)


def _transposed(value: Any, *order: int) -> Any:
    return opset13.transpose(value, opset13.constant(np.array(order, np.int64))).output(0)
