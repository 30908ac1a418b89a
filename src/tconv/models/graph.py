"""A model as a small graph: just enough to find the operators before and after a layer.

Readers translate a format's operators into the kinds below; all others are "other".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tconv.models.layer import ModelLayer

__all__ = ["Graph", "Node"]

#: kind -> its meaning.
KINDS = MappingProxyType(
    {
        "transposed": "transposed convolution; options: layer",
        "conv": "convolution; options: layer, and what `merge` needs: stride, padding, dilation, groups",
        "norm": "BatchNorm in evaluation; inputs: x, gamma, beta, mean, variance; options: epsilon",
        "nearest": "nearest upsampling by whole factors; options: factor",
        "crop": "a slice of spatial axes",
        "pad": "padding or cropping of spatial axes",
        "join": "addition, product or concatenation of two computed maps",
        "quantized": "QuantizeLinear or DequantizeLinear of a computed map",
        "pointwise": "a function of each value, or the addition of a constant: sizes stay",
        "other": "anything else",
    }
)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


class Graph:
    """The nodes, and the values between them.

    `constants` holds the names of the model's constant arrays; `outputs` are the names of its outputs.
    """

    def __init__(self, nodes: Iterable[Node], constants: Container[str], outputs: Iterable[str] = ()) -> None:
        self.nodes = tuple(nodes)
        self.constants = constants
        self.outputs = frozenset(outputs)
        self._made = {name: node for node in self.nodes for name in node.outputs}
        self._users: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                self._users[name].append(node)

    def maker(self, name: str) -> Node | None:
        """The node that computes a value; None for inputs and constants."""
        return self._made.get(name)

    def source(self, name: str) -> Node | None:
        """As `maker`, before any quantization of the value."""
        node, passed = self.maker(name), 0
        while node is not None and node.kind == "quantized" and passed < len(self.nodes):
            node, passed = self.maker(node.inputs[0]), passed + 1
        return node

    def users(self, node: Node) -> list[Node]:
        """The nodes that read the first output of `node`."""
        return self._users[node.outputs[0]]

    def only_user(self, node: Node) -> Node | None:
        """The one node that reads the output of `node`; None if others read it or it is a model output."""
        users = self.users(node)
        return users[0] if len(users) == 1 and node.outputs[0] not in self.outputs else None

    def next(self, node: Node) -> Node | None:
        """As `only_user`, past quantization of the output."""
        user, passed = self.only_user(node), 0
        while user is not None and user.kind == "quantized" and passed < len(self.nodes):
            user, passed = self.only_user(user), passed + 1  # a broken file may hold a cycle
        return user

    def layers(self) -> Iterator[ModelLayer]:
        """The layers, in the graph's order."""
        for node in self.nodes:
            if isinstance(node.options.get("layer"), ModelLayer):
                yield node.options["layer"]
