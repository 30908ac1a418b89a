"""Containers that can be looked through: what they hold runs one after the other, and nothing else runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from torch import nn
from torch.jit import ScriptModule
from torch.nn.modules import module as modules

from tconv.torch.accelerate import trace_safety
from tconv.torch.accelerate.swapping import is_layer, replaced
from tconv.torch.accelerate.tracing import graph_of, part_of

__all__ = ["GLOBAL_HOOKS", "Opened", "containers", "hooked", "is_idle", "is_sequence", "leaves", "members"]

GLOBAL_HOOKS = tuple(
    getattr(modules, f"_global_{name}")
    for name in ("forward_pre_hooks", "forward_hooks", "backward_pre_hooks", "backward_hooks")
)

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def hooked(module: Any) -> bool:
    """Whether calls of a module are observed by its own hooks."""
    return bool(
        module._forward_pre_hooks
        or module._forward_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def is_idle(part: Any) -> bool:
    """Whether a part returns its input in evaluation.

    >>> [is_idle(part) for part in (nn.Identity(), nn.Dropout(), nn.ReLU())]
    [True, True, False]
    """
    return type(part) in (nn.Identity, *_DROPOUTS)


def is_sequence(module: Any) -> bool:
    """Whether a module runs its members one after the other, as nn.Sequential does."""
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and replaced(module) is None
    )


def members(module: Any) -> list[Any] | None:
    """What a container runs, one after the other; None for any other module."""
    if not isinstance(module, nn.Module) or isinstance(module, ScriptModule):
        return None
    if is_sequence(module):
        return [each for each in module._modules.values() if each is not None]
    few = 1 < len(list(islice(module.modules(), _MOST + 2))) <= _MOST + 1
    theirs = type(module).__module__.startswith(("torch.nn.", "tconv."))
    if not few or theirs or replaced(module) or is_layer(module):
        return None
    found = graph_of(module)
    if isinstance(found, str):
        return None
    first, *nodes, last = found.graph.nodes
    line = [first, *nodes]
    if first.op != "placeholder" or last.args != (line[-1],) or any(len(node.users) != 1 for node in line):
        return None
    parts = [part_of(module, node) for node in nodes]
    ordered = all(node.args and node.args[0] is before for before, node in zip(line, nodes, strict=False))
    return parts if ordered and None not in parts else None


#: How many modules a module may hold whose forward is read to look through it.
_MOST = 6


class Opened:
    """Containers whose members are called in their place, and whether that is still the same."""

    def __init__(self, containers: Sequence[nn.Module]) -> None:
        """They are what they are now."""
        self.containers = [(each, list(each._modules.items())) for each in containers]
        self._readings = [
            reading
            for each in containers
            if not is_sequence(each) and isinstance(reading := trace_safety.read(each), trace_safety.Reading)
        ]

    def holds(self) -> bool:
        """Whether calling the members is what calling the containers is, and nothing observes those calls."""
        return (
            not any(GLOBAL_HOOKS if self.containers else ())
            and all(
                list(each._modules.items()) == members and not hooked(each)
                for each, members in self.containers
            )
            and all(reading.holds() for reading in self._readings)
        )


def leaves(module: Any, within: tuple[nn.Module, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What a container runs, with the containers around each part, from the outermost to the innermost.

    >>> inner = nn.Sequential(nn.ReLU())
    >>> [type(leaf).__name__ for leaf, within in leaves(nn.Sequential(nn.Tanh(), inner))]
    ['Tanh', 'ReLU']
    """
    found = members(module)
    if found is None:
        yield module, within
    else:
        for each in found:
            yield from leaves(each, (*within, module))


def containers(module: nn.Module) -> list[nn.Module]:
    """The container and those inside it; none if it is none."""
    return list(dict.fromkeys(each for _, within in leaves(module) for each in within))
