"""The order of parts in a model, from nn.Sequential and from torch.fx, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tconv.torch.accelerate import trace_safety
from tconv.torch.accelerate.activations import Call, spelled
from tconv.torch.accelerate.chains import NORMS, Chain
from tconv.torch.accelerate.swapping import is_layer
from tconv.torch.accelerate.upsampling import (
    CONVOLUTIONS,
    factor_of,
    is_upsampling,
    label,
    why_not_merged,
)

__all__ = ["Segment", "Traced", "chain_of", "in_sequence", "traced"]


class Segment(NamedTuple):
    """Consecutive parts, each read only by the next one."""

    parts: Sequence[Any]  #: modules and Calls; the first is a layer or an upsampling
    end: str  #: why it ends there
    nodes: Sequence[fx.Node] = ()  #: of the parts, if there is a trace
    before: Any = None  #: the part whose output only this segment reads
    returned: bool = False  #: whether it ends because the module around it returns its output


def _starts(part: Any) -> bool:
    return is_upsampling(part) or (isinstance(part, nn.Module) and is_layer(part))


def in_sequence(sequence: nn.Sequential) -> Iterator[tuple[int, Segment]]:
    """Each place in an nn.Sequential where a segment begins; what follows its end is not known."""
    parts = list(sequence)
    for at, part in enumerate(parts):
        if _starts(part):
            yield at, Segment(parts[at:], "it ends its Sequential", (), parts[at - 1] if at else None, True)


class Traced(NamedTuple):
    """A forward's graph from torch.fx, with every submodule as a leaf."""

    graph: fx.Graph
    reading: trace_safety.Reading
    lines: list[Segment]


class _Tracer(fx.Tracer):
    proxy_buffer_attributes = True  # otherwise a buffer's values would become constants

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Detects computations on real tensors, of which a trace keeps only the result."""

    computed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.computed = True
        return func(*args, **(kwargs or {}))


def traced(module: nn.Module) -> Traced | str:
    """The graph of the forward of `module`, or a phrase that says why there is no reliable one."""
    training, module.training = module.training, False
    try:
        reading = trace_safety.read(module)
        if isinstance(reading, str):
            return reading
        with _Watch() as watch:  # type: ignore[no-untyped-call]
            graph = _Tracer().trace(module)
    except Exception as error:  # a forward may do anything with a proxy
        told = str(error).strip().splitlines() or [type(error).__name__]
        return f"torch.fx cannot trace {type(module).__name__}: {told[0][:80]}"
    finally:
        module.training = training
    if watch.computed:
        return f"{type(module).__name__}.forward computes what a trace would freeze"
    lines = []
    for node in graph.nodes:
        part = _part(module, node)
        if part is not None and _starts(part):
            lines.append(_line(module, node))
        elif node.op == "call_module" and _starts(layer := module.get_submodule(str(node.target))):
            lines.append(Segment([layer], "it is called with more than its input", [node]))
    return Traced(graph, reading, lines)


def _part(module: nn.Module, node: fx.Node) -> Any:
    """The operation of a node on its first argument, if it takes no other tensor."""
    if not node.args or not isinstance(node.args[0], fx.Node) or len(node.all_input_nodes) != 1:
        return None
    if node.op == "call_module":
        alone = len(node.args) == 1 and not node.kwargs
        return module.get_submodule(str(node.target)) if alone else None
    if node.op in ("call_function", "call_method"):
        return Call(node.target, tuple(node.args[1:]), dict(node.kwargs))
    return None


def _line(module: nn.Module, node: fx.Node) -> Segment:
    source: Any = node.args[0]
    before = _part(module, source) if len(source.users) == 1 else None
    parts, nodes = [_part(module, node)], [node]
    name = type(module).__name__
    while True:
        users = list(node.users)
        if len(users) != 1:
            return Segment(parts, _uses(len(users), name), nodes, before)
        node = users[0]
        if node.op == "output":
            return Segment(parts, f"{name} returns it", nodes, before, True)
        part = _part(module, node)
        if part is None:
            if node.op == "call_module":
                shown = type(module.get_submodule(str(node.target))).__name__
            else:
                shown = f"{getattr(node.target, '__name__', node.target)}()"
            return Segment(parts, f"{shown} follows", nodes, before)
        parts.append(part)
        nodes.append(node)


def _uses(many: int, name: str) -> str:
    if not many:
        return f"nothing reads its output in {name}"
    return (
        f"its output has {many} uses in {name}; if only a BatchNorm or an activation reads it, they are fused"
    )


def chain_of(line: Segment) -> tuple[Chain | None, str]:
    """The chain at the start of a segment, if several parts can be combined, and why no more can."""
    parts = list(line.parts)
    factor, at = None, 0
    if is_upsampling(parts[0]):
        if len(parts) == 1:
            return None, line.end
        refused = why_not_merged(parts[1])
        found = refused or factor_of(parts[0], CONVOLUTIONS[type(parts[1])])
        if isinstance(found, str):
            return None, found
        factor, at = found, 1
    layer, norm, activation = parts[at], None, None
    rest = parts[at + 1 :]
    axes = len(layer.kernel_size)
    if rest and NORMS.get(type(rest[0])) == axes:
        norm = rest.pop(0)
    if rest and spelled(rest[0]) is not None:
        activation = rest.pop(0)
    taken = parts[: len(parts) - len(rest)]
    left = f"{label(rest[0])} follows" if rest else line.end
    why = "" if activation is not None else left
    if norm is not None and not norm.track_running_stats:
        return None, "BatchNorm without running statistics depends on its input"
    if getattr(layer, "activation", None) is not None:
        return None, "the layer has its activation already"
    return (Chain(taken, layer, norm, activation, factor), why) if len(taken) > 1 else (None, why)
