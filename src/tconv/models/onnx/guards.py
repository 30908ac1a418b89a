"""The checks of an ONNX file before anything is built from it; each refusal is one line.

The checks walk the parsed file itself, since what they look for (data shorter than their shape, cycles,
undefined names) would cost memory, time or a crash in the libraries that follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError, clean, said
from tconv.files import check_file
from tconv.models.onnx.calls import DEEPEST, check_calls, subgraphs
from tconv.models.onnx.external_data import check_outside
from tconv.models.onnx.growth import check_growth
from tconv.models.onnx.schemas import check_attributes, check_node, check_text

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["LARGEST", "check", "parse", "unfit"]

LARGEST = 2**31 - 1  # bytes: what protobuf can hold

#: The first bytes of other kinds of file.
_STARTS: Mapping[bytes, str] = MappingProxyType(
    {
        b"PK\x03\x04": "a zip archive (a state dict of PyTorch is one)",
        b"\x80": "a pickle, which could run code and is not opened",
        b"\x89HDF": "an HDF5 file",
        b"\x93NUMPY": "a NumPy array",
        b"\x1f\x8b": "a gzip archive; gunzip it first",
        b"\x89PNG": "a picture",
        b"version https://git-lfs": "a pointer of Git LFS; git lfs pull fetches the file",
        b"<": "a page of HTML or XML",
        b"{": "JSON",
        b"ORTM": "a model in ONNX Runtime's own format",
    }
)


def parse(path: Path) -> ModelProto:
    """The file parsed by protobuf.

    Raises:
        TconvError: no such file, a folder, empty, larger than protobuf can hold, or not an ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    shown = clean(path, 300)
    try:
        if path.is_dir():
            raise TconvError(f"{shown} is a folder; the .onnx file in it would fit")
        check_file(path)
        with open(path, "rb") as file:
            size = path.stat().st_size
            start = file.read(32)
            if size > LARGEST:
                raise TconvError(
                    f"{shown} has {size:,} bytes and a model in one file at most {LARGEST:,}; larger "
                    "ones keep their weights in a second file"
                )
            if not start:
                raise TconvError(f"{shown} is empty")
            for known, name in _STARTS.items():
                if start.startswith(known) or (start[4:].startswith(known) and known == b"ORTM"):
                    raise TconvError(f"{shown} is not an ONNX model: it is {name}")
            data = start + file.read()
    except (OSError, ValueError) as fault:
        if isinstance(fault, TconvError):
            raise
        raise TconvError(f"cannot read {shown}: {said(fault)}") from fault
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as fault:
        raise TconvError(f"{shown} is not a valid ONNX model: it is truncated or of another kind") from fault
    return model


def unfit(path: Path, fault: BaseException | str) -> TconvError:
    """The error that says why this is not a model."""
    return TconvError(f"{clean(path, 300)} is not a valid ONNX model: {said(fault)}")


def check(model: ModelProto, path: Path, *, data: bool = True) -> None:
    """Check that a parsed model is valid, and that the `data` of all its tensors are there.

    Raises:
        TconvError: it is not; the message says what is wrong and where.
    """
    try:
        if not model.HasField("graph") or not model.graph.node:
            raise TconvError("its graph has no nodes")
        if not model.graph.output:
            raise TconvError("its graph has no output")
        for name, held in (("training_info", model.training_info), ("sparse tensors", _sparse(model))):
            if held:
                raise TconvError(f"it has {name}, which are not supported")
        check_text(model.producer_name, model.producer_version, model.domain, model.doc_string)
        check_text(*(text for entry in model.metadata_props for text in (entry.key, entry.value)))
        opsets = _opsets(model)
        functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        if len(functions) != len(model.functions):
            raise TconvError("two functions of the same name")
        _check_graph(model.graph, [set()], "graph", opsets, functions)
        for function in model.functions:
            check_text(function.domain, function.name, *function.input, *function.output, *function.attribute)
            place = f"function {clean(function.name)}"
            _check_body(function.node, [set(function.input)], place, _opsets(function), functions)
            made = {*function.input, *(name for node in function.node for name in node.output)}
            _known(function.output, made, place)
        check_calls(model, functions)
        check_growth(model, functions)
        for tensor in _tensors(model) if data else ():
            _check_tensor(tensor, path.parent)
    except TconvError as fault:
        raise unfit(path, fault) from None


def _sparse(model: ModelProto) -> bool:
    return any(
        getattr(body, "sparse_initializer", ())
        or any(a.HasField("sparse_tensor") or a.sparse_tensors for n in body.node for a in n.attribute)
        for whole in (model.graph, *model.functions)
        for body in _bodies(whole)
    )


def _bodies(body: Any) -> Iterator[Any]:
    """A graph or a function, and all graphs within it; protobuf itself refuses a nesting of a hundred."""
    yield body
    for node in body.node:
        for _, inner in subgraphs(node):
            yield from _bodies(inner)


def _opsets(held: Any) -> dict[str, int]:
    """Domain -> version; "ai.onnx" is the long name of the domain without one."""
    from onnx.defs import onnx_opset_version

    found: dict[str, int] = {}
    for entry in held.opset_import:
        check_text(entry.domain)
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        newest = onnx_opset_version()
        if not domain and not 1 <= entry.version <= newest:
            raise TconvError(f"opset {entry.version} is unknown; 1 to {newest} can be read")
        if found.setdefault(domain, entry.version) != entry.version:
            raise TconvError(f"two versions of the opset {clean(domain) or 'ai.onnx'}")
    return found


def _check_graph(
    graph: Any, scopes: list[set[str]], place: str, opsets: Mapping[str, int], functions: Mapping[Any, Any]
) -> None:
    if len(scopes) > DEEPEST:
        raise TconvError(f"subgraphs more than {DEEPEST} deep")
    inputs = [value.name for value in graph.input]
    if len(set(inputs)) != len(inputs):
        raise TconvError(f"{place}: two inputs of the same name")
    constants = [tensor.name for tensor in graph.initializer]
    if len(set(constants)) != len(constants):
        twice = next(name for name, times in Counter(constants).items() if times > 1)
        raise TconvError(f"{place}: two initializers of the name {clean(twice)}")
    inside = {*inputs, *constants}
    check_text(graph.name, graph.doc_string, *inside)
    for value in (*graph.input, *graph.output, *graph.value_info):
        check_text(value.name)
        _check_sizes(clean(value.name), value.type)
    made = [name for node in graph.node for name in node.output if name]
    _check_body(graph.node, [*scopes, inside], place, opsets, functions)
    _known((value.name for value in graph.output), {*inside, *made}, place)


def _check_sizes(name: str, held: Any) -> None:
    check_text(name, *(dim.dim_param for dim in held.tensor_type.shape.dim))
    for dim in held.tensor_type.shape.dim:
        if dim.dim_value < 0 or dim.dim_value > LARGEST:
            raise TconvError(f"{name}: size {dim.dim_value}; 0 to {LARGEST} would fit")


def _check_body(
    nodes: Sequence[Any],
    scopes: list[set[str]],
    place: str,
    opsets: Mapping[str, int],
    functions: Mapping[Any, Any],
) -> None:
    """Check that operators are known and fit their schemas, and names are defined once, before their use."""
    mine = scopes[-1]
    everything = {name for node in nodes for name in node.output if name}
    for node in nodes:
        check_text(node.op_type, node.domain, node.name, node.overload, *node.input, *node.output)
        label = f"{place}: {_label(node)}"
        check_attributes(node, label, place.startswith("function"))
        domain = "" if node.domain == "ai.onnx" else node.domain
        called = functions.get((node.domain, node.op_type, node.overload))
        if called is not None:
            if len(node.input) > len(called.input) or len(node.output) > len(called.output):
                raise TconvError(f"{label}: more inputs or outputs than function {clean(node.op_type)} has")
        else:
            if domain not in opsets:
                raise TconvError(f"{label}: no opset for the domain {clean(domain) or 'ai.onnx'}")
            if not domain:
                check_node(node, opsets[domain], label)
        for name in node.input:
            if name and not any(name in scope for scope in scopes):
                cycle = "is read before it is defined: a cycle, or a wrong order"
                why = cycle if name in everything else "is not defined"
                raise TconvError(f"{label}: {clean(name)} {why}")
        for inner, graph in subgraphs(node):
            within = f"{place}/{_label(node)}.{clean(inner)}"
            _check_graph(graph, scopes, within, opsets, functions)
        for name in filter(None, node.output):
            if name in mine:
                raise TconvError(f"{label}: {clean(name)} is defined twice")
            mine.add(name)


def _label(node: Any) -> str:
    return clean(node.name or (node.output[0] if node.output else "") or node.op_type)


def _known(names: Iterable[str], made: set[str], place: str) -> None:
    for name in names:
        if name not in made:  # a value of the graph around it needs an Identity
            raise TconvError(f"{place}: its output {clean(name)} is not defined in it")


def _tensors(model: ModelProto) -> Iterator[Any]:
    bodies = [model.graph, *model.functions]
    while bodies:
        body = bodies.pop()
        yield from getattr(body, "initializer", ())
        for node in body.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
            bodies += [graph for _, graph in subgraphs(node)]


#: Type -> the field that holds its values if they are not raw bytes, and the entries per value.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "FLOAT": "float_data",
        "COMPLEX64": "float_data",
        "DOUBLE": "double_data",
        "COMPLEX128": "double_data",
        "INT64": "int64_data",
        "UINT32": "uint64_data",
        "UINT64": "uint64_data",
        "STRING": "string_data",
    }
)


def _check_tensor(tensor: Any, folder: Path) -> None:
    """Check that there are as many values as the shape says, and that external data are where they may be."""
    import onnx_ir as ir

    name = f"tensor {clean(tensor.name) or 'without a name'}"
    shape = "x".join(map(str, tensor.dims))[:60] or "no axes"
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype == ir.DataType.UNDEFINED:
        raise TconvError(f"{name}: unknown type {tensor.data_type}")
    if len(tensor.dims) > 64 or any(not 0 <= size <= LARGEST for size in tensor.dims):
        raise TconvError(f"{name}: its shape is {shape}; up to 64 sizes of 0 to {LARGEST} would fit")
    count = prod(tensor.dims)
    if tensor.data_location == tensor.EXTERNAL:
        if dtype == ir.DataType.STRING:
            raise TconvError(f"{name}: text cannot be external")
        check_outside(tensor, name, -(-count * dtype.bitwidth // 8), folder)
        return
    if tensor.HasField("segment"):
        raise TconvError(f"{name}: it is in segments, which are not supported")
    if tensor.HasField("raw_data"):
        wanted = 0 if dtype == ir.DataType.STRING else -(-count * dtype.bitwidth // 8)
        held, unit = len(tensor.raw_data), "bytes"
        if dtype == ir.DataType.STRING:
            raise TconvError(f"{name}: it is text as raw bytes")
    else:
        field = _FIELDS.get(dtype.name, "int32_data")
        packed = 8 // dtype.bitwidth if dtype != ir.DataType.STRING and dtype.bitwidth in (2, 4) else 1
        wanted = -(-count // packed) * (2 if dtype.name.startswith("COMPLEX") else 1)
        held, unit = len(getattr(tensor, field)), "values"
    if held != wanted:
        raise TconvError(f"{name}: {shape} of {dtype.name} takes {wanted:,} {unit} and {held:,} are there")
