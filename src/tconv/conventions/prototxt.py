"""Protocol buffers' text format, as far as Caffe's network files use it."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from tconv.errors import TconvError
from tconv.geometry.normalize import shown

__all__ = ["Message", "parse", "write"]

#: Field -> its values in order: numbers, words, or messages.
Message: TypeAlias = dict[str, list[Any]]

LONGEST = 100_000  # characters
DEEPEST = 20  # messages within messages
_TOKEN = re.compile(r'\s+|#[^\n]*|(?P<token>"[^"\n]*"|\'[^\'\n]*\'|[-+.\w]+|[{}:;,<>\[\]])')


def _tokens(text: str) -> list[str]:
    if not isinstance(text, str):
        raise TconvError(f"{shown(text)} is not prototxt, which is text")
    if len(text) > LONGEST:
        raise TconvError(f"a prototxt of {len(text)} characters; at most {LONGEST} would fit")
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise TconvError(f"prototxt: cannot read {shown(text[at : at + 20])}")
        if match["token"] and match["token"] not in ",;":
            found.append(match["token"])
        at = match.end()
    return found


def parse(text: str) -> Message:
    """The message that `text` contains.

    >>> parse('name: "up" convolution_param { kernel_size: 4 }')
    {'name': ['up'], 'convolution_param': [{'kernel_size': [4]}]}
    """
    tokens = _tokens(text)
    message, end = _message(tokens, 0, 0)
    if end != len(tokens):
        raise TconvError(f"prototxt: {shown(tokens[end])} closes what was never opened")
    return message


def _message(tokens: list[str], at: int, depth: int) -> tuple[Message, int]:
    if depth > DEEPEST:
        raise TconvError(f"prototxt: messages more than {DEEPEST} deep")
    message: Message = {}
    while at < len(tokens) and tokens[at] not in "}>":
        name, at = tokens[at], at + 1
        if not re.fullmatch(r"\w+", name):
            raise TconvError(f"prototxt: {shown(name)} where a field's name should be")
        if at < len(tokens) and tokens[at] == ":":
            at += 1
        if at == len(tokens):
            raise TconvError(f"prototxt: it ends at the field {shown(name)}")
        value: Any
        if tokens[at] in "{<":
            value, at = _message(tokens, at + 1, depth + 1)
            if at == len(tokens):
                raise TconvError(f"prototxt: it ends within {shown(name)}")
            at += 1
        elif tokens[at] == "[":
            end = tokens.index("]", at) if "]" in tokens[at:] else at
            if end <= at + 1:
                raise TconvError(f"prototxt: the list of {shown(name)} is empty or does not end")
            message.setdefault(name, []).extend(_scalar(token) for token in tokens[at + 1 : end])
            at = end + 1
            continue
        else:
            value, at = _scalar(tokens[at]), at + 1
        message.setdefault(name, []).append(value)
    return message, at


def _scalar(token: str) -> Any:
    if re.fullmatch("[-+]?[0-9]{1,12}", token):
        return int(token)
    if token in "{}<>[]:":
        raise TconvError(f"prototxt: {shown(token)} where a value should be")
    return {"true": True, "false": False}.get(token, token.strip("\"'"))


def write(message: dict[str, Any], indent: str = "") -> str:
    """The text of a message, one field per line; a tuple of values repeats the field.

    >>> print(write({"layer": {"name": '"up"', "pad": (1, 2)}}))
    layer {
      name: "up"
      pad: 1
      pad: 2
    }
    """
    lines = []
    for name, value in message.items():
        for entry in value if isinstance(value, tuple) else (value,):
            if isinstance(entry, dict):
                lines += [f"{indent}{name} {{", write(entry, indent + "  "), f"{indent}}}"]
            else:
                lines.append(f"{indent}{name}: {entry}")
    return "\n".join(lines)
