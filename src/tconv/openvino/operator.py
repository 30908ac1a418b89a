"""The node that takes a layer's place: OpenVINO calls its `evaluate`, which calls the engine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import openvino as ov

from tconv.openvino.layers import Call, Found
from tconv.ops import conv_transpose, prepare

__all__ = ["TconvConvTranspose", "node_for"]


class _Work:
    """What the clones of a node share: its call, and its weights, packed once."""

    def __init__(self, found: Found) -> None:
        assert found.call is not None
        self.call: Call = found.call
        self.options: dict[str, Any] = {
            name: getattr(found.call, name)
            for name in ("stride", "padding", "dilation", "groups", "activation")
        }
        self.bias = found.bias
        self.layer = None if found.weight is None else prepare(found.weight, found.bias, **self.options)
        # OpenVINO merges nodes of one type, input and attributes: the numbers must be among these.
        said = hashlib.sha256(repr(found.call).encode())
        for numbers in (found.weight, found.bias):
            said.update(b"-" if numbers is None else np.ascontiguousarray(numbers).tobytes())
        self.digest = said.hexdigest()

    def run(self, target: Any, source: Any, weight: Any) -> None:
        if self.layer is not None:
            self.layer(source, out=target)
        else:
            weight = weight.reshape(source.shape[1], -1, *self.call.kernel)
            conv_transpose(source, weight, self.bias, out=target, **self.options)


class TconvConvTranspose(ov.Op):
    """A transposed convolution, its bias and activation, of x and of weights that a model computes."""

    def __init__(self, inputs: Any = None, work: Any = None) -> None:
        super().__init__(self)
        self._work: _Work = work
        if inputs is not None:
            self.set_arguments(inputs)
            self.constructor_validate_and_infer_types()

    def validate_and_infer_types(self) -> None:
        call, shape = self._work.call, self.get_input_partial_shape(0)
        if shape.rank.is_dynamic:
            sizes: list[Any] = [-1] * len(call.kernel)
            batch: Any = -1
        else:
            batch = shape[0]
            sizes = [_size(call, axis, shape[axis + 2]) for axis in range(len(call.kernel))]
        self.set_output_type(0, ov.Type.f32, ov.PartialShape([batch, call.channels, *sizes]))

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


def node_for(found: Found) -> Any:
    """The engine's node for a layer, with the layer's inputs and the name of what it replaces."""
    inputs = [found.node.input_value(i) for i in range(1 if found.weight is not None else 2)]
    made = TconvConvTranspose(inputs, _Work(found))
    made.set_friendly_name(found.last.get_friendly_name())
    return made
