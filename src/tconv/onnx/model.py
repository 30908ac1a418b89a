"""ONNX files: read once they have been checked, written whole or not at all, and the constants in them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tconv.algebra.arrays import Array
from tconv.diagnosis.text import clean, said
from tconv.errors import TconvError
from tconv.files import aside, write_aside
from tconv.onnx import guards
from tconv.onnx.guards import LARGEST

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["constant", "constant_tensor", "files_beside", "quiet", "read", "write"]

#: What `read` leaves on the initializers of a model so old (IR version 3 and less) that it lists them among
#: its inputs, without meaning that a caller may replace them.
_FIXED = "tconv.fixed"


def read(path: str | os.PathLike[str]) -> ir.Model:
    """The model in a file; tensors outside of it are found and measured, and read when they are used.

    Raises:
        TconvError: no such file, not an ONNX model, cut short, larger than a file of this format can be; a
            cycle; sizes that disagree; an unknown opset; data that lies outside the model's folder or is not
            there.

    >>> import tempfile
    >>> from onnx import helper, TensorProto as T
    >>> x, y = (helper.make_tensor_value_info(name, T.FLOAT, ["n"]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    >>> path = Path(tempfile.mkdtemp(), "relu.onnx")
    >>> _ = path.write_bytes(helper.make_model(graph).SerializeToString())
    >>> [node.op_type for node in read(path).graph]
    ['Relu']
    """
    import onnx_ir as ir

    path = Path(path)
    proto = guards.parse(path)
    guards.check(proto, path)
    try:
        with quiet():
            model = ir.serde.deserialize_model(proto)
    except Exception as fault:  # onnx-ir wraps whatever it meets in classes of its own
        raise guards.unfit(path, fault) from fault
    for tensor in _tensors(model):
        if isinstance(tensor, ir.ExternalTensor):
            tensor.base_dir = path.parent if path.parent.name else path.parent.absolute()
    if model.ir_version < 4:
        for value in model.graph.initializers.values():
            value.meta[_FIXED] = True
    _check_layers(model)
    return model


def _check_layers(model: ir.Model) -> None:
    """Whether weights, attributes and shapes agree, those that inference finds included."""
    from tconv.onnx.convolutions import transposed  # which stands on this module
    from tconv.onnx.shapes import infer

    if transposed(model):
        sized = model.clone()
        infer(sized)
        transposed(sized)


def write(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write a model aside, then rename it.

    Its tensors lie beside it, in `path` + ".data", if they did so before, or if the whole is over 2 GB, which
    a file of this format cannot hold.

    Raises:
        TconvError: the file cannot be written, or its data would replace those of the model that was read.
    """
    path = Path(path)
    sources = files_beside(model)
    with _attributes_inside(model, path):
        if files_beside(model) or sum(tensor.nbytes for tensor in _tensors(model)) > LARGEST * 0.98:
            _write_in_two(model, path, sources)
            return
        data = _serialized(model, path)
        with write_aside(path) as file:
            file.write(data)


def files_beside(model: ir.Model) -> set[Path]:
    """The files beside a model that hold tensors of it."""
    import onnx_ir as ir

    return {Path(tensor.path) for tensor in _tensors(model) if isinstance(tensor, ir.ExternalTensor)}


@contextlib.contextmanager
def _attributes_inside(model: ir.Model, path: Path) -> Iterator[None]:
    """Tensors of attributes held in memory: where they lay is told from another folder than the new one's."""
    import onnx_ir as ir

    held = [
        (node, attribute)
        for node in _nodes(model)
        for attribute in node.attributes.values()
        if any(isinstance(tensor, ir.ExternalTensor) for tensor in _of_attribute(attribute))
    ]
    try:
        for node, attribute in held:
            inside = ir.external_data.convert_tensors_from_external(list(_of_attribute(attribute)))
            one = attribute.type == ir.AttributeType.TENSOR
            node.attributes[attribute.name] = ir.Attr(
                attribute.name, attribute.type, inside[0] if one else inside
            )
        yield
    except (OSError, ValueError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"cannot write {path}: {said(fault)}") from fault
    finally:
        for node, attribute in held:
            node.attributes[attribute.name] = attribute


def _serialized(model: ir.Model, path: Path) -> bytes:
    import onnx_ir as ir

    try:
        with quiet():
            proto = ir.serde.serialize_model(model)
            guards.check(proto, path, data=False)  # what could not be read again is not written
            data: bytes = proto.SerializeToString()
            return data
    except TconvError:
        raise
    except Exception as fault:  # protobuf's own, and onnx-ir's, share no base
        raise TconvError(f"cannot write {path}: {said(fault)}") from fault


def _write_in_two(model: ir.Model, path: Path, sources: set[Path]) -> None:
    """The tensors of any size into one file, then the model that points there.

    The model's file is renamed last, and one that it replaces goes first: at no moment does a model stand
    beside data that are not its own.
    """
    import onnx_ir as ir

    data = path.with_name(path.name + ".data")
    part = aside(data)
    if any(source.exists() and data.exists() and source.samefile(data) for source in sources):
        raise TconvError(f"cannot write {path}: {data.name} holds the data of the model that was read")
    values = [
        value
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
        and (value.const_value.nbytes >= 1024 or isinstance(value.const_value, ir.ExternalTensor))
    ]
    kept = [value.const_value for value in values]
    try:
        with quiet():
            made = ir.external_data.convert_tensors_to_external(
                [tensor for tensor in kept if tensor is not None], path.parent or ".", part.name
            )
        for value, tensor in zip(values, made, strict=True):
            value.const_value = ir.ExternalTensor(
                data.name, tensor.offset, tensor.length, tensor.dtype, shape=tensor.shape, name=tensor.name,
                base_dir=path.parent,
            )  # fmt: skip
        text = _serialized(model, path)
        with write_aside(path) as file:
            file.write(text)
            if data.exists():
                path.unlink(missing_ok=True)
            os.replace(part, data)
    except (OSError, ValueError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"cannot write {path}: {said(fault)}") from fault
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        for value, held in zip(values, kept, strict=True):
            value.const_value = held


def constant(value: ir.Value | None) -> Array | None:
    """The array behind a value: an initializer or a Constant node, also through Identity; None if computed.

    An initializer that is an input of its graph as well may be replaced by a caller, so it is no constant.

    >>> import onnx_ir as ir
    >>> node = ir.node("Constant", [], {"value_ints": [1, 2]})
    >>> constant(ir.node("Identity", [node.outputs[0]]).outputs[0])
    array([1, 2])
    >>> constant(ir.val("x")) is None
    True
    """
    value = _origin(value)
    with _named(value):
        tensor = _tensor(value)
        return None if tensor is None else tensor.numpy()


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of a constant as `constant` finds it, for its shape and type: numbers are not read."""
    value = _origin(value)
    with _named(value):
        return _tensor(value)


def _origin(value: ir.Value | None) -> ir.Value | None:
    """The value that Identity nodes hand on."""
    while value is not None:
        node = value.producer()
        if node is None or node.op_type != "Identity" or node.domain:
            break
        value = node.inputs[0] if len(node.inputs) == 1 else None
    return value


def _tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    import onnx_ir as ir

    if value is None or (value.is_graph_input() and _FIXED not in value.meta):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.dtype == ir.DataType.STRING else tensor


@contextlib.contextmanager
def _named(value: ir.Value | None) -> Iterator[None]:
    """What onnx-ir raises over a constant as an error that names it."""
    try:
        yield
    except (ValueError, TypeError, AssertionError, OSError, AttributeError) as fault:
        raise TconvError(f"constant {clean(value.name if value else '')}: {said(fault)}") from fault


def _tensors(model: ir.Model) -> Iterator[Any]:
    """Every tensor that the file holds or points to."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
    for node in _nodes(model):
        for attribute in node.attributes.values():
            yield from _of_attribute(attribute)


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    import onnx_ir as ir

    bodies: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for body in bodies:
        yield from ir.traversal.RecursiveGraphIterator(body)


def _of_attribute(attribute: ir.Attr) -> Iterator[Any]:
    """The tensors that an attribute holds."""
    import onnx_ir as ir

    if attribute.is_ref():
        return
    if attribute.type == ir.AttributeType.TENSOR:
        yield attribute.value
    elif attribute.type == ir.AttributeType.TENSORS:
        yield from attribute.value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what onnx-ir logs about a file: an error says the one line that is needed."""
    logger = logging.getLogger("onnx_ir")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
