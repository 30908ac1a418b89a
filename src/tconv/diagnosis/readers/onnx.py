"""ONNX models: weights as initializers or Constant nodes, sizes as far as shape inference gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from tconv.algebra.arrays import Array
from tconv.conventions import read as read_call
from tconv.diagnosis.graph import Graph, Node
from tconv.diagnosis.layers import ModelLayer, stand_in
from tconv.diagnosis.readers.convolutions import conv_layer
from tconv.diagnosis.readers.source import Source, nearest_names, only
from tconv.errors import TconvError
from tconv.geometry import Geometry
from tconv.geometry.normalize import Sides, shown

__all__ = ["of_model", "read"]

_POINTWISE = frozenset(
    [
        "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish",
        "Softplus", "Softsign", "Clip", "Gelu", "Mish", "Identity", "Dropout", "Cast", "Neg", "Abs", "Exp",
        "Sqrt", "Erf",
    ]
)  # fmt: skip
_JOINS = frozenset(("Add", "Mul", "Sub", "Concat", "Sum", "Max"))


def read(
    path: Path,
    *,
    layers: Mapping[str, Geometry | None],
    problem: Geometry | None,
    sizes: Mapping[str, tuple[int, ...]],
) -> Source:
    """All transposed convolutions, and the convolutions around them; `layers` picks some by name."""
    import onnx

    try:
        model = onnx.load(path)
    except Exception as fault:  # protobuf's and onnx's own classes share no base
        raise TconvError(f"{path} is no whole ONNX model: {str(fault).splitlines()[0][:150]}") from fault
    if not model.graph.node:
        raise TconvError(f"{path} is no whole ONNX model: its graph has no nodes")
    _set_sizes(path, model, sizes)
    return of_model(model, path, layers)


def of_model(model: Any, path: Path | str, layers: Mapping[str, Geometry | None]) -> Source:
    """What `read` answers, of a model that has been read; `path` is its name in errors."""
    import onnx

    try:
        graph = _graph(model)
    except TconvError:
        raise
    except (
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
    ) as fault:  # bytes for text, tensors of another length
        raise TconvError(f"{path} is no whole ONNX model: {str(fault).splitlines()[0][:150]}") from fault
    known = list(graph.layers())
    if not any(not layer.conv for layer in known):
        names = sorted({str(node.op_type) for node in model.graph.node})
        some = ", ".join([name for name in names if name.isprintable()][:8])
        raise TconvError(f"{path}: no transposed convolution with weights of its own in it; it has {some}")
    where = {node.options["layer"].name: node.inputs[1] for node in graph.nodes if "layer" in node.options}

    def save(file: IO[bytes], weights: Mapping[str, Array]) -> None:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        _put(changed, {where[name]: weight for name, weight in weights.items()})
        file.write(changed.SerializeToString())

    return Source(layers=only(known, layers, str(path)), graph=graph, save=save, notes=_notes(model, graph))


def _notes(model: Any, graph: Graph) -> tuple[str, ...]:
    """Transposed convolutions that are there and cannot be looked at."""
    seen = {node.name for node in graph.nodes if node.kind == "transposed"}
    computed = [name for name in _named(model.graph, "ConvTranspose") if name not in seen]
    nested = [
        name
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.HasField("g")
        for name in _named(attribute.g, "ConvTranspose")
    ]
    return tuple(
        f"not looked at: {', '.join(names)} ({why})"
        for names, why in ((computed, "weights computed in the model"), (nested, "in a branch or loop"))
        if names
    )


def _named(graph: Any, op: str) -> list[str]:
    return [node.name or node.output[0] for node in graph.node if node.op_type == op]


def _set_sizes(path: Path, model: Any, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Write known sizes into the inputs, so that shape inference can use them."""
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in held}
    for name, shape in sizes.items():
        if name not in inputs and (name or len(inputs) != 1):
            raise TconvError(f"{path}: no input {name!r}; {nearest_names(name, inputs)}")
        value = inputs[name] if name else next(iter(inputs.values()))
        dims = value.type.tensor_type.shape.dim
        if len(dims) != len(shape):
            raise TconvError(f"{path}: input {value.name!r} has {len(dims)} axes, not {len(shape)}")
        for dim, size in zip(dims, shape, strict=True):
            dim.dim_value = size


def _graph(model: Any) -> Graph:
    import onnx
    from onnx import numpy_helper

    constants: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        constants[tensor.name] = numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                constants[node.output[0]] = numpy_helper.to_array(value)
            for attribute in node.attribute:
                if attribute.name in ("value_ints", "value_floats", "value_int", "value_float"):
                    constants[node.output[0]] = np.asarray(onnx.helper.get_attribute_value(attribute))
    try:
        shaped = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    except Exception:  # an operator that inference does not know: sizes stay unknown, which is said
        shaped = model
    shapes = {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
            for dim in value.type.tensor_type.shape.dim
        )
        for value in (*shaped.graph.value_info, *shaped.graph.input, *shaped.graph.output)
    }
    nodes = [_node(node, i, constants, shapes) for i, node in enumerate(model.graph.node)]
    return Graph(nodes, constants, (value.name for value in model.graph.output))


def _node(node: Any, index: int, constants: Mapping[str, Array], shapes: Mapping[str, Any]) -> Node:
    import onnx

    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    op, inputs = node.op_type if node.domain in ("", "ai.onnx") else "", tuple(node.input)
    name = node.name or (node.output[0] if node.output else f"{op}_{index}")
    read_kind = _KINDS.get(op)
    made = read_kind(name, inputs, options, constants, shapes) if read_kind else None
    if made is None:
        computed = [i for i in inputs if i and i not in constants]
        joins = (
            op in _JOINS and options.get("axis", 1) % _rank(inputs[0], shapes) == 1
        )  # along other axes sizes need not meet
        if op in _POINTWISE or (joins and len(computed) == 1):
            # A constant added right after a layer is its bias in some exporters' writing.
            made = "pointwise", {"bias": op == "Add"}
        elif joins:
            made = "join", {}
        else:
            made = "other", {}
    kind, found = made
    return Node(kind=kind, name=name, inputs=inputs, outputs=tuple(node.output), options=found)


def _rank(name: str, shapes: Mapping[str, Any]) -> int:
    return len(shapes.get(name, ())) or 4  # that of pictures, where inference does not tell


def _sizes(name: str, axes: int, shapes: Mapping[str, Any]) -> tuple[int | None, ...]:
    shape = shapes.get(name, ())
    return tuple(shape[2:]) if len(shape) == axes + 2 else (None,) * axes


def _weight(name: str, constants: Mapping[str, Array]) -> Array | None:
    weight = constants.get(name)
    if weight is None or not 3 <= weight.ndim <= 5:
        return None
    # NumPy has no bfloat16 of its own; float32 holds all of its values.
    return weight.astype(np.float32) if weight.dtype.kind == "V" else weight


def _numbers(options: Mapping[str, Any], name: str, count: int, default: int) -> tuple[int, ...]:
    """An attribute of so many whole numbers."""
    found = options.get(name, [default] * count)
    if not isinstance(found, list) or len(found) != count or not all(isinstance(n, int) for n in found):
        raise TconvError(f"{name}={shown(found)}; {count} whole numbers would fit")
    return tuple(found)


def _sides(options: Mapping[str, Any], axes: int) -> Sides:
    flat = _numbers(options, "pads", 2 * axes, 0)
    return tuple(zip(flat[:axes], flat[axes:], strict=True))


def _transposed(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    weight = _weight(inputs[1], constants)
    if weight is None:
        return None
    axes, groups = weight.ndim - 2, options.get("group", 1)
    found = _sizes(inputs[0], axes, shapes)
    guess = stand_in(_numbers(options, "strides", axes, 1), _sides(options, axes))
    given = {"kernel_shape": list(weight.shape[2:]), **options}
    call = f"ConvTranspose({', '.join(f'{key}={_literal(value)}' for key, value in given.items())})"
    geometry = read_call(
        "onnx",
        call,
        input=tuple(size or stand for size, stand in zip(found, guess, strict=True)),
        channels=(weight.shape[0], weight.shape[1] * groups),
        batch=next(iter(shapes.get(inputs[0], ())), None) or 1,
    ).geometry
    layer = ModelLayer(name=name, geometry=geometry, weight=weight, sized=None not in found)
    return "transposed", {"layer": layer}


def _literal(value: Any) -> str:
    return repr(value.decode() if isinstance(value, bytes) else value)


def _conv(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    weight = _weight(inputs[1], constants)
    if weight is None:
        return None
    axes = weight.ndim - 2
    if options.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    return conv_layer(
        name,
        weight,
        sizes=_sizes(inputs[0], axes, shapes),
        stride=_numbers(options, "strides", axes, 1),
        padding=_sides(options, axes),
        dilation=_numbers(options, "dilations", axes, 1),
        groups=options.get("group", 1),
    )


def _norm(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    return None if options.get("training_mode") else ("norm", {"epsilon": options.get("epsilon", 1e-5)})


def _nearest(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    """Resize or Upsample, if it repeats every value a whole number of times."""
    if options.get("mode", b"nearest") != b"nearest":
        return None
    known = [constants[i] for i in inputs[1:] if i in constants and constants[i].size]
    scales = next((array for array in known if array.dtype.kind == "f" and array.size > 2), None)
    if scales is None or (len(inputs) == 4 and inputs[3]):
        return None
    factors = tuple(int(scale) for scale in scales)
    way = options.get("coordinate_transformation_mode", b"half_pixel")
    rounding = options.get("nearest_mode", b"round_prefer_floor")
    # Half-pixel centres lie within half a pixel of their own source; without them floor keeps to it.
    rounds = rounding in (b"round_prefer_floor", b"round_prefer_ceil")
    halves = way in (b"half_pixel", b"pytorch_half_pixel")
    repeats = (halves and rounds) or (way == b"asymmetric" and rounding == b"floor")
    if "coordinate_transformation_mode" not in options and len(inputs) == 2:
        repeats = True  # Upsample, and Resize of opset 10: floor of the quotient
    if not repeats or factors != tuple(scales) or factors[:2] != (1, 1) or max(factors) < 2:
        return None
    return "nearest", {"factor": factors[2:]}


def _crop(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    axes = options.get("axes", constants.get(inputs[3]) if len(inputs) > 3 else None)
    rank = _rank(inputs[0], shapes)
    if axes is None or all(axis % rank < 2 for axis in np.ravel(axes)):
        return None
    return "crop", {"axes": [int(axis) % rank for axis in np.ravel(axes)]}


def _pad(
    name: str, inputs: tuple[str, ...], options: Mapping[str, Any], constants: Any, shapes: Any
) -> tuple[str, dict[str, Any]] | None:
    amounts = options.get("pads", constants.get(inputs[1]) if len(inputs) > 1 else None)
    return ("pad", {}) if amounts is None or any(np.ravel(amounts)) else ("pointwise", {})


_KINDS: Mapping[str, Any] = MappingProxyType(
    {
        "ConvTranspose": _transposed,
        "Conv": _conv,
        "BatchNormalization": _norm,
        "Resize": _nearest,
        "Upsample": _nearest,
        "Slice": _crop,
        "CenterCropPad": lambda *_: ("crop", {}),
        "Pad": _pad,
    }
)


def _put(model: Any, weights: Mapping[str, Array]) -> None:
    """Replace the tensors of these names, where they stand."""
    from onnx import numpy_helper

    for tensor in _tensors(model):
        name, held = tensor
        if name in weights:
            dtype = numpy_helper.to_array(held).dtype  # bfloat16 was read as float32
            made = numpy_helper.from_array(np.ascontiguousarray(weights[name]).astype(dtype), held.name)
            held.CopyFrom(made)


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
