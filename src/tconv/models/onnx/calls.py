"""How many nodes a model has once its functions are inlined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tconv.errors import TconvError, clean

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["DEEPEST", "check_calls", "subgraphs"]

DEEPEST = 24  #: subgraphs in subgraphs, functions in functions
_NODES = 1_000_000
#: Limits on nodes of functions, counted at every call: in all, or per node of the file.
_WRITTEN, _WRITTEN_EACH = 5_000, 20
_NAMES = 4_000_000  # names that onnx-ir tries while it inlines functions: about the calls of each, squared


def check_calls(model: ModelProto, functions: Mapping[Any, Any]) -> None:
    """Check that no function contains itself, and that inlining all gives a bounded number of nodes.

    Each body is visited once: the size of nested functions is counted, not built.

    Raises:
        TconvError: the check fails.
    """
    inside = {key: _counted(function.node, functions) for key, function in functions.items()}
    nodes, calls = _counted(model.graph.node, functions)
    least = nodes + sum(size for size, _ in inside.values())
    if least > _NODES:
        raise TconvError(f"more than {_NODES:,} nodes")
    most = max(_WRITTEN, _WRITTEN_EACH * least)
    written = tries = 0
    for key in _callers_first(inside):
        size, within = inside[key]
        written += calls[key] * size
        tries += calls[key] ** 2 * size
        if written > most or tries > _NAMES:
            raise TconvError(f"its functions have more than {most:,} nodes, counted at every call")
        for called, times in within.items():
            calls[called] += calls[key] * times


def _counted(nodes: Sequence[Any], functions: Mapping[Any, Any]) -> tuple[int, Counter[Any]]:
    """The nodes of a body, including those of its subgraphs, and how often it calls each function."""
    calls: Counter[Any] = Counter()
    total = 0
    bodies = [nodes]
    while bodies:
        for node in bodies.pop():
            total += 1
            key = (node.domain, node.op_type, node.overload)
            if key in functions:
                calls[key] += 1
            bodies += [graph.node for _, graph in subgraphs(node)]
    return total, calls


def _callers_first(inside: Mapping[Any, tuple[int, Counter[Any]]]) -> list[Any]:
    """The functions in an order in which callers come first."""
    done: dict[Any, None] = {}
    open_: set[Any] = set()

    def visit(key: Any) -> None:
        if key in open_:
            raise TconvError(f"function {clean(key[1])} calls itself")
        if key not in done:
            if len(open_) > DEEPEST:
                raise TconvError(f"function calls nested more than {DEEPEST} deep")
            open_.add(key)
            for called in inside[key][1]:
                visit(called)
            open_.discard(key)
            done[key] = None

    for key in inside:
        visit(key)
    return list(reversed(done))


def subgraphs(node: Any) -> Iterator[tuple[str, Any]]:
    """The subgraphs of a node, each with the name of its attribute."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for i, graph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{i}]", graph
