"""A node compared with the schema of its operator: what it may have, and of which kind."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tconv.errors import TconvError, clean

__all__ = ["check_attributes", "check_node", "check_text"]

#: Kinds of attribute that hold a message, and its field: a missing one would be read as empty.
_HELD = MappingProxyType({"GRAPH": "g", "TENSOR": "t", "SPARSE_TENSOR": "sparse_tensor", "TYPE_PROTO": "tp"})


def check_text(*words: Any) -> None:
    """Check that names are text; protobuf returns bytes if they are not UTF-8.

    Raises:
        TconvError: one is not.
    """
    for word in words:
        if isinstance(word, bytes):
            raise TconvError(f"the name {clean(repr(word))} is not UTF-8")


def check_attributes(node: Any, label: str, inside: bool) -> None:
    """Check that each attribute, also of an unknown operator, has a unique name, a kind and a value of it.

    `inside` a function an attribute may refer to one of the function's.

    Raises:
        TconvError: one has not; the message begins with `label`.
    """
    given = set()
    for attribute in node.attribute:
        check_text(attribute.name, attribute.ref_attr_name)
        name = clean(attribute.name)
        if attribute.name in given:
            raise TconvError(f"{label}: the attribute {name} twice")
        given.add(attribute.name)
        kind = attribute.AttributeType.Name(attribute.type)
        if attribute.ref_attr_name:
            if not inside or kind in ("GRAPH", "GRAPHS"):
                raise TconvError(f"{label}: {name} is not a parameter of a function")
            continue
        if kind == "UNDEFINED" or (kind in _HELD and not attribute.HasField(_HELD[kind])):
            raise TconvError(f"{label}: {name} is of the kind {kind} and has no such value")


def check_node(node: Any, opset: int, label: str) -> None:
    """Check the number of inputs and outputs and the attributes of a node of ONNX's own domain.

    Raises:
        TconvError: one is wrong, or this opset lacks the operator; the message begins with `label`.
    """
    from onnx import defs

    if not defs.has(node.op_type, opset, ""):
        raise TconvError(f"{label}: opset {opset} has no operator {clean(node.op_type)}")
    schema = defs.get_schema(node.op_type, opset, "")
    for kind, many, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= many <= most:
            fits = (
                str(least)
                if least == most
                else f"{least} to {most}"
                if most < 1 << 30
                else f"{least} or more"
            )
            raise TconvError(f"{label}: {many} {kind}; {node.op_type} has {fits}")
    for attribute in node.attribute:
        name = clean(attribute.name)
        known = schema.attributes.get(attribute.name)
        if known is None:
            fits = ", ".join(schema.attributes) or "no attribute"
            raise TconvError(f"{label}: unknown attribute {name}; {node.op_type} has {fits}")
        kind, fits = attribute.AttributeType.Name(attribute.type), str(known.type).rpartition(".")[2]
        if kind != fits:
            raise TconvError(f"{label}: {name} is of the kind {kind}; {fits} would fit")
        _check_text(attribute, f"{label}: {name}")
    given = {attribute.name for attribute in node.attribute}
    for name, known in schema.attributes.items():
        if known.required and name not in given:
            raise TconvError(f"{label}: the attribute {name} is missing")


def _check_text(attribute: Any, label: str) -> None:
    try:
        for text in (attribute.s, *attribute.strings):
            text.decode()
    except UnicodeDecodeError:
        raise TconvError(f"{label} is text that is not UTF-8") from None
