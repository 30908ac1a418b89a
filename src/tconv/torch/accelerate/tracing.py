"""The graph of a forward from torch.fx, where it shows all that the forward does."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tconv.torch.accelerate import trace_safety
from tconv.torch.accelerate.activations import Call
from tconv.torch.accelerate.functions import called_layer

__all__ = ["Graph", "graph_of", "part_of"]


class Graph(NamedTuple):
    """A forward's graph, with submodules as leaves, and what it depends on."""

    graph: fx.Graph
    readings: list[trace_safety.Reading]


class _Tracer(fx.Tracer):
    proxy_buffer_attributes = True  # otherwise a buffer's values would become constants

    def __init__(self, opened: Container[nn.Module]) -> None:
        super().__init__()
        self.opened = opened

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m not in self.opened

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node that knows the innermost container in which it was made."""
        made = super().create_node(*args, **kwargs)
        made.meta["within"] = next(reversed(self.module_stack), None)
        return made


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Detects computations on real tensors, of which a trace keeps only the result."""

    computed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.computed = True
        return func(*args, **(kwargs or {}))


def graph_of(module: nn.Module, opened: Container[nn.Module] = ()) -> Graph | str:
    """The graph of the forward of `module`, or a phrase that says why there is no reliable one.

    Calls of modules in `opened` are replaced by what these modules call.
    """
    training = {each: each.training for each in module.modules()}
    for each in training:
        each.training = False
    try:
        readings = [trace_safety.read(module)]
        inner = [each for each in module.modules() if each in opened and each is not module]
        readings += [
            trace_safety.read(each) for each in inner if type(each).forward is not nn.Sequential.forward
        ]
        for reading in readings:
            if isinstance(reading, str):
                return reading
        with _Watch() as watch:  # type: ignore[no-untyped-call]
            graph = _Tracer(opened).trace(module)
    except Exception as error:  # a forward may do anything with a proxy
        told = str(error).strip().splitlines() or [type(error).__name__]
        return f"torch.fx cannot trace {type(module).__name__}: {told[0][:80]}"
    finally:
        for each, was in training.items():
            each.training = was
    if watch.computed:
        return f"{type(module).__name__}.forward computes what a trace would freeze"
    return Graph(graph, [reading for reading in readings if isinstance(reading, trace_safety.Reading)])


def part_of(module: nn.Module, node: fx.Node) -> Any:
    """The operation of a node on its first argument, if it takes no other tensor."""
    if (layer := called_layer(module, node)) is not None:
        return layer
    if not node.args or not isinstance(node.args[0], fx.Node) or len(node.all_input_nodes) != 1:
        return None
    if node.op == "call_module":
        alone = len(node.args) == 1 and not node.kwargs
        return module.get_submodule(str(node.target)) if alone else None
    if node.op in ("call_function", "call_method"):
        return Call(node.target, tuple(node.args[1:]), dict(node.kwargs))
    return None
