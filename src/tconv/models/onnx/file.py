"""ONNX files: read after they have been checked, and written atomically."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tconv.arguments import checked
from tconv.errors import TconvError, said
from tconv.files import write_aside
from tconv.models.onnx import guards, pair
from tconv.models.onnx.constants import FIXED
from tconv.models.onnx.guards import LARGEST
from tconv.models.onnx.nodes import quiet, tensors, tensors_of, walk

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["files_beside", "in_one_piece", "read", "serialized", "write"]

_PAGE = 4096  # bytes


def read(path: str | os.PathLike[str]) -> ir.Model:
    """The model in a file; external tensors are located and their size is checked; they are read on use.

    Raises:
        TconvError: no such file, not an ONNX model, truncated, larger than a file of this format can be; a
            cycle; sizes that disagree; an unknown opset; data that are missing or outside the model's folder.

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
    except Exception as fault:  # onnx-ir wraps all errors in its own classes
        raise guards.unfit(path, fault) from fault
    for tensor in tensors(model):
        if isinstance(tensor, ir.ExternalTensor):
            tensor.base_dir = path.parent if path.parent.name else path.parent.absolute()
    if model.ir_version < 4:
        for value in model.graph.initializers.values():
            value.meta[FIXED] = True
    return model


@checked
def write(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a temporary file and rename it.

    Its tensors go to a second file if they were external before, or if the model is over 2 GB, which a file
    of this format cannot hold. It is `path` + ".data"; where a model is replaced, which somebody may be
    reading, there are 12 hexadecimal digits in front of ".data". The data of the replaced model are removed.

    Raises:
        TconvError: the file cannot be written, or its data would replace those of the model that was read.
    """
    path = Path(path)
    sources = files_beside(model)
    with _attributes_inside(model, path):
        if files_beside(model) or sum(tensor.nbytes for tensor in tensors(model)) > LARGEST * 0.98:
            _write_in_two(model, path, sources)
            return
        data = serialized(model, path)
        with write_aside(path) as file:
            file.write(data)


def files_beside(model: ir.Model) -> set[Path]:
    """The files that hold external tensors of a model."""
    import onnx_ir as ir

    return {Path(tensor.path) for tensor in tensors(model) if isinstance(tensor, ir.ExternalTensor)}


@contextlib.contextmanager
def _attributes_inside(model: ir.Model, path: Path) -> Iterator[None]:
    """Hold tensors of attributes in memory: their paths are relative to the old folder, not to the new."""
    import onnx_ir as ir

    held = [
        (node, attribute)
        for node, _ in walk(model)
        for attribute in node.attributes.values()
        if any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors_of(attribute))
    ]
    try:
        for node, attribute in held:
            inside = [_inside(tensor) for tensor in tensors_of(attribute)]
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


def serialized(model: ir.Model, path: Path) -> bytes:
    """The bytes of a model, checked to be readable; `path` is its name in errors.

    Raises:
        TconvError: it cannot be written, or could not be read again.
    """
    import onnx_ir as ir

    try:
        with quiet():
            proto = ir.serde.serialize_model(model)
            guards.check(proto, path, data=False)  # nothing is written that could not be read again
            data: bytes = proto.SerializeToString()
            return data
    except TconvError:
        raise
    except Exception as fault:  # errors of protobuf and onnx-ir have no common base
        raise TconvError(f"cannot write {path}: {said(fault)}") from fault


def in_one_piece(model: ir.Model, path: Path) -> bytes:
    """The bytes of a model including its external tensors, which are read; `path` is its name in errors.

    Raises:
        TconvError: as `serialized`; tensors that cannot be read.
    """
    with _attributes_inside(model, path):
        for graph in model.graphs():
            for value in graph.initializers.values():
                value.const_value = _inside(value.const_value)
        return serialized(model, path)


def _inside(tensor: Any) -> Any:
    """A tensor in memory; onnx-ir's own function closes the file, whose bytes others may still use."""
    import onnx_ir as ir

    if not isinstance(tensor, ir.ExternalTensor):
        return tensor
    return ir.tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)


def _write_in_two(model: ir.Model, path: Path, sources: set[Path]) -> None:
    """Write the large tensors to one file, then the model that points to it.

    Each writing has a data file of its own, which no other writing touches: whatever model is at `path`, also
    while several are written, the data that it names are those that were written with it.
    """
    import onnx_ir as ir

    for old in pair.data_of(path):
        if any(source.exists() and source.samefile(old) for source in sources):
            raise TconvError(f"cannot write {path}: {old.name} holds the data of the model that was read")
    values = [
        value
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
        and (value.const_value.nbytes >= 1024 or isinstance(value.const_value, ir.ExternalTensor))
    ]
    kept = [value.const_value for value in values]

    def data(file: IO[bytes], name: str) -> bytes:
        for value, tensor in zip(values, kept, strict=True):
            assert tensor is not None
            shape = ir.Shape(tensor.shape.numpy())
            file.seek(-file.tell() % _PAGE, os.SEEK_CUR)  # so that it can be mapped into memory
            offset = file.tell()
            file.write(tensor.tobytes())
            value.const_value = ir.ExternalTensor(
                name, offset, file.tell() - offset, tensor.dtype, shape=shape, name=tensor.name or "",
                base_dir=path.parent,
            )  # fmt: skip
        return serialized(model, path)

    try:
        pair.write_pair(path, data)
    except (OSError, ValueError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"cannot write {path}: {said(fault)}") from fault
    finally:
        for value, held in zip(values, kept, strict=True):
            value.const_value = held
