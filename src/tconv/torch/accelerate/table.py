"""The table of what was done to a model, which can also undo it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from torch import nn

from tconv.documents import Document, Line, Section, Table, text
from tconv.timing import Paired
from tconv.torch.accelerate.rewriting import Outermost, Rewriting
from tconv.torch.accelerate.rows import Row

__all__ = ["Accelerated"]


class Accelerated:
    """What `accelerate` did: print it, read `rows`, undo it with `undo` or by leaving a with block."""

    def __init__(self, model: nn.Module, rows: Sequence[Row], rewritings: Sequence[Rewriting]) -> None:
        """This changes nothing yet."""
        self.model = model
        self.rows = list(rows)
        self.timed: Paired | None = None  #: seconds of the whole model on the example, before and after
        self.apart: float | None = None  #: difference of outputs, as a share of the largest
        self.tolerance: float | None = None
        self.notes: list[str] = []
        self._rewritings = list(rewritings)

    @property
    def before(self) -> float | None:
        """Seconds of the whole model in the turn of the median ratio; None if it was not timed."""
        return None if self.timed is None else self.timed.before[self.timed.turn]

    @property
    def after(self) -> float | None:
        """Seconds of the accelerated model in that turn."""
        return None if self.timed is None else self.timed.after[self.timed.turn]

    def do(self, levels: Sequence[int] | None = None) -> None:
        """Accelerate each row as far as possible, or up to `levels`."""
        for rewriting in self._rewritings:
            rewriting.do()
        for row, level in zip(self.rows, levels or [row.levels[-1] for row in self.rows], strict=True):
            row.set(level)

    def settle(self) -> None:
        """Let the model's output be plain tensors, whatever way a call goes."""
        if any(row.following for row in self.rows):
            found = [each for each in self._rewritings if each.module is self.model]
            if not found:
                found = [Outermost(self.model)]
                self._rewritings += found
            for rewriting in found:
                rewriting.is_outermost = True

    def put_back(self) -> None:
        """Undo, but keep packed weights for the next `do`."""
        for row in self.rows:
            row.set(0)
        for rewriting in self._rewritings:
            rewriting.undo()

    def undo(self) -> None:
        """Restore the model: the same modules, classes, forwards and hooks."""
        self.put_back()
        self.refresh()

    def refresh(self) -> None:
        """Pack all weights again at the next call.

        Changes that PyTorch counts, as by optimizers and `load_state_dict`, are detected without it,
        and so are writes through `.data` or NumPy that change most of a layer. Writes of this kind to a few
        numbers of a tensor of more than 16,384 are not.
        """
        for row in self.rows:
            for chain in (*row.chains, *([row.alone.chain] if row.alone else [])):
                chain.clear()

    def __enter__(self) -> Accelerated:
        """The model stays accelerated until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo."""
        self.undo()

    def __repr__(self) -> str:
        """The table."""
        return str(self)

    def __str__(self) -> str:
        """One row per layer, below it what was not done and why; then the whole model."""
        return text.render(self.document())

    def document(self) -> Document:
        """The report."""
        if not self.rows:
            none = f"{type(self.model).__name__}: no transposed convolution and no nearest upsampling found"
            return Document("", (Section("layers", "", tuple(map(Line, [none, *self.notes]))),))
        timed = any(row.after is not None for row in self.rows)
        table = Table(
            "layers",
            ("layer", "what", "done", *(["ms before", "after"] if timed else [])),
            tuple(
                (
                    *(row.name, row.what, ", ".join(row.done) or "-"),
                    *([_ms(row.before), _ms(row.after)] if timed else []),
                )
                for row in self.rows
            ),
            kinds=("name", "code", "words", *(["number", "number"] if timed else [])),
            notes=tuple(
                (*filter(None, [row.decided]), *(f"why no more: {why}" for why in row.why))
                for row in self.rows
            ),
        )
        return Document("", (Section("layers", "", (table, *map(Line, self._foot()))),))

    def _foot(self) -> list[str]:
        foot = []
        if self.timed is not None:
            before, after = _ms(self.before), _ms(self.after)
            foot.append(f"whole model: {before} ms before, {after} after: {self.timed}")
        if self.timed is not None or any(row.after is not None for row in self.rows):
            foot.append("times: of the turn of the median ratio, in evaluation, without gradients")
        if any("by estimate" in row.decided for row in self.rows):
            foot.append(
                "estimates: the plan's cost, against products at a third of the CPU's peak in PyTorch"
            )
        if any(row.following for row in self.rows):
            foot.append("fused as seen on the example; a call that goes another way runs the parts")
        if self.apart is not None:
            foot.append(f"outputs: differ by {self.apart:.1e} of the largest; {self.tolerance:.0e} allowed")
        return [*foot, *self.notes]


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.3f}"
