"""The stamp: every input adds its multiple of the kernel to the output, each `stride` further."""

from __future__ import annotations

from typing import Any

import numpy as np

from tconv.drawing.channels import channels
from tconv.drawing.grid import UNNUMBERED, Grid, cell_size, number, played
from tconv.drawing.picture import Picture, each, framed, sizes
from tconv.drawing.scene import Cells, Scene, cells
from tconv.drawing.shapes import Block, Shape, Stroke, arrow, beside, stacked

__all__ = ["stamp"]

_HEADLINE = "Each input stamps its multiple of the kernel on the output; overlaps add"


def stamp(scene: Scene, animated: bool) -> Picture:
    """The first two stamps and the sums of all; animated, one stamp after another."""
    body = _line(scene, animated) if scene.geometry.axes == 1 else _planes(scene, animated)
    picture = channels(scene.geometry)
    return framed(scene.geometry, _HEADLINE, beside(body, picture, gap=40) if picture else body, notes(scene))


def notes(scene: Scene) -> list[str]:
    """The notes under the drawing."""
    g = scene.geometry
    reach = [d * (k - 1) + 1 for k, d in zip(g.kernel, g.dilation, strict=True)]
    size = sizes(tuple(reach))
    lines = [f"A stamp covers {size} outputs; the next input's is a stride of {each(g.stride)} further."]
    if any(lo > 0 or hi - o > 0 for (lo, hi), o in zip(g.padding, g.output_padding, strict=True)):
        lines.append("Hatched: cropped by the padding. The outlined part is the output.")
    if 0 in (reached for axis in scene.axes for reached in axis.coverage()):
        lines.append("Outputs that no stamp reaches hold 0 (the bias alone).")
    if g.in_channels * g.out_channels > 1:
        lines.append(
            f"Drawn for one of {g.in_channels * g.out_channels // g.groups} pairs of channels; "
            "an output channel is the sum over those of its inputs."
        )
    return lines


class _Sums:
    """The output as a grid of sums."""

    def __init__(self, scene: Scene, cell: float, title: str) -> None:
        self.scene, self.grid = scene, Grid(title, scene.spans, cell, scene.kept_spans)
        self.counts = scene.counts()
        self.origin = tuple(along.start for along in scene.spans)
        kind = np.result_type(scene.x, scene.w)
        self.sums = np.zeros(self.counts.shape, kind)

    def add(self, i: Cells) -> None:
        """Add the stamp of input `i`."""
        for u, tap in self.scene.landings(i).items():
            self.sums[self.at(u)] += self.scene.x[i] * self.scene.w[tap]

    def at(self, u: Cells) -> tuple[int, ...]:
        """The index of full output `u` in `counts` and `sums`."""
        return tuple(c - start for c, start in zip(u, self.origin, strict=True))

    def cells(self, colours: dict[Cells, str], landed: Any = None) -> list[Shape]:
        """Every cell with its sum, in the given colour; cropped ones hatched."""
        shapes: list[Shape] = []
        reached = self.counts if landed is None else landed
        for u in self.grid:
            kept = self.scene.kept(u)
            colour = colours.get(u) or ("cell" if kept and reached[self.at(u)] else "blank")
            text = number(self.sums[self.at(u)]) if kept or reached[self.at(u)] else ""
            shapes += self.grid.fill(u, colour, text, "ink" if kept and reached[self.at(u)] else "muted")
            if not kept:
                shapes += self.grid.hatch(u)
        return shapes

    def outline(self) -> list[Shape]:
        """The border of the output."""
        return self.grid.window(self.scene.low, self.scene.high, "ink", 2)


def _window(scene: Scene, i: Cells) -> tuple[Cells, Cells]:
    low = tuple(c * a.stride for c, a in zip(i, scene.axes, strict=True))
    high = tuple(c + a.dilation * (a.kernel - 1) + 1 for c, a in zip(low, scene.axes, strict=True))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _first_two(scene: Scene) -> list[tuple[Cells, str]]:
    """The first input and its neighbour along the last axis with more than one, each with its colour."""
    neighbour = [0, 0, 0]
    for a in (2, 1, 0):
        if scene.lifted.input[a] > 1:
            neighbour[a] = 1
            break
    second = (neighbour[0], neighbour[1], neighbour[2])
    return [((0, 0, 0), "input"), (second, "kernel")][: 1 + any(neighbour)]


def _product(scene: Scene, grid: Grid, i: Cells, colour: str) -> list[Shape]:
    """The stamp of input `i`, spread by the dilation."""
    low, _ = _window(scene, i)
    shapes: list[Shape] = []
    landed = {
        (u[0] - low[0], u[1] - low[1], u[2] - low[2]): scene.x[i] * scene.w[tap]
        for u, tap in scene.landings(i).items()
    }
    for cell in grid:
        hit = cell in landed
        shapes += grid.fill(cell, colour if hit else "blank", number(landed[cell]) if hit else "")
    return shapes


def _planes(scene: Scene, animated: bool) -> Block:
    g = scene.geometry
    reach = [a.dilation * (a.kernel - 1) + 1 for a in scene.axes]
    columns = scene.lifted.input[2] + scene.lifted.kernel[2] + reach[2] + len(scene.spans[2])
    cell = cell_size(columns if scene.lifted.input[0] == 1 else 2 * columns)
    inputs = Grid.sized(f"input {sizes(g.input)}", scene.lifted.input, cell)
    kernel = Grid.sized(f"kernel {sizes(g.kernel)}", scene.lifted.kernel, cell)
    sums = _Sums(scene, cell, f"output {sizes(g.output)}")
    left = [inputs.block(*inputs.numbers(scene.x, "cell")), kernel.block(*kernel.numbers(scene.w, "cell"))]
    times = Block(12, 12, _cross(6, 6, 5))

    if animated:
        return beside(*_landing(scene, inputs, sums, left, times, reach))
    for i in map(cells, np.ndindex(*scene.lifted.input)):
        sums.add(i)
    stamps = _first_two(scene)
    marked: list[Shape] = []
    products: list[Block] = []
    colours: dict[Cells, str] = {}
    outlines: list[Shape] = []
    for n, (i, colour) in enumerate(stamps):
        marked += inputs.fill(i, f"{colour}.strong", number(scene.x[i]), "paper")
        product = Grid.sized(f"{number(scene.x[i])} x kernel", tuple(reach), cell, UNNUMBERED)
        products.append(product.block(*_product(scene, product, i, colour)))
        for u in scene.landings(i):
            colours[u] = "both" if u in colours else colour
        outlines += sums.grid.window(*_window(scene, i), f"{colour}.strong", 2.5, 1.5 * n)
    left[0] = Block(left[0].width, left[0].height, (*left[0].shapes, *marked))
    output = sums.grid.block(*sums.cells(colours), *sums.outline(), *outlines)
    return beside(left[0], times, left[1], arrow(), stacked(*products, gap=18), arrow(), output)


def _landing(
    scene: Scene, inputs: Grid, sums: _Sums, left: list[Block], times: Block, reach: list[int]
) -> list[Block]:
    """The same with one stamp after another, and all sums at the end."""
    product = Grid.sized("input x kernel", tuple(reach), inputs.cell, UNNUMBERED)
    landed = np.zeros_like(sums.counts)
    steps: list[tuple[tuple[Shape, ...], ...]] = []
    for i in map(cells, np.ndindex(*scene.lifted.input)):
        sums.add(i)
        for u in scene.landings(i):
            landed[sums.at(u)] += 1
        colours = {u: "both" if landed[sums.at(u)] > 1 else "input" for u in scene.landings(i)}
        window = sums.grid.window(*_window(scene, i), "input.strong")
        steps.append(
            (
                tuple(inputs.fill(i, "input.strong", number(scene.x[i]), "paper")),
                tuple(_product(scene, product, i, "input")),
                (*sums.cells(colours, landed), *sums.outline(), *window),
            )
        )
    steps.append(((), steps[-1][1], (*sums.cells({}), *sums.outline())))
    marks, products, outputs = zip(*steps, strict=True)
    first = Block(left[0].width, left[0].height, left[0].shapes, marks)
    result = product.block(frames=products)
    return [first, times, left[1], arrow(), result, arrow(), sums.grid.block(frames=outputs)]


def _cross(x: float, y: float, r: float) -> tuple[Shape, ...]:
    return Stroke(x - r, y - r, x + r, y + r, "muted", 2), Stroke(x - r, y + r, x + r, y - r, "muted", 2)


def _line(scene: Scene, animated: bool) -> Block:
    """One axis: one row per stamp under the kernel, and the sums below."""
    count, columns = scene.lifted.input[2], scene.spans[2]
    cell = cell_size(len(columns) + 4)
    kernel = Grid.sized(f"kernel {scene.geometry.kernel[0]}", scene.lifted.kernel, cell)
    inputs = Grid(f"input {count}", (range(1), range(count), range(1)), cell)
    rows = Grid("input x kernel, one row each", (range(1), range(count), columns), cell, UNNUMBERED)
    sums = _Sums(scene, cell, f"output {scene.geometry.output[0]}: the sum of each column")
    landed = np.zeros_like(sums.counts)
    values: list[Shape] = []
    products: list[Shape] = []
    steps = []
    for n in range(count):
        i, colour = (0, 0, n), ("input", "kernel")[n % 2]
        sums.add(i)
        values += inputs.fill((0, n, 0), f"{colour}.strong", number(scene.x[i]), "paper")
        for u, tap in scene.landings(i).items():
            landed[sums.at(u)] += 1
            products += rows.fill((0, n, u[2]), colour, number(scene.x[i] * scene.w[tap]))
        overlaps = {u: "both" for u in sums.grid if landed[sums.at(u)] > 1 and scene.kept(u)}
        steps.append((tuple(values), tuple(products), (*sums.cells(overlaps, landed), *sums.outline())))
    # Still, all of them as they are at the end.
    parts = zip(*(steps if animated else steps[-1:]), strict=True)
    blocks = [played(grid, frames) for grid, frames in zip((inputs, rows, sums.grid), parts, strict=True)]
    gap = 16
    return stacked(
        kernel.block(*kernel.numbers(scene.w, "cell")).indented(inputs.width + gap),
        beside(*blocks[:2], gap=gap),
        blocks[2].indented(inputs.width + gap),
    )
