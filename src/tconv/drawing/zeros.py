"""The window: zeros between and around the inputs, and the turned kernel sliding over them with stride 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tconv.drawing.grid import Grid, cell_size, number
from tconv.drawing.legend import legend
from tconv.drawing.picture import Picture, each, framed, sizes
from tconv.drawing.scene import Cells, Scene, cells
from tconv.drawing.shapes import Block, Shape, Text, arrow, beside, stacked, width_of

__all__ = ["zeros"]

_HEADLINE = "Zeros go between the inputs; the turned kernel slides over them, one step per output"
_TERMS = 6  # products that are written out


def zeros(scene: Scene, animated: bool) -> Picture:
    """The window over the middle output; animated, over each output in turn."""
    g = scene.geometry
    picture = _Window(scene)
    outputs = [cells(o) for o in np.ndindex(*scene.lifted.output)]
    middle = cells((size - 1) // 2 for size in scene.lifted.output)
    body = picture.block(outputs if animated else [middle], animated)
    recipe = g.zero_insertion()
    before, after = (each(side) for side in zip(*recipe.around, strict=True))
    cut = " (negative: cropped)" if min(min(sides) for sides in recipe.around) < 0 else ""
    notes = [
        f"Zeros between the inputs: s - 1 = {each(recipe.between)}; around them: "
        f"d(k-1) - lo = {before} before, d(k-1) - hi + o = {after} after{cut}.",
        "The kernel is turned by 180 degrees"
        + (f" and spread by the dilation {each(g.dilation)}." if max(g.dilation) > 1 else ".")
        + " Products with inserted zeros are wasted work. "
        "The window of output o begins at the cell numbered o.",
    ]
    return framed(g, _HEADLINE, body, notes)


class _Window:
    """The input with zeros, whose index 0 is the first input; the turned kernel; and the output."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        g, self.axes = scene.geometry, scene.axes
        self.before = cells(axis.zeros_around()[0] for axis in self.axes)
        lengths = [(axis.input - 1) * axis.stride + 1 for axis in self.axes]
        self.padded = [
            range(-before, length + axis.zeros_around()[1])
            for before, length, axis in zip(self.before, lengths, self.axes, strict=True)
        ]
        spans = [
            range(min(0, along.start), max(length, along.stop))
            for along, length in zip(self.padded, lengths, strict=True)
        ]
        columns = len(spans[2]) + scene.lifted.kernel[2] + scene.lifted.output[2]
        cell = cell_size(columns if g.axes < 3 else 2 * columns, 780)
        self.turned = scene.w[::-1, ::-1, ::-1]
        padded = self.padded[0], self.padded[1], self.padded[2]
        self.stretched = Grid("input with zeros", (spans[0], spans[1], spans[2]), cell, padded)
        self.kernel = Grid.sized(f"kernel {sizes(g.kernel)}, turned", scene.lifted.kernel, cell)
        self.output = Grid.sized(f"output {sizes(g.output)}", scene.lifted.output, cell)
        self.y = scene.output()

    def block(self, outputs: list[Cells], animated: bool) -> Block:
        """All three, with the window over each of `outputs`."""
        still = self.output.numbers(self.y, "cell") if not animated else []
        blank = [shape for o in self.output for shape in self.output.fill(o, "blank")] if animated else []
        before: list[Shape] = []
        steps = []
        for o in outputs:
            mark = self.output.fill(o, "output.strong", number(self.y[o]), "paper")
            steps.append((tuple(self._over(o)), (*before, *mark), tuple(self._sum(o))))
            if animated:
                before += self.output.fill(o, "output", number(self.y[o]))
        if animated:
            steps.append(((), tuple(before), ()))
        windows, marks, sums = (tuple(part) for part in zip(*steps, strict=True))
        played = [
            self.stretched.block(
                *self._cells(), *([] if animated else windows[0]), frames=windows * animated
            ),
            self.kernel.block(*self.kernel.numbers(self.turned, "kernel")),
            self.output.block(*blank, *still, *([] if animated else marks[0]), frames=marks * animated),
        ]
        width = max([width_of(s.text, 13) for part in sums for s in part if isinstance(s, Text)], default=1)
        line = Block(width, 18, () if animated else sums[0], sums * animated)
        key = legend(self._legend())
        if self.scene.geometry.axes == 1:
            return stacked(played[1], played[0], played[2], line, key, gap=18)
        return stacked(beside(played[0], played[1], arrow(), played[2]), line, key, gap=18)

    def _kind(self, index: Cells) -> str:
        inside = [a.stride * (a.input - 1) >= c >= 0 for c, a in zip(index, self.axes, strict=True)]
        if not all(inside):
            return "around"
        return "input" if all(c % a.stride == 0 for c, a in zip(index, self.axes, strict=True)) else "between"

    def _value(self, index: Cells) -> Any:
        if self._kind(index) != "input":
            return 0
        return self.scene.x[tuple(c // a.stride for c, a in zip(index, self.axes, strict=True))]

    def _cut(self, index: Cells) -> bool:
        return not all(c in along for c, along in zip(index, self.padded, strict=True))

    def _cells(self) -> list[Shape]:
        shapes: list[Shape] = []
        for index in self.stretched:
            kind = self._kind(index)
            colour = {"input": "input", "between": "cell", "around": "blank"}[kind]
            ink = "ink" if kind == "input" and not self._cut(index) else "muted"
            shapes += self.stretched.fill(index, colour, number(self._value(index)), ink)
            if self._cut(index):
                shapes += self.stretched.hatch(index)
        return shapes

    def _taps(self, o: Cells) -> list[tuple[Cells, Cells]]:
        """In the window of output `o`: cells of the input with zeros, and taps of the turned kernel."""
        start = cells(c - before for c, before in zip(o, self.before, strict=True))
        return [
            (cells(c + t * a.dilation for c, t, a in zip(start, tap, self.axes, strict=True)), cells(tap))
            for tap in np.ndindex(*self.scene.lifted.kernel)
        ]

    def _over(self, o: Cells) -> list[Shape]:
        shapes: list[Shape] = []
        places = self._taps(o)
        for index, tap in places:
            found = self._kind(index) == "input"
            shapes += self.stretched.fill(
                index,
                "kernel.strong" if found else "kernel",
                number(self._value(index)),
                "paper" if found else "muted",
            )
            shapes += self.stretched.dot(
                index, number(self.turned[tap]), "paper" if found else "kernel.strong"
            )
        low, last = places[0][0], places[-1][0]
        high = (last[0] + 1, last[1] + 1, last[2] + 1)
        return [*shapes, *self.stretched.window(low, high, "kernel.strong")]

    def _sum(self, o: Cells) -> list[Shape]:
        """The sum of output `o`, written out."""
        terms = [
            f"{number(self._value(index))} x {number(self.turned[tap])}"
            for index, tap in self._taps(o)
            if self._kind(index) == "input"
        ]
        axes = self.scene.geometry.axes
        name = f"output {', '.join(map(str, o[3 - axes :]))}"
        shown = " + ".join(terms[:_TERMS]) + (f" + {len(terms) - _TERMS} more" if len(terms) > _TERMS else "")
        text = f"{name}  =  {shown}  =  {number(self.y[o])}" if terms else f"{name}  =  0: only zeros"
        return [Text(0, 9, text, 13, "output.strong", "start")]

    def _legend(self) -> list[tuple[str, str]]:
        kinds = {self._kind(index) for index in self.stretched}
        names = [("input", "input", "input"), ("between", "cell", "zero between")]
        names += [("around", "blank", "zero around")]
        shown = [(colour, name) for kind, colour, name in names if kind in kinds]
        shown += [("kernel", "under the kernel"), ("kernel.strong", "an input under it (small: the tap)")]
        if any(self._cut(index) for index in self.stretched):
            shown.append(("hatch", "cropped"))
        return shown
