"""What can be done to each layer of a model, what cannot, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tconv.models.module import places
from tconv.torch.accelerate.activations import Call
from tconv.torch.accelerate.calls import UPSAMPLING, called
from tconv.torch.accelerate.chains import NORMS, Chain
from tconv.torch.accelerate.extending import DONE, extended
from tconv.torch.accelerate.finding import Segment, Traced, chain_of, in_sequence, starts, traced
from tconv.torch.accelerate.functions import CalledLayer
from tconv.torch.accelerate.opening import leaves
from tconv.torch.accelerate.pending import Following
from tconv.torch.accelerate.rewriting import Alone, InGraph, InSequence, Rewriting
from tconv.torch.accelerate.swapping import LAYERS, Swap, is_layer, replaced, why_not
from tconv.torch.accelerate.upsampling import CONVOLUTIONS, described, is_upsampling, label
from tconv.torch.accelerate.watching import Line

__all__ = ["Row", "find"]

_SWAPPED = "swapped"


@dataclass
class Row:
    """One layer, or one upsampling, with what was done to it."""

    name: str  #: its place in the model; several are separated by commas
    what: str  #: a short description of the layer
    done: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)  #: why no more was done
    before: float | None = None  #: seconds, including the parts now fused into it
    after: float | None = None
    decided: str = ""  #: what was timed or estimated, if there is a choice
    swap: Swap | None = None
    alone: Alone | None = None
    chains: list[Chain] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)  #: those of `why` that are about what follows
    rest: list[Any] = field(default_factory=list)  #: what computes the steps that an example has shown

    @staticmethod
    def note(notes: list[str], text: str) -> None:
        """Add a note, unless it is there."""
        if text and text not in notes:
            notes.append(text)

    @property
    def levels(self) -> list[int]:
        """How far this row can go: 0 unchanged, 1 the layer is tconv's, 2 fused with its neighbours."""
        return [0, *([1] if self.alone else []), *([2] if self.chains or self.following else [])]

    @property
    def layer(self) -> Any:
        """The layer of the row; None for an upsampling that stays."""
        return None if self.chain is None else self.chain.layer

    @property
    def chain(self) -> Chain | None:
        """What computes the row if it goes as far as it can."""
        return self.chains[0] if self.chains else None if self.alone is None else self.alone.chain

    @property
    def following(self) -> Following | None:
        """What an example has shown to follow, if it is fused."""
        return None if self.chain is None else self.chain.following

    def call(self, x: Tensor) -> Any:
        """The output of the row's parts for their layer's input."""
        made = self.chains[0](self.given(x)) if self.chains else self.layer(x)
        for part in self.rest:
            made = part(made)
        return made

    def run(self, inputs: Sequence[Tensor]) -> None:
        """`call` for each of the inputs."""
        for x in inputs:
            self.call(x)

    def follow(self, line: Line | None) -> None:
        """Fuse what a run has shown to follow, too, and note why no more."""
        chain = self.chain
        if line is None or chain is None or len(self.chains) > 1:
            return
        found = extended(chain, line)
        if found is None:
            return
        following, self.rest, why = found
        chain.following = following
        self.why = [each for each in self.why if each not in self.ends]
        self.note(self.why, why)
        for step in () if following is None else following.steps:
            self.note(self.done, DONE[step.kind].format(step.name))

    def given(self, x: Tensor) -> Tensor:
        """The input of the row's first part, from that of its layer."""
        factor = self.chains[0].factor if self.chains else None
        every: Any = (..., *(slice(None, None, f) for f in factor or ()))
        return x[every]

    def lowered(self, level: int, why: str) -> None:
        """Note what is no longer done, and why."""
        taken = [note for note in self.done if level == 0 or note != _SWAPPED]
        self.done = [note for note in self.done if note not in taken]
        self.note(self.why, f"{', '.join(taken)}: {why}")

    def set(self, level: int) -> None:
        """Accelerate up to this level."""
        for part in (self.swap, self.alone):
            if part is not None:
                (part.do if level else part.undo)()
        for chain in self.chains:
            chain.active = level == 2
        if self.following is not None:
            self.following.active = level == 2


def find(model: nn.Module) -> tuple[list[Row], list[Rewriting]]:
    """The rows of a table, and the forwards of modules that hold several parts; nothing is changed."""
    return _Search(model).rows_and_rewritings()


class _Search:
    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names = {
            module: [name or "(the model)" for name in names] for module, names in places(model).items()
        }
        self.rows: dict[Any, Row] = {}
        self.placed: set[Any] = set()  #: layers and upsamplings that start a segment
        self.traced: set[nn.Module] = set()
        self.taken: set[tuple[nn.Module, Any]] = set()  #: modules whose forwards have rows for their calls
        self.crossed: set[tuple[nn.Module, Any]] = set()  #: containers, and layers whose chains leave them
        self.unknown: dict[nn.Module, str] = {}  #: why nothing is known of a layer from a module's forward

    def name(self, module: nn.Module) -> str:
        return ", ".join(self.names[module])

    def rows_and_rewritings(self) -> tuple[list[Row], list[Rewriting]]:
        for module in self.names:
            if is_layer(module):
                self.rows[module] = self.layer(module)
            elif is_upsampling(module):
                self.rows[module] = Row(self.name(module), f"{type(module).__name__} (nearest)")
        rewritings = [made for module in list(self.names) for made in self.inside(module)]
        for module in self.names:
            self.calls(module)
        for module, row in self.rows.items():
            if isinstance(module, nn.Module) and module not in self.placed and module is not self.model:
                row.ends = [self.why_unknown(module)]
                row.why = row.why or list(row.ends)
        rows = [row for key, row in self.rows.items() if row.done or row.why or is_layer(key)]
        places = {module: at for at, module in enumerate(self.names)}
        return sorted(rows, key=lambda row: places.get(row.layer, len(places))), rewritings

    def layer(self, module: Any) -> Row:
        row = Row(self.name(module), described(module))
        refused = why_not(module)
        if refused:
            row.note(row.why, refused)
        else:
            row.swap = None if isinstance(module, tuple(LAYERS.values())) else Swap(module)
            row.alone = Alone(module)
            row.note(row.done, _SWAPPED if row.swap else "was tconv's already")
        return row

    def inside(self, module: nn.Module) -> list[Rewriting]:
        """The forward with chains for a module that contains parts of chains."""
        if other := replaced(module):
            self.unknown[module] = f"what follows is not known: {other}"
            return []
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            line = in_sequence(module)
            crossed = {segment.parts[0] for segment, chain, _ in line.chains.values() if chain}
            self.crossed |= {(inner, leaf) for inner in line.opened[1:] for leaf in crossed}
            found = {
                at: chain
                for at, each in line.chains.items()
                if not self.is_crossed(module, each[0]) and (chain := self.chain(module, *each))
            }
            return [InSequence(module, line, found)] if found else []
        if not self.holds_parts(module):
            return []
        graph = traced(module)
        if not isinstance(graph, Traced):
            self.unknown[module] = f"what follows is not known: {graph}"
            return []
        self.unknown[module] = f"{type(module).__name__}.forward does not call it"
        self.traced.add(module)
        self.crossed |= {(inner, leaf) for inner in graph.opened for leaf, _ in leaves(inner) if starts(leaf)}
        for segment in graph.lines:
            first = segment.parts[0]
            if isinstance(first, Call | CalledLayer):
                self.taken.add((module, first.function if isinstance(first, CalledLayer) else None))
        lines = [
            (line, chain)
            for line in graph.lines
            if not self.is_crossed(module, line) and (chain := self.chain(module, line, *chain_of(line)))
        ]
        return [InGraph(module, graph, lines)] if lines else []

    def is_crossed(self, module: nn.Module, line: Segment) -> bool:
        """Whether a chain of a module around this one computes the segment."""
        first = line.parts[0]
        return isinstance(first, nn.Module) and (module, first) in self.crossed

    def calls(self, module: nn.Module) -> None:
        """A row for a function that a forward calls, which stays as it is; one for all modules of a class."""
        for function in called(module):
            if function not in UPSAMPLING:
                if (module, getattr(functional, function)) in self.taken:
                    continue
                why = (
                    "its weight is computed, or the forward is not straight; "
                    f"tconv.torch.{function} in its place would compute the same"
                )
            elif (module, None) in self.taken:
                continue
            elif module in self.traced:
                why = "its size is computed from tensors; scale_factor= with a whole number would fit"
            elif not self.holds_parts(module):
                why = (
                    f"{type(module).__name__} has no convolution to merge it with; nn.Upsample would be seen"
                )
            else:
                why = self.unknown.get(module, "the forward cannot be read")
            row = self.rows.setdefault((type(module), function, why), Row("", f"{function}() in its forward"))
            row.name = ", ".join(filter(None, [row.name, self.name(module)]))
            row.note(row.why, why)

    def holds_parts(self, module: nn.Module) -> bool:
        """Whether a forward that is not PyTorch's own may call layers or convolutions."""
        if type(module).__module__.startswith("torch.nn.") or is_layer(module):
            return False
        parts = (part for part in module.modules() if part is not module)
        if any(is_layer(part) or type(part) in CONVOLUTIONS for part in parts):
            return True
        return any(function not in UPSAMPLING for function in called(module))

    def chain(self, where: nn.Module, line: Segment, chain: Chain | None, why: str) -> Chain | None:
        """The chain of a segment, noted in its row."""
        first = line.parts[0]
        if why == line.end and line.returned and where is self.model:
            why = ""  # nothing follows
        key = first
        if isinstance(first, Call | CalledLayer):
            key = line.nodes[0]
            inside = "" if where is self.model else f"{self.name(where)}."
            what = described(first) if isinstance(first, CalledLayer) else f"{label(first)} (nearest)"
            self.rows[key] = Row(f"{inside}{line.nodes[0].name}", what)
        elif chain is not None and chain.factor is not None:  # one upsampling may serve many convolutions
            key = first, chain.layer
            self.rows[key] = Row(self.name(first), "")
        self.placed.add(first if isinstance(first, nn.Module) else key)
        row = self.rows[key]
        is_transposed = isinstance(first, CalledLayer) or is_layer(first)
        if is_transposed and not isinstance(first, CalledLayer) and row.alone is None:
            return None
        if type(line.before) in NORMS and is_transposed:
            row.note(row.why, f"{label(line.before)} before it: beyond the border is zero, not its shift")
        row.note(row.why, why)
        row.note(row.ends, why)
        if chain is None:
            return None
        row.chains.append(chain)
        if isinstance(first, CalledLayer):
            row.note(row.done, "computed by tconv")
        if chain.factor is not None:
            times = "x".join(map(str, chain.factor if len(set(chain.factor)) > 1 else chain.factor[:1]))
            row.what = f"nearest x{times}, {described(chain.layer)}"
            row.name = f"{row.name} + {self.name(chain.layer)}"
            row.note(row.done, "merged into one layer")
        if chain.norm is not None:
            row.note(row.done, DONE["norm"].format(label(chain.norm)))
        if chain.activation is not None:
            row.note(row.done, DONE["activation"].format(label(chain.activation)))
        return chain

    def why_unknown(self, module: nn.Module) -> str:
        """Why nothing is known of what follows a module that starts no segment."""
        for name in self.names[module]:
            path = "" if name == "(the model)" else name
            while path:
                path = path.rpartition(".")[0]
                holder = self.model.get_submodule(path)
                if holder in self.unknown:
                    return self.unknown[holder]
        return "what follows is not known"
