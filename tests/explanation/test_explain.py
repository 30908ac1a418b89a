"""What `tconv.explain` says of a layer's integers, held to PyTorch, to the stamp and to the literature."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import tconv
from tconv.documents import Code, Line, Matrix, Section
from tconv.errors import TconvError
from tconv.explanation import SECTIONS
from tconv.geometry import Geometry
from tconv.testing import load_cases
from tconv.views import scatter
from tests.views.helpers import dense, plane

CASES = [pytest.param(geometry, id=name) for name, geometry in load_cases()]
#: One pair of channels of the smaller cases: what is told of cells and taps is the same for every pair.
PAIRS = [
    pytest.param(replace(g, batch=1, in_channels=1, out_channels=1, groups=1), id=name)
    for name, g in load_cases()
    if np.prod(g.output) <= 400 and np.prod(g.kernel) <= 144
]
UNEVEN = Geometry.parse("n1 c256>64 i28x28 k3 s2 p1")


def section(geometry: Geometry, name: str, **options: object) -> Section:
    return tconv.explain(geometry, only=[name], **options)[name]


def lines(found: Section) -> list[str]:
    return [item.text for item in found.items if isinstance(item, Line)]


def matrices(found: Section, name: str) -> list[Matrix]:
    return [matrix for matrix in found.matrices() if matrix.name == name]


class TestSize:
    def test_the_formula_has_the_numbers_in_it(self) -> None:
        told = lines(section(UNEVEN, "size"))
        assert "axes 0 and 1: (28 - 1) * 2 - 1 - 1 + 1 * (3 - 1) + 1 + 0 = 55" in told
        sides = Geometry.parse("n1 c1>1 i4x3 k3x2 s2x1 p-1:2x0 o1x0 d1x3")
        told = lines(section(sides, "size"))
        assert "axis 0: (4 - 1) * 2 + 1 - 2 + 1 * (3 - 1) + 1 + 1 = 9" in told
        assert "axis 1: (3 - 1) * 1 - 0 - 0 + 3 * (2 - 1) + 1 + 0 = 6" in told

    @pytest.mark.parametrize("geometry", CASES)
    def test_its_numbers_add_up(self, geometry: Geometry) -> None:
        formulas = [text for text in lines(section(geometry, "size")) if re.match(r"ax[ei]s.*: ", text)]
        assert formulas
        for text in formulas:
            left, right = text.split(": ")[1].split(" = ")
            assert re.fullmatch(r"[-+*() 0-9]+", left)
            assert eval(left) == int(right)

    def test_why_55_and_not_56(self) -> None:
        told = " ".join(lines(section(UNEVEN, "size")))
        assert "takes both 55 and 56 to 28; output_padding 0 picks 55" in told
        assert "Why 55 and not 56 = 28 * 2 on axes 0 and 1" in told

    def test_pytorch_says_the_same_of_55_and_56(self) -> None:
        torch = pytest.importorskip("torch", reason="asks PyTorch for the sizes; install tconv[torch]")
        conv = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
        assert [conv(torch.ones(1, 1, n, n)).shape[2] for n in (54, 55, 56, 57)] == [27, 28, 28, 29]
        layer = torch.nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)
        assert layer(torch.ones(1, 1, 28, 28)).shape[2:] == (56, 56)
        layer = torch.nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1)
        assert layer(torch.ones(1, 1, 28, 28)).shape[2:] == (56, 56)

    def test_what_would_give_56(self) -> None:
        found = section(UNEVEN, "size").table("input times stride").records()
        assert [(row["change"], row["lo"], row["problem"]) for row in found] == [
            ("output_padding", "1x1", "n1 c256>64 i28x28 k3 s2 p1 o1"),
            ('padding "same"', "0x0", "n1 c256>64 i28x28 k3 s2 p0:1"),
            ("kernel", "1x1", "n1 c256>64 i28x28 k4 s2 p1"),
        ]
        assert 'output_padding and padding "same" crop the same' in " ".join(lines(section(UNEVEN, "size")))

    @pytest.mark.parametrize("geometry", CASES)
    def test_every_fix_is_one(self, geometry: Geometry) -> None:
        wanted = tuple(i * s for i, s in zip(geometry.input, geometry.stride, strict=True))
        tables = [item for item in section(geometry, "size").items if getattr(item, "name", "") != ""]
        fixes = [row for t in tables if t.name == "input times stride" for row in t.records()]
        if wanted != geometry.output and max(geometry.input) > 1:
            assert fixes
        else:
            assert not fixes
        for row in fixes:
            assert Geometry.parse(str(row["problem"])).output == wanted

    def test_a_shape_is_told_with_its_axes(self) -> None:
        assert section(UNEVEN, "size").table("shapes").records()[1] == {
            "array": "weight",
            "shape": (256, 64, 3, 3),
            "axes": "input channels, output channels / groups, axis 0, axis 1",
        }


class TestZeros:
    @pytest.mark.parametrize(("k", "s", "p"), [(3, 1, 0), (3, 2, 0), (3, 2, 1), (4, 2, 1), (5, 3, 2)])
    def test_as_pictured(self, k: int, s: int, p: int) -> None:
        """Dumoulin & Visin: s-1 zeros between the inputs and k-p-1 around them."""
        g = Geometry.make(in_channels=1, out_channels=1, input=4, kernel=k, stride=s, padding=p)
        (row,) = section(g, "zeros").table("recipe").records()
        assert (row["between"], row["before"], row["after"]) == (s - 1, k - p - 1, k - p - 1)

    def test_tensorflows_example(self) -> None:
        found = section(Geometry.parse("n1 c1>1 i2x2 k3 s2 p0:1"), "zeros").table("recipe").records()
        wanted = {"input": 2, "between": 1, "spread": 3, "before": 2, "after": 1, "output": 4}
        assert [{**row, **wanted} for row in found] == found
        assert [row["with zeros"] for row in found] == [6, 6]

    @pytest.mark.parametrize("geometry", CASES)
    def test_sizes_meet(self, geometry: Geometry) -> None:
        for row in section(geometry, "zeros").table("recipe").records():
            assert row["spread"] == row["input"] + (row["input"] - 1) * row["between"]
            assert row["with zeros"] == row["before"] + row["spread"] + row["after"]
            assert row["output"] == row["with zeros"] - row["kernel spans"] + 1

    def test_negative_zeros_are_explained(self) -> None:
        assert "A negative number of zeros crops as many cells." in lines(
            section(Geometry.parse("n1 c1>1 i4 k2 s2 p3"), "zeros")
        )


class TestCells:
    @pytest.mark.parametrize("geometry", PAIRS)
    def test_the_sum_of_a_cell_is_the_stamps(self, geometry: Geometry) -> None:
        """Every term of `y[..] = x[..]*tap + ...` is read back and computed."""
        rng = np.random.default_rng(0)
        x, w = rng.integers(1, 9, geometry.input), rng.integers(1, 9, geometry.kernel)
        made = scatter(plane(x), plane(w), geometry)[0, 0]
        cells = {tuple(0 for _ in geometry.output), tuple(n - 1 for n in geometry.output), None}
        names = dict(zip(taps(geometry), w.ravel(), strict=True))
        for cell in cells:
            told = next(t for t in lines(section(geometry, "cells", output=cell)) if t.startswith("y["))
            if "..." in told:
                continue
            place = tuple(map(int, re.match(r"y\[([\d,]+)\]", told)[1].split(",")))
            assert cell in (None, place)
            terms = re.findall(r"x\[([\d,]+)\]\*(w\[[\d,]+\]|\w)", told)
            total = sum(x[tuple(map(int, i.split(",")))] * names[tap] for i, tap in terms)
            assert total == made[place], told

    @pytest.mark.parametrize("geometry", [p for p in PAIRS if p.values[0].axes < 3])
    def test_the_stamp_is_what_one_input_makes(self, geometry: Geometry) -> None:
        told = section(geometry, "cells")
        cell = tuple(row["input"] for row in told.table("input cell").records())
        x = np.zeros(geometry.input, int)
        x[cell] = 1
        order = np.arange(1, np.prod(geometry.kernel) + 1).reshape(geometry.kernel)
        made = scatter(plane(x), plane(order), geometry)[0, 0]
        number = {name: n for n, name in enumerate(taps(geometry), 1)}
        for matrix in matrices(told, "stamp"):
            for r, row in enumerate(matrix.values):
                for c, name in enumerate(row):
                    place = (int(matrix.row_names[r]),) if matrix.row_names else ()
                    assert made[(*place, int(matrix.column_names[c]))] == number[name]
            if not matrix.shortened:
                assert sum(map(len, matrix.values)) == np.count_nonzero(made)
        assert bool(matrices(told, "stamp")) == made.any()

    def test_a_telling_cell_has_the_most_taps(self) -> None:
        told = section(UNEVEN, "cells")
        assert "y[27,27] = x[14,14]*a + x[14,13]*c + x[13,14]*g + x[13,13]*i" in lines(told)

    def test_chosen_cells(self) -> None:
        told = section(Geometry.parse("n1 c1>1 i5x5 k3 s2 p1"), "cells", output=(3, 4), input_cell=(0, 1))
        assert "y[3,4] = x[2,2]*b + x[1,2]*h" in lines(told)
        assert [row["taps cropped"] for row in told.table("input cell").records()] == [1, 0]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"output": (9, 0)}, "no output 9 on axis 0; 0 to 8 would fit"),
            ({"input_cell": (0, 5)}, "no input 5 on axis 1; 0 to 4 would fit"),
            ({"output": (1,)}, "has 1 entries"),
            ({"output": "1,1"}, "must be an int"),
            ({"only": ["sise"]}, "did you mean 'size'?"),
            ({"only": ["values"]}, "section 'values' is unknown; "),
            ({"only": "size,values"}, "section 'values' is unknown; "),
            ({"values": "count"}, "values='count'; a pair of an input and a weight would fit"),
            ({"values": ["count"]}, "a pair of an input and a weight would fit"),
        ],
    )
    def test_what_is_not_there(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(TconvError, match=re.escape(message)):
            tconv.explain(Geometry.parse("n1 c1>1 i5x5 k3 s2 p1"), **options)

    def test_no_geometry(self) -> None:
        with pytest.raises(TconvError, match=r"explain\('n1 c1>1 i3 k3'\): not a Geometry"):
            tconv.explain("n1 c1>1 i3 k3")  # type: ignore[arg-type]


def taps(geometry: Geometry) -> list[str]:
    """The names of the taps in order, as the explanation itself writes them."""
    if np.prod(geometry.kernel) > 44:
        return [f"w[{','.join(map(str, tap))}]" for tap in np.ndindex(*geometry.kernel)]
    return [name for m in matrices(section(geometry, "cells"), "kernel") for row in m.values for name in row]


class TestPhases:
    def test_tensorflows_sub_filters(self) -> None:
        found = {
            m.name: m.values for m in section(Geometry.parse("n1 c1>1 i2x2 k3 s2 p0:1"), "phases").matrices()
        }
        assert found == {
            "phase 0,0": (("a", "c"), ("g", "i")),
            "phase 0,1": (("b",), ("h",)),
            "phase 1,0": (("d", "f"),),
            "phase 1,1": (("e",),),
        }

    @pytest.mark.parametrize("geometry", PAIRS)
    def test_every_tap_is_in_one_phase(self, geometry: Geometry) -> None:
        told = section(geometry, "phases")
        found = [name for m in told.matrices() for row in m.values for name in row]
        if found:
            assert sorted(found) == sorted(taps(geometry))
        else:
            assert np.prod(geometry.stride) in (1, *range(10, 10**6)) or np.prod(geometry.kernel) > 44

    def test_outputs_of_a_phase(self) -> None:
        found = section(Geometry.parse("n1 c1>1 i4 k3 s2 p1"), "phases").table("phases").rows
        assert found == ((0, 0, "1, 3, 5", "0 at 0, 2 at 1"), (0, 1, "0, 2, 4, ... (4 in all)", "1 at 0"))

    def test_empty_phases_are_explained(self) -> None:
        told = " ".join(lines(section(Geometry.parse("n1 c1>1 i4 k2 s3"), "phases")))
        assert "the kernel 2 is shorter than the stride 3" in told
        told = " ".join(lines(section(Geometry.parse("n1 c1>1 i4 k5 s4 d6"), "phases")))
        assert "stride 4 and dilation 6 have the divisor 2" in told


class TestMatrix:
    def test_c_is_4_x_16(self) -> None:
        c, c_t = matrices(section(Geometry.parse("n1 c1>1 i2x2 k3"), "matrix"), "C") + matrices(
            section(Geometry.parse("n1 c1>1 i2x2 k3"), "matrix"), "C^T"
        )
        assert c.shape == (4, 16)
        assert " ".join(v or "." for v in c.values[0]) == "a b c . d e f . g h i . . . . ."
        assert c_t.shape == (16, 4)
        assert c_t.values == tuple(zip(*c.values, strict=True))

    @pytest.mark.parametrize("geometry", PAIRS)
    def test_it_is_the_views(self, geometry: Geometry) -> None:
        told = section(geometry, "matrix")
        small = np.prod(geometry.output) <= 48 and np.prod(geometry.input) <= 24
        assert bool(matrices(told, "C^T")) == (small and np.prod(geometry.kernel) <= 44)
        order = np.arange(1, np.prod(geometry.kernel) + 1).reshape(geometry.kernel)
        number = {name: n for n, name in enumerate(taps(geometry), 1)}
        for matrix in matrices(told, "C^T"):
            found = [[0 if name is None else number[name] for name in row] for row in matrix.values]
            assert np.array_equal(found, dense(order, geometry))
        non_zeros = np.count_nonzero(dense(order, geometry))
        assert f"with {non_zeros:,} non-zeros" in lines(told)[0]
        if not small:
            assert any("too large to be read" in text for text in lines(told))


class TestElsewhere:
    @pytest.mark.parametrize("geometry", [Geometry.parse("n1 c4>8 i5x5 k3 s2 p0:1 g2"), UNEVEN])
    def test_every_framework_has_its_call(self, geometry: Geometry) -> None:
        from tconv.conventions import FRAMEWORKS, write

        found = [item for item in section(geometry, "frameworks").items if isinstance(item, Code)]
        assert [item.name for item in found] == list(FRAMEWORKS)
        for item in found:
            assert item.text == write(item.name, geometry).code


def test_sections_in_the_order_of_the_page() -> None:
    explained = tconv.explain(Geometry.parse("n1 c1>1 i3 k3"))
    assert [part.name for part in explained.sections] == list(SECTIONS)
    with pytest.raises(TconvError, match="section 'sums' is unknown"):
        explained["sums"]
