"""What `explain_stack` says of sizes, receptive fields and coverage, compared with impulses and ones."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tconv.explanation import explain_stack
from tests.explanation.helpers import STACKS, explained, jacobian, plain, single_axis, texts, through


class TestSizes:
    @pytest.mark.parametrize("problems", STACKS)
    def test_those_of_pytorch(self, problems: list[str]) -> None:
        torch = pytest.importorskip("torch", reason="asks PyTorch for the sizes; install tconv[torch]")
        found, stack = explained(problems, "size")
        rows = found["size"].table("layers").rows
        assert [row[1] for row in rows] == [str(g) for g in stack]
        x = torch.zeros(stack[0].input_shape)
        for g, row in zip(stack, rows, strict=True):
            call = getattr(torch.nn.functional, f"conv_transpose{g.axes}d")
            x = call(
                x,
                torch.zeros(g.weight_shape),
                stride=g.stride,
                dilation=g.dilation,
                groups=g.groups,
                output_padding=tuple(max(s, d) - 1 for s, d in zip(g.stride, g.dilation, strict=True)),
            )
            # PyTorch crops both ends equally, so the ends are cropped here, from an output that is larger.
            ends = [
                (lo, size - hi - max(s, d) + 1 + o)
                for (lo, hi), size, s, d, o in zip(
                    g.padding, x.shape[2:], g.stride, g.dilation, g.output_padding, strict=True
                )
            ]
            x = torch.nn.functional.pad(x, [side for lo, end in reversed(ends) for side in (max(0, -lo), 0)])
            x = x[(..., *(slice(max(0, lo), end + max(0, -lo)) for lo, end in ends))]
            assert row[3] == "x".join(map(str, x.shape[2:]))

    @pytest.mark.parametrize("problems", STACKS)
    def test_the_formula_s_numbers_add_up(self, problems: list[str]) -> None:
        found, stack = explained(problems, "size")
        formulas = re.findall(r"ax[ei]s [^:]*: ([-+*() 0-9]+) = (\d+)", texts(found, "size"))
        assert {int(right) for _, right in formulas} == set(stack[-1].output)
        for left, right in formulas:
            assert eval(left) == int(right)


class TestField:
    @pytest.mark.parametrize("problems", STACKS)
    def test_receptive_fields_are_those_of_impulses(self, problems: list[str]) -> None:
        found, stack = explained(problems, "field")
        rows = found["field"].table("fields").records()
        for a in range(stack[0].axes):
            of_axis = [row for row in rows if str(a) in re.findall(r"\d", str(row["axes"]))]
            for n, row in enumerate(of_axis, 1):
                if stack[0].input[a] == 1:
                    assert str(row["sees"]) == "1"
                    continue
                line = single_axis(stack[:n], a, more=60)
                if n > 1 and any(max(*g.padding[0], 0) for g in line[:-1]):
                    line = [replace(g, padding=((0, 0),)) for g in line]
                    line = single_axis(line, 0)  # the sizes again
                matrix = jacobian(line)
                middle = matrix.shape[1] // 2
                reached = np.flatnonzero(matrix[:, middle])
                assert row["reaches"] == reached[-1] - reached[0] + 1
                following = np.flatnonzero(matrix[:, middle + 1])
                assert row["stride"] == following[0] - reached[0]
                period = prod(g.stride[0] for g in line)
                inner = matrix.shape[0] // 2 // period * period
                seen = np.count_nonzero(matrix[inner : inner + period], axis=1)
                low, high = seen.min(), seen.max()
                assert str(row["sees"]) == {0: f"{low}", 1: f"{low} or {high}"}.get(
                    high - low, f"{low} to {high}"
                )

    @pytest.mark.parametrize("problems", STACKS)
    def test_the_centre_is_where_an_impulse_lands(self, problems: list[str]) -> None:
        """The centre of gravity of a symmetric stamp, in the middle of a large map."""
        found, stack = explained(problems, "field")
        for a in range(stack[0].axes):
            row = [
                row
                for row in found["field"].table("fields").records()
                if str(a) in re.findall(r"\d", str(row["axes"]))
            ][-1]
            line = single_axis(stack, a, more=60)
            matrix = jacobian(line)
            middle = matrix.shape[1] // 2
            column = matrix[:, middle]
            centre = (column * np.arange(column.size)).sum() / column.sum() - middle * row["stride"]
            assert centre == pytest.approx(float(row["centre"]), abs=1e-12)
            aligned = (row["stride"] - 1) / 2
            assert float(row["shift"]) == pytest.approx(centre - aligned, abs=1e-12)

    def test_shift_is_told(self) -> None:
        told = texts(explain_stack(["n1 c1>1 i7x7 k3 s2 p1 o1", "k3 s2 p1 o1"]), "field")
        assert "towards the start by 1.5 of the output's cells, 0.375 of the input's" in told
        assert "shift the picture" not in texts(explain_stack(["n1 c1>1 i7 k4 s2 p1", "k2 s2"]), "field")
        assert "shift the picture" not in texts(explain_stack(["n1 c1>1 i1 k4", "k4 s2 p1"]), "field")


class TestCells:
    @pytest.mark.parametrize("problems", STACKS)
    def test_back_and_onwards_are_impulses(self, problems: list[str]) -> None:
        _, stack = explained(problems, "size")
        for output in {tuple(0 for _ in stack[-1].output), tuple(n // 2 for n in stack[-1].output)}:
            found = explain_stack(problems, output=output, only="cells")["cells"]
            table = found.table("output cell").rows
            for n, row in enumerate(table):  # the last layer first
                for a in range(stack[0].axes):
                    matrix = jacobian(single_axis(stack, a)[len(stack) - 1 - n :])
                    self.check(row[1 + a], np.flatnonzero(matrix[output[a]]))
                assert row[-1] == prod(self.count(cell) for cell in row[1:-1]) or "..." in str(row)
        for place in {tuple(0 for _ in stack[0].input), tuple(n // 2 for n in stack[0].input)}:
            found = explain_stack(problems, input_cell=place, only="cells")["cells"]
            for n, row in enumerate(found.table("input cell").rows, 1):
                for a in range(stack[0].axes):
                    matrix = jacobian(single_axis(stack, a)[:n])
                    self.check(row[1 + a], np.flatnonzero(matrix[:, place[a]]))

    @staticmethod
    def count(cell: object) -> int:
        first, _, last = str(cell).partition(" to ")
        if str(cell) == "none":
            return 0
        return int(last) - int(first) + 1 if last else str(cell).count(",") + 1

    @staticmethod
    def check(cell: object, found: np.ndarray) -> None:
        numbers = list(map(int, re.findall(r"\d+", str(cell).split("...")[0])))
        if " to " in str(cell):
            assert found.tolist() == list(range(numbers[0], numbers[1] + 1))
        elif "..." in str(cell):
            assert found.tolist()[: len(numbers)] == numbers
            assert f"({found.size} in all)" in str(cell)
        else:
            assert found.tolist() == numbers


class TestCoverage:
    @pytest.mark.parametrize("problems", STACKS)
    def test_the_map_is_that_of_ones(self, problems: list[str]) -> None:
        found, stack = explained(problems, "coverage")
        ones = plain(stack)
        counted = through(np.ones(ones[0].input_shape, int), ones)[0, 0]
        part = found["coverage"]
        *_, everywhere = part.table("evenness").rows
        assert everywhere[:3] == ("all", counted.min(), counted.max())
        shown = [m for m in part.matrices() if m.name == "coverage"]
        assert bool(shown) == (counted.size <= 600)
        for z, m in enumerate(shown):
            flat = counted.reshape(-1, *(1, *counted.shape)[-2:])[z]
            assert np.array_equal(m.values, flat[np.ix_(m.rows, m.columns)])

    @pytest.mark.parametrize("problems", STACKS)
    def test_the_pattern_is_that_of_a_large_map(self, problems: list[str]) -> None:
        found, stack = explained(problems, "coverage")
        rows = found["coverage"].table("paths").records()
        ranges = []
        for a in range(stack[0].axes):
            of_axis = [row for row in rows if str(a) in re.findall(r"\d", str(row["axes"]))]
            one = int(stack[0].input[a] == 1)
            for n, row in enumerate(of_axis, 1):
                line = single_axis(stack[:n], a)[one:]
                if not line:
                    continue
                line = single_axis(line, 0, more=80)
                counted = through(np.ones(line[0].input_shape, int), line)[0, 0]
                whole = prod(g.stride[0] for g in line)
                start = counted.size // 2 // whole * whole
                inner = counted[start : start + whole]
                once = row["period"]
                assert all(np.roll(inner, once) == inner)
                assert once == 1 or any(np.roll(inner, once - 1) != inner)
                if "..." not in str(row["paths in one period"]):
                    assert str(row["paths in one period"]) == ", ".join(map(str, inner[:once]))
            ranges.append((inner.min(), inner.max()))
        least, most = (prod(int(r[k]) for r in ranges) for k in (0, 1))
        assert found["coverage"].table("evenness").rows[0][1:3] == (least, most)

    def test_verdicts(self) -> None:
        def told(*problems: str) -> str:
            return texts(explain_stack([*problems], only="coverage"), "coverage").split("size: ")[1]

        assert told("n1 c1>1 i7x7 k4 s2 p1", "k4 s2 p1").startswith("Even: away from the borders")
        smoothed = told("n1 c1>1 i7 k3 s2 p1 o1", "k3 p1")
        assert "1.25 times" in smoothed
        assert "starts in layer 1, where the figure is 2; later layers smooth it" in smoothed
        assert "starts in layer 2." in told("n1 c1>1 i7 k4 s2 p1", "k3 s2")
        assert "no path leads to some outputs" in told("n1 c1>1 i7 k2 s2", "k2 s3")
        assert "Later layers even out" in told("n1 c1>1 i7 k3 s2", "k2")
