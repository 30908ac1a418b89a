"""The cost of a stack, the one layer that it equals, how it is printed, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tconv.cli import main
from tconv.errors import TconvError
from tconv.explanation import STACK_SECTIONS, explain_stack
from tconv.geometry import Geometry
from tconv.views import scatter
from tests.explanation.helpers import STACKS, explained, texts, through


class TestWorkAndOne:
    @pytest.mark.parametrize("problems", STACKS)
    def test_counts(self, problems: list[str]) -> None:
        found, stack = explained(problems, "work")
        *rows, total = found["work"].table("layers").rows
        for g, (_, macs, _, weights, biases, outputs) in zip(stack, rows, strict=True):
            pair = replace(g, batch=1, in_channels=1, out_channels=1, groups=1)
            reached = through(np.ones(pair.input_shape, int), [pair]).sum()
            assert macs == g.batch * g.in_channels * g.out_channels // g.groups * reached
            assert (weights, biases) == (np.ones(g.weight_shape).size, g.out_channels)
            assert outputs == np.ones(g.output_shape).size
        assert [*total[3:], total[1]] == [sum(row[c] for row in rows) for c in (3, 4, 5, 1)]

    def test_parameters_are_pytorchs(self) -> None:
        torch = pytest.importorskip("torch", reason="asks PyTorch for the parameters; install tconv[torch]")
        net = torch.nn.Sequential(
            torch.nn.ConvTranspose2d(8, 4, 4, 2, 1), torch.nn.ConvTranspose2d(4, 2, 3, 2, 1, groups=2)
        )
        rows = explain_stack(["n1 c8>4 i7x7 k4 s2 p1", "c4>2 k3 s2 p1 g2"])["work"].table("layers").rows
        assert rows[-1][3] + rows[-1][4] == sum(p.numel() for p in net.parameters())

    @pytest.mark.parametrize("problems", STACKS)
    def test_the_one_layer_is_the_stack(self, problems: list[str]) -> None:
        """Its weights are what one impulse per input channel makes of the stack, without any crop."""
        found, stack = explained(problems, "one")
        told = texts(found, "one")
        one = Geometry.parse(re.search(r"n\d+ c.*?(?= Its)", told)[0])
        assert (one.input_shape, one.output_shape) == (stack[0].input_shape, stack[-1].output_shape)
        bare = [replace(g, padding=((0, 0),) * g.axes, output_padding=(0,) * g.axes, batch=1) for g in stack]
        pulses: list[Geometry] = []
        for g in bare:
            pulses.append(replace(g, input=pulses[-1].output if pulses else (1,) * g.axes))
        stamps = np.zeros((one.in_channels, one.out_channels, *one.kernel), int)
        for c in range(one.in_channels):
            x = np.zeros(pulses[0].input_shape, int)
            x[0, c] = 1
            stamps[c] = through(x, pulses, ones=False)[0]
        each = one.out_channels // one.groups
        weight = np.stack(
            [s[c // (one.in_channels // one.groups) * each :][:each] for c, s in enumerate(stamps)]
        )
        x = np.random.default_rng(5).integers(-4, 5, one.input_shape)
        same = through(x, stack, ones=False) == scatter(x, weight, one)
        if "at the borders, too" in told:
            assert same.all()
        else:
            # Where an input is farther from the border than what an inner crop can reach.
            far = [3 * k for k in one.kernel]
            large = replace(one, input=tuple(i + 2 * f for i, f in zip(one.input, far, strict=True)))
            grown: list[Geometry] = []
            for g in stack:
                grown.append(replace(g, input=grown[-1].output if grown else large.input))
            x = np.random.default_rng(6).integers(-4, 5, large.input_shape)
            same = through(x, grown, ones=False) == scatter(x, weight, large)
            inner = tuple(slice(f, -f) for f in one.kernel)
            assert same[(..., *inner)].all()
            assert not same.all()

    def test_a_layer_that_crops_at_the_end_alone(self) -> None:
        assert "at the borders, too" in texts(explain_stack(["n1 c1>1 i5 k4 s2", "k4 s2 p1"]), "one")


class TestForms:
    PROBLEMS = ("n1 c8>4 i7x7 k4 s2 p1", "c4>2 k4 s2 p1", "k3 p1")

    def test_text_is_80_columns_wide(self) -> None:
        for problems in (p.values[0] for p in STACKS):
            assert [row for row in str(explain_stack(problems)).splitlines() if len(row) > 80] == []
        assert list(STACK_SECTIONS) == [part.name for part in explain_stack(self.PROBLEMS).sections]

    def test_the_command(self, capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
        pytest.importorskip("jinja2", reason="writes a page; install tconv[html]")
        page = f"{tmp_path}/stack.html"
        assert main(["explain", *self.PROBLEMS, "--json", "--html", page]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["problem"].split(" | ")[2] == "n1 c2>2 i28x28 k3 p1"
        assert [row["output"] for row in found["sections"]["size"]["tables"]["layers"]] == [
            "14x14",
            "28x28",
            "28x28",
        ]
        with open(page, encoding="utf-8") as file:
            text = file.read()
        assert text.count("<section>") == len(STACK_SECTIONS)
        assert "n1 c2&gt;2 i28x28 k3 p1" in text
        assert main(["explain", *self.PROBLEMS, "--markdown", "--only", "size"]) == 0
        assert "| layer 1 | `n1 c8>4 i7x7 k4 s2 p1` | 7x7 | 14x14 |" in capsys.readouterr().out
        assert main(["explain", self.PROBLEMS[0], "--html", page, "--only", "size"]) == 0
        capsys.readouterr()

    @pytest.mark.parametrize(
        ("problems", "message"),
        [
            ([], "explain_stack([]): a list of 1 to 64 problems would fit"),
            ("n1 c1>1 i3 k3", "a list of 1 to 64 problems would fit"),
            (["n1 c1>1 i3 k3"] * 65, "a list of 1 to 64 problems would fit"),
            (["n1 c8>4 i7x7 k4 s2 p1", 3], "explain_stack: 3 is not a Geometry or the text of one"),
            (["n1 c8>4 i7x7 k4 s2 p1", "c8>4 k4"], "4 channels x 14x14; c4>4 would fit, or leaving it out"),
            (["n1 c8>4 i7x7 k4 s2 p1", "i7x7 k4"], "; i14x14 would fit, or leaving it out"),
            (["n1 c8>4 i7x7 k4 s2 p1", "n2 k4"], "; n1 would fit, or leaving it out"),
            (["n1 c8>4 i7x7 k4 s2 p1", "i14 k4"], "; i14x14 would fit, or leaving it out"),
            (["n1 c8>4 i7x7 k4 s2 p1", "s2"], "'s2': k (kernel) missing"),
            (["k4", "n1 c8>4 i7x7 k4"], "'k4': c (channels) and i (input) missing"),
            (["n1 c1>1 i1 k1 s2"] + ["k1 s2"] * 19, "common stride on axis 0 is 1,048,576, too large"),
            (["n1 c1>1 i2 k90000 p40000", "k90000 p40000"], "common kernel on axis 0 is 179,999, too large"),
        ],
    )
    def test_what_is_refused(self, problems: list[str], message: str) -> None:
        with pytest.raises(TconvError, match=re.escape(message)):
            explain_stack(problems)

    def test_what_the_command_refuses(self, capsys: pytest.CaptureFixture[str]) -> None:
        for options, message in (
            (["--values", "ones", "ones"], "--values with 2 problems; one would fit"),
            (["--from", "keras"], "--from with 2 problems; one would fit"),
            (["--only", "phases"], "section 'phases' is unknown; size, field"),
            (["--output", "1,99"], "no output 99 on axis 1; 0 to 27 would fit"),
            (["--input-cell", "7,0"], "no input 7 on axis 0; 0 to 6 would fit"),
        ):
            assert main(["explain", "n1 c8>4 i7x7 k4 s2 p1", "k4 s2 p1", *options]) == 2
            assert message in capsys.readouterr().err

    def test_geometries_and_large_layers(self) -> None:
        first = Geometry.parse("n1 c512>512 i64x64 k4 s2 p1")
        second = Geometry.parse("k64 s32", after=first)
        text = str(explain_stack([first, second]))
        assert text.count("\n") < 120
        with pytest.raises(TconvError, match="cannot follow"):
            explain_stack([second, first])
