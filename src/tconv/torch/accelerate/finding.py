"""The order of parts in a model, from nn.Sequential and from torch.fx, never guessed."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from torch import fx, nn

from tconv.torch.accelerate import trace_safety
from tconv.torch.accelerate.activations import spelled
from tconv.torch.accelerate.chains import NORMS, Chain
from tconv.torch.accelerate.functions import CalledLayer
from tconv.torch.accelerate.opening import containers, is_idle, leaves, members
from tconv.torch.accelerate.swapping import has_own_forward, is_layer
from tconv.torch.accelerate.tracing import graph_of, part_of
from tconv.torch.accelerate.upsampling import (
    CONVOLUTIONS,
    factor_of,
    is_upsampling,
    label,
    why_not_merged,
)

__all__ = ["InLine", "Segment", "Traced", "chain_of", "in_sequence", "starts", "traced"]


class Segment(NamedTuple):
    """Consecutive parts, each read only by the next one."""

    parts: Sequence[Any]  #: modules and Calls; the first is a layer or an upsampling
    end: str  #: why it ends there
    nodes: Sequence[fx.Node] = ()  #: of the parts, if there is a trace
    before: Any = None  #: the part whose output only this segment reads
    returned: bool = False  #: whether it ends because the module around it returns its output


def starts(part: Any) -> bool:
    """Whether a segment may begin with `part`."""
    return (
        is_upsampling(part)
        or isinstance(part, CalledLayer)
        or (isinstance(part, nn.Module) and is_layer(part))
    )


class InLine(NamedTuple):
    """What a sequence runs, with the containers that its chains reach into opened."""

    steps: list[Any]
    chains: dict[int, tuple[Segment, Chain | None, str]]  #: by the step at which each begins
    opened: list[nn.Module]  #: the sequence itself, and others in it


def in_sequence(sequence: nn.Sequential) -> InLine:
    """The segments that begin in an nn.Sequential; what follows its end is not known."""
    every = list(leaves(sequence))
    open_: dict[nn.Module, None] = {sequence: None}
    for at, (leaf, within) in enumerate(every):
        if starts(leaf):
            chain, _ = chain_of(Segment([part for part, _ in every[at:]], ""))
            reached = [each for _, each in every[at : at + len(chain.parts)]] if chain else []
            if any(each != within for each in reached):
                open_ |= dict.fromkeys(each for inside in (within, *reached) for each in inside)
    steps = list(_steps(sequence, open_))
    found = {}
    for at, step in enumerate(steps):
        if starts(step):
            before = steps[at - 1] if at else None
            inside = [leaf for each in steps[at:] for leaf, _ in leaves(each)]
            segment = Segment(inside, "it ends its Sequential", (), before, True)
            found[at] = segment, *chain_of(segment)
    return InLine(steps, found, list(open_))


def _steps(sequence: nn.Module, opened: Container[nn.Module]) -> Iterator[Any]:
    for each in members(sequence) or ():
        if isinstance(each, nn.Module) and each in opened:
            yield from _steps(each, opened)
        else:
            yield each


class Traced(NamedTuple):
    """A forward's graph from torch.fx, and its segments."""

    graph: fx.Graph
    readings: list[trace_safety.Reading]
    lines: list[Segment]
    opened: list[nn.Module]  #: containers whose members are called in their place


def traced(module: nn.Module) -> Traced | str:
    """The graph of the forward of `module`, or a phrase that says why there is no reliable one."""
    found = graph_of(module)
    if isinstance(found, str):
        return found
    called = [
        module.get_submodule(str(node.target)) for node in found.graph.nodes if node.op == "call_module"
    ]
    opened = [each for one in dict.fromkeys(called) for each in containers(one) if _is_worth(one)]
    if opened:
        wider = graph_of(module, opened)
        if not isinstance(wider, str):
            lines = _lines(module, wider.graph)
            if any(_crosses(line, opened, module) for line in lines):
                return Traced(wider.graph, wider.readings, lines, opened)
    return Traced(found.graph, found.readings, _lines(module, found.graph), [])


def _is_worth(module: nn.Module) -> bool:
    """Whether a container begins with what may be fused into a layer before it, or ends with a layer."""
    inside = [part for part, _ in leaves(module) if not is_idle(part)]
    if not inside:
        return True
    first = inside[0]
    begins = any(starts(part) for part in inside[-2:])
    return type(first) in NORMS or type(first) in CONVOLUTIONS or spelled(first) is not None or begins


def _crosses(line: Segment, opened: Sequence[nn.Module], module: nn.Module) -> bool:
    """Whether the chain of a segment lies in several containers."""
    chain, _ = chain_of(line)
    if chain is None:
        return False
    return len({node.meta.get("within") for node in line.nodes[: len(chain.parts)]}) > 1


def _lines(module: nn.Module, graph: fx.Graph) -> list[Segment]:
    lines = []
    for node in graph.nodes:
        part = part_of(module, node)
        if part is not None and starts(part):
            lines.append(_line(module, node))
        elif node.op == "call_module" and starts(layer := module.get_submodule(str(node.target))):
            lines.append(Segment([layer], "it is called with more than its input", [node]))
    return lines


def _line(module: nn.Module, node: fx.Node) -> Segment:
    source: Any = node.all_input_nodes[0]
    before = part_of(module, source) if len(source.users) == 1 else None
    parts, nodes = [part_of(module, node)], [node]
    name = type(module).__name__
    while True:
        users = list(node.users)
        if len(users) != 1:
            return Segment(parts, _uses(len(users), name), nodes, before)
        node = users[0]
        if node.op == "output":
            return Segment(parts, f"{name} returns it", nodes, before, True)
        part = part_of(module, node)
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


def _named(part: Any) -> str:
    """The name of what comes first in a part."""
    return label(next((leaf for leaf, _ in leaves(part) if not is_idle(leaf)), part))


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
    if isinstance(layer, nn.Module) and is_layer(layer) and has_own_forward(type(layer)):
        return None, f"{label(layer)} has its own forward, of which an example would show what it does"
    axes, end = len(layer.kernel_size), at + 1

    def nextpart_of() -> int:
        """The place of the first part after `end` that does something in evaluation."""
        return next((k for k in range(end, len(parts)) if not is_idle(parts[k])), len(parts))

    k = nextpart_of()
    if k < len(parts) and axes in NORMS.get(type(parts[k]), ()):
        norm, end = parts[k], k + 1
    k = nextpart_of()
    if k < len(parts) and spelled(parts[k]) is not None:
        activation, end = parts[k], k + 1
    k = nextpart_of()
    taken = parts[:end]
    left = f"{_named(parts[k])} follows" if k < len(parts) else line.end
    why = "" if activation is not None else left
    if norm is not None and not norm.track_running_stats:
        return None, "BatchNorm without running statistics depends on its input"
    if getattr(layer, "activation", None) is not None:
        return None, "the layer has its activation already"
    alone = len(taken) == 1 and not isinstance(layer, CalledLayer)  # a call has no other place for its chain
    return (None, why) if alone else (Chain(taken, layer, norm, activation, factor), why)
