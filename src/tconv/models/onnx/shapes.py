"""The sizes of every value of a model, as far as the file, ONNX's inference and shape arithmetic give them.

ONNX's inference stops where an exporter computes a shape from other shapes (Shape, Gather, Concat, Reshape)
by operators that it does not follow. Those handle a few integers each: they are computed here as soon as
their inputs are known, and inference continues from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tconv.algebra.arrays import Array
from tconv.errors import TconvError, clean, unknown
from tconv.models.onnx.constants import constant, held
from tconv.models.onnx.nodes import name_of, opset_at, quiet, sizes_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["infer", "set_sizes"]

_ROUNDS = 12  # of folding, then inferring, each as far as possible
_MOST = 1_000_000  # numbers of a Range
_FEW = 64  # numbers: more are not a shape
#: Operators on shapes; none of them outputs more numbers than it reads.
_FOLDED = frozenset(
    [
        "Abs", "Add", "And", "Cast", "Ceil", "Concat", "Div", "Equal", "Floor", "Gather", "Greater",
        "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "ReduceProd", "Reshape", "Round",
        "Slice", "Squeeze", "Sub", "Sum", "Unsqueeze", "Where",
    ]
)  # fmt: skip


def set_sizes(model: ir.Model, sizes: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write known sizes into a model: of named axes, and whole shapes ("": of the only input).

    Shapes may be those of inputs, or of values in the graph whose size depends on the data.

    Raises:
        TconvError: no axis or input of that name, or a shape that contradicts the model's.
    """
    import onnx_ir as ir

    inputs = {str(value.name): value for value in model.graph.inputs if value.const_value is None}
    open_ = {
        str(size.value)
        for value in inputs.values()
        for size in value.shape or ()
        if not isinstance(size, int) and size.value
    }
    for name in sizes:
        if name not in open_:
            raise unknown("open axis", name, sorted(open_))
    for value in inputs.values():
        if value.shape is not None:
            sized = [
                size if isinstance(size, int) else sizes.get(str(size.value), size) for size in value.shape
            ]
            value.shape = ir.Shape(sized)
    inside = {str(value.name): value for node in model.graph for value in node.outputs}
    for name, shape in shapes.items():
        if name not in inputs and name not in inside and (name or len(inputs) != 1):
            raise unknown("input", name, inputs)
        if name in inside and inside[name].is_graph_output() and not inside[name].uses():
            fits = ", ".join(map(clean, inputs))
            raise TconvError(
                f"input {clean(name)} is an output, whose shape follows from the inputs; {fits} would fit"
            )
        value = inputs.get(name) or inside.get(name) or next(iter(inputs.values()))
        if value.shape is not None:
            known = sizes_of(value)
            spelt = "x".join("?" if size is None else str(size) for size in known)
            if len(known) != len(shape) or any(k not in (None, s) for k, s in zip(known, shape, strict=True)):
                raise TconvError(f"input {clean(value.name)} is {spelt}, not {'x'.join(map(str, shape))}")
        value.shape = ir.Shape(shape)


def infer(model: ir.Model) -> None:
    """Write the sizes of its values into a model; nodes with few known numbers become constants.

    The model's outputs stay the same, but the model changes: work on a clone.

    Raises:
        TconvError: shapes that contradict each other.
    """
    from onnx_ir.passes.common import ShapeInferencePass

    infer_once = ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)
    for _ in range(_ROUNDS):
        _check_ranges(model)
        with quiet():
            infer_once(model)
        if not _fold(model):
            return


def _check_ranges(model: ir.Model) -> None:
    """Refuse a Range of constants that inference would write out, however long: 0.4 s per million numbers."""
    for node, _ in walk(model):
        if node.op_type != "Range" or node.domain:
            continue
        ends = [
            None if (found := held(value)) is None or prod(found.shape) != 1 else constant(value)
            for value in node.inputs
        ]
        if len(ends) != 3 or any(end is None for end in ends):
            continue
        start, limit, step = (float(end.item()) for end in ends if end is not None)
        numbers = (limit - start) / step if step else 0.0
        if numbers > _MOST:
            raise TconvError(
                f"{clean(name_of(node))}: a Range of {numbers:,.0f} numbers; up to {_MOST:,} would fit"
            )


def _fold(model: ir.Model) -> bool:
    """Compute what can be computed now; True if anything was."""
    changed = False
    for node, where in walk(model):
        found = _value(node, model, where)
        if found is not None:
            _make_constant(node, found)
            changed = True
    return changed


def _value(node: ir.Node, model: ir.Model, where: str) -> Array | None:
    """The few integers that a node outputs; None if they are many, or not known."""
    if node.domain or len(node.outputs) != 1 or not node.inputs:
        return None
    if node.op_type in ("Shape", "Size"):
        sizes = sizes_of(node.inputs[0])
        if None in sizes or (not sizes and (node.inputs[0] is None or node.inputs[0].shape is None)):
            return None
        if node.op_type == "Size":
            count = prod(size or 0 for size in sizes)
            return np.asarray(count, np.int64) if count < 1 << 63 else None
        start, end = (node.attributes.get(name) for name in ("start", "end"))
        ends = slice(None if start is None else start.value, None if end is None else end.value)
        return np.asarray(sizes[ends], np.int64)
    if node.op_type not in _FOLDED:
        return None
    read = list(_read(node))
    if any(array is None or array.size > _FEW or array.dtype.kind not in "iufb" for array in read):
        return None
    return _computed(node, opset_at(model, where), [array for array in read if array is not None])


def _read(node: ir.Node) -> Iterator[Array | None]:
    for value in node.inputs:
        if value is None:
            continue
        found = held(value)
        few = found is not None and prod(found.shape) <= _FEW  # others are not read: they may be large
        yield constant(value) if few else None


def _computed(node: ir.Node, version: int, read: list[Array]) -> Array | None:
    import onnx_ir as ir
    from onnx.reference import ReferenceEvaluator

    proto = ir.to_proto(node)
    if node.op_type in ("Squeeze", "Unsqueeze") and "axes" in node.attributes and version < 13:
        # onnx's evaluator of 1.23 fails on axes that are an attribute, as they were before opset 13.
        axes = np.asarray(node.attributes["axes"].value, np.int64)
        proto.ClearField("attribute")
        proto.input.append("axes of an attribute")
        read, version = [*read, axes], 13
    feeds = dict(zip((name for name in proto.input if name), read, strict=True))
    with quiet(), np.errstate(all="ignore"):
        try:
            (found,) = ReferenceEvaluator(proto, opsets={"": version}).run(None, feeds)
        except Exception:  # an invalid operation is left to the runtime: its output stays unknown
            return None
    few = isinstance(found, np.ndarray | np.generic) and found.size <= _FEW and found.dtype.kind in "iufb"
    return np.asarray(found) if few else None


def _make_constant(node: ir.Node, array: Array) -> None:
    import onnx_ir as ir

    node.op_type = "Constant"
    node.resize_inputs(0)
    node.attributes.clear()
    node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array))
    node.outputs[0].shape = ir.Shape(array.shape)
