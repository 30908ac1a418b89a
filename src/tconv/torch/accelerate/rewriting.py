"""Forwards that run chains, set as an attribute of a module and removed again.

The module's class, submodules and hooks stay. Under a compiler, and if anything that the trace used has
changed, the module's own forward runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from tconv.torch.accelerate.chains import Chain
from tconv.torch.accelerate.finding import InLine, Segment, Traced
from tconv.torch.accelerate.opening import Opened
from tconv.torch.accelerate.pending import settled
from tconv.torch.accelerate.swapping import KEY, has_own_forward
from tconv.torch.errors import TensorError

__all__ = ["Alone", "InGraph", "InSequence", "Outermost", "Rewriting"]


#: What torch.jit.script calls, if a module has it. Not a method: a pickle would look for it in the class.
_HOOK = "__prepare_scriptable__"


# A pickle finds this function by its name; an unpickled module then runs its own forward.
def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The forward of a module that has a rewriting."""
    if torch.compiler.is_compiling():
        return type(self).forward(self, *args, **kwargs)
    rewriting = vars(self)[KEY]
    made = rewriting.run(*args, **kwargs)
    if made is None:
        made = type(self).forward(self, *args, **kwargs)
    return settled(made) if rewriting.is_outermost else made


def _scriptable(module: nn.Module) -> nn.Module:
    """What torch.jit.script asks of every module of a model first; an unpickled one runs its own forward."""
    if vars(module).get(KEY) is None:
        return module
    raise TensorError(
        f"torch.jit.script cannot compile {type(module).__name__}, which `accelerate` has changed; "
        "torch.jit.trace would fit, or torch.jit.script after undo()"
    )


def _gone() -> None:
    """The replacement of a rewriting in a pickle."""


class Rewriting(ABC):
    """A replaced forward of one module."""

    def __init__(self, module: nn.Module) -> None:
        """This changes nothing yet."""
        self.module = module
        self.is_outermost = False  #: whether its output is the model's, in which nothing is pending

    def do(self) -> None:
        """Install the forward."""
        own = {
            KEY: self,
            "forward": MethodType(forward, self.module),
            _HOOK: partial(_scriptable, self.module),
        }
        vars(self.module).update(own)

    def undo(self) -> None:
        """Remove the forward."""
        for name in (KEY, "forward", _HOOK):
            vars(self.module).pop(name, None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Rewriting:
        """For the copied module."""
        made = memo[id(self)] = object.__new__(type(self))
        vars(made).update(deepcopy(vars(self), memo))
        return made

    def __reduce__(self) -> Any:
        """A pickle holds no generated code."""
        return _gone, ()

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The output, or None if the module's own forward has to run."""


class Outermost(Rewriting):
    """A model whose own forward runs, and whose output is what it would be."""

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the model's own forward runs."""


class Alone(Rewriting):
    """A layer whose weights are packed once."""

    def __init__(self, layer: nn.Module) -> None:
        """This changes nothing yet."""
        super().__init__(layer)
        self.chain = Chain([layer], layer)
        self._is_inside = has_own_forward(type(layer))

    def do(self) -> None:
        """Install it: where the layer's class has its own forward, for the super().forward that it calls."""
        if self._is_inside:
            vars(self.module)[KEY] = self
        else:
            super().do()

    def run(self, *args: Any, **kwargs: Any) -> Tensor | None:
        """The layer's output, if no output size is given."""
        return None if kwargs or len(args) != 1 else self.chain.run(args[0])


class InSequence(Rewriting):
    """An nn.Sequential with chains in the places of their parts, which may be in containers inside it."""

    def __init__(self, sequence: nn.Sequential, line: InLine, chains: dict[int, Chain]) -> None:
        """`chains`: by the step of `line` at which each begins."""
        super().__init__(sequence)
        _, *inside = line.opened
        self._opened, self._members = Opened(inside), list(sequence._modules.items())
        covered = {at + k for at, chain in chains.items() for k in range(1, len(chain.parts))}
        self._steps = [chains.get(at, step) for at, step in enumerate(line.steps) if at not in covered]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The sequence's output, unless its members have changed."""
        if kwargs or len(args) != 1 or list(self.module._modules.items()) != self._members:
            return None
        if not self._opened.holds():
            return None
        (made,) = args
        for step in self._steps:
            made = step(made)
        return made


class InGraph(Rewriting):
    """A traced forward with chains in the places of their nodes."""

    def __init__(self, module: nn.Module, found: Traced, chains: list[tuple[Segment, Chain]]) -> None:
        """`chains`: with the segments of `found` whose first parts they are."""
        super().__init__(module)
        self._readings, self._opened = found.readings, Opened(found.opened)
        paths = [str(node.target) for node in found.graph.nodes if node.op == "call_module"]
        self._members = list(dict.fromkeys(step for path in paths for step in _steps(module, path)))
        for number, (line, chain) in enumerate(chains):
            name = f"chain_{number}"
            setattr(self, name, chain)
            nodes = list(line.nodes[: len(chain.parts)])
            with found.graph.inserting_before(nodes[0]):
                call = found.graph.create_node("call_module", f"{KEY}.{name}", (nodes[0].all_input_nodes[0],))
            nodes[-1].replace_all_uses_with(call)
            for node in reversed(nodes):
                found.graph.erase_node(node)
        code = found.graph.python_code("self")
        names = dict(code.globals)
        exec(code.src, names)
        self._traced = names["forward"]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The forward's output, unless a value that the trace has read has changed."""
        if (
            not self._opened.holds()
            or not all(reading.holds() for reading in self._readings)
            or any(owner._modules.get(name) is not member for owner, name, member in self._members)
        ):
            return None
        return self._traced(self.module, *args, **kwargs)


def _steps(module: nn.Module, path: str) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Every module on the way to the one at `path`: its owner, its name, itself."""
    for name in path.split("."):
        owner, module = module, module.get_submodule(name)
        yield owner, name, module
