"""Numbers through the five views, step by step: exact, and each view's steps end at the stamp."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import tconv
from tconv.documents import Line, Matrix
from tconv.errors import TconvError
from tconv.explanation import Explanation, steps, trace
from tconv.explanation.numbers import read
from tconv.geometry import Geometry
from tconv.testing import integer_arrays, load_cases
from tconv.views import VIEWS, scatter

HEADER = b"\x93NUMPY\x01\x00\x10\x00{'descr': (    \n"  # a bracket that never closes
BELOW_ZERO = (  # a size that no array has
    b"\x93NUMPY\x01\x00\x3d\x00{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), } \n"
)
VIEW_STEPS = [f"values-{name}" for name in ("stamp", "zeros", "matrix", "gradient", "phases")]
TENSORFLOW = Geometry.parse("n1 c1>1 i2x2 k3 s2 p0:1")
SMALL = [
    pytest.param(g, id=name)
    for name, g in load_cases()
    if g.batch and g.macs <= 30_000 and np.prod(g.output_shape) <= 30_000
]


def follow(geometry: Geometry, x: object, weight: object) -> Explanation:
    return tconv.explain(geometry, values=(x, weight), only=["values"])


def named(explained: Explanation, section: str, name: str) -> list[Matrix]:
    return [matrix for matrix in explained[section].matrices() if matrix.name == name]


def told(explained: Explanation, section: str) -> str:
    return "\n".join(item.text for item in explained[section].items if isinstance(item, Line))


@pytest.fixture(scope="module")
def explained() -> Explanation:
    return follow(TENSORFLOW, [[1, 2], [3, 4]], "ones")


class TestTensorFlowsExample:
    ANSWER = ((1, 1, 3, 2), (1, 1, 3, 2), (4, 4, 10, 6), (3, 3, 7, 4))

    @pytest.mark.parametrize("section", VIEW_STEPS)
    def test_every_view_ends_in_it(self, section: str, explained: Explanation) -> None:
        assert named(explained, section, "output")[0].values == self.ANSWER

    def test_five_times_the_same(self, explained: Explanation) -> None:
        found = list(explained["values-answer"].matrices())
        assert [matrix.name for matrix in found] == list(VIEWS)
        assert [matrix.values for matrix in found] == [self.ANSWER] * 5

    def test_stamps_and_running_sums(self, explained: Explanation) -> None:
        stamps = named(explained, "values-stamp", "stamp")
        assert [m.values for m in stamps] == [((n,) * 3,) * 3 for n in (1, 2, 3, 4)]
        sums = named(explained, "values-stamp", "sum")
        assert [sum(map(sum, m.values)) for m in sums] == [9, 27, 54, 90]
        # The full output is 5x5; SAME drops its last row and column.
        assert [row[:4] for row in sums[-1].values[:4]] == list(self.ANSWER)
        assert sums[-1].shape == (5, 5)

    def test_the_stretched_input(self, explained: Explanation) -> None:
        (stretched,) = named(explained, "values-zeros", "stretched")
        n = None
        assert stretched.values == (
            (n, n, n, n, n, n),
            (n, n, n, n, n, n),
            (n, n, 1, n, 2, n),
            (n, n, n, n, n, n),
            (n, n, 3, n, 4, n),
            (n, n, n, n, n, n),
        )
        assert "At output 2,2: 1*1 + 2*1 + 3*1 + 4*1 = 10" in told(explained, "values-zeros")

    def test_the_matrix(self, explained: Explanation) -> None:
        (c_t,) = named(explained, "values-matrix", "C^T")
        (y,) = named(explained, "values-matrix", "y")
        assert c_t.shape == (16, 4)
        full = np.array([[0 if v is None else int(v) for v in row] for row in c_t.values])
        assert (full @ [1, 2, 3, 4]).tolist() == [int(row[0]) for row in y.values]
        assert [int(row[0]) for row in y.values] == list(np.ravel(self.ANSWER))

    def test_the_gradient(self, explained: Explanation) -> None:
        (slope,) = named(explained, "values-gradient", "slope")
        assert slope.values == ((1, 1), (1, 1))
        assert "times x and summed it is 10." in told(explained, "values-gradient")

    def test_the_phases(self, explained: Explanation) -> None:
        found = named(explained, "values-phases", "phase outputs")
        assert [m.values for m in found] == [
            ((1, 3), (4, 10)),
            ((1, 2), (4, 6)),
            ((1, 3), (3, 7)),
            ((1, 2), (3, 4)),
        ]


class TestBilinear:
    def test_fcns_filter_and_its_picture(self) -> None:
        explained = follow(Geometry.parse("n1 c1>1 i3x3 k4 s2 p1"), "count", "bilinear")
        (w,) = named(explained, "values", "w")
        assert w.values[0] == tuple(map(Fraction, ("0.0625", "0.1875", "0.1875", "0.0625")))
        assert w.values[2][2] == Fraction("0.5625")
        output = named(explained, "values-answer", "scatter")[0].values
        assert [float(v) for v in output[2]] == [2.4375, 3.5, 4, 4.5, 5, 3.9375]
        assert output[0][0] == Fraction("0.5625")  # a corner sees 0.5625 alone

    def test_no_resize_at_the_border(self) -> None:
        explained = follow(Geometry.parse("n1 c1>1 i3 k4 s2 p1"), "1,2,3", "bilinear")
        assert [float(v) for v in named(explained, "values-answer", "phases")[0].values[0]] == [
            *(0.75, 1.25, 1.75),
            *(2.25, 2.75, 2.25),
        ]

    def test_it_keeps_channels_apart(self) -> None:
        for problem in ("n1 c3>3 i3x3 k4 s2 p1", "n1 c3>3 i3x3 k4 s2 p1 g3"):
            g = Geometry.parse(problem)
            made = read(g, "count", "bilinear").through(scatter, g)
            # Channel c counts from 9c + 1 on; inside, the used weights sum to 1.
            assert [made[0, c, 2, 2] for c in range(3)] == [4, 4 + 9, 4 + 18]


@pytest.mark.parametrize("geometry", SMALL)
def test_the_steps_end_at_the_stamp_s_answer(geometry: Geometry) -> None:
    arrays = integer_arrays(geometry, "int64", seed=7)
    explained = follow(geometry, arrays.x, arrays.weight)
    wanted = scatter(arrays.x, arrays.weight, geometry)
    rows = explained["values-answer"].table("views").rows
    assert [row[2:] for row in rows] == [(wanted.size, wanted.sum())] * 5
    one = wanted[0, 0].reshape(-1, *(1, *geometry.output)[-2:])
    for section in VIEW_STEPS:
        for z, matrix in enumerate(named(explained, section, "output")):
            assert np.array_equal(matrix.values, one[z][np.ix_(matrix.rows, matrix.columns)])
    assert max(map(len, explained.text().splitlines())) <= 100


@pytest.mark.parametrize(
    "problem", ["n2 c4>6 i4x3 k3x2 s2x3 p1x0 o1x2 d1x2 g2", "n1 c2>3 i5 k4 s3 p2", "n1 c2>2 i2x3x2 k3 s2 p1"]
)
def test_the_answer_is_pytorch_s(problem: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch's layer; install tconv[torch]")
    g = Geometry.parse(problem)
    arrays = integer_arrays(g, "float64", seed=8)
    layer = getattr(torch.nn.functional, f"conv_transpose{g.axes}d")
    options = {"stride": g.stride, "padding": [lo for lo, _ in g.padding], "dilation": g.dilation}
    made = layer(
        torch.tensor(arrays.x),
        torch.tensor(arrays.weight),
        output_padding=g.output_padding,
        groups=g.groups,
        **options,
    )
    explained = follow(g, arrays.x, arrays.weight)
    assert explained["values-answer"].table("views").rows[0][-1] == made.sum().item()
    theirs = made[0, 0].reshape(-1, *(1, *g.output)[-2:]).tolist()
    for section in VIEW_STEPS:
        assert [m.values for m in named(explained, section, "output")] == [
            tuple(map(tuple, plane)) for plane in theirs
        ]


@pytest.mark.parametrize("view", VIEWS)
def test_steps_that_do_not_add_up_are_a_fault(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**VIEWS, view: lambda *given: scatter(*given) + 1}
    monkeypatch.setattr(trace, "VIEWS", wrong)
    with pytest.raises(RuntimeError, match=f"the steps of {view} do not add up"):
        follow(TENSORFLOW, "count", "count")


def test_views_that_differ_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "VIEWS", {**VIEWS, "phases": lambda *given: scatter(*given) + 1})
    with pytest.raises(RuntimeError, match="the view phases differs from the stamp"):
        follow(TENSORFLOW, "count", "count")


class TestExact:
    LINE = Geometry.parse("n1 c1>1 i1 k2")

    @pytest.mark.parametrize(
        ("x", "weight", "wanted"),
        [
            ("0.1", "0.2,3", ("0.02", "0.3")),
            ("1/3", "3,1e-3", ("1", "1/3000")),
            ("[12345678901234567890]", "[98765432109876543210, -7]", None),
            (np.array([0.1]), np.array([3.0, -0.0]), (Fraction(0.1) * 3, "0")),
            (np.array([1e-30]), np.array([1e30, 1]), (Fraction(1e-30) * Fraction(1e30), Fraction(1e-30))),
        ],
    )
    def test_no_digit_is_lost(self, x: object, weight: object, wanted: object) -> None:
        numbers = read(self.LINE, x, weight)
        if wanted is None:
            wanted = (12345678901234567890 * 98765432109876543210, 12345678901234567890 * -7)
        for view in VIEWS.values():
            made = numbers.through(view, self.LINE)
            assert [made[0, 0, o] for o in range(2)] == [Fraction(value) for value in wanted]

    def test_trained_weights_of_float32(self) -> None:
        g = Geometry.parse("n2 c4>6 i4x3 k3 s2 p1 g2")
        rng = np.random.default_rng(3)
        x = rng.standard_normal(g.input_shape, dtype=np.float32)
        weight = rng.standard_normal(g.weight_shape, dtype=np.float32)
        made = read(g, x, weight).through(scatter, g)
        # Output (1, 4, 2, 2) by its own sum: group 1, its output channel 1.
        pairs = [g.taps_of_output(a, 2) for a in range(2)]
        total = sum(
            Fraction(float(x[1, c, i, j])) * Fraction(float(weight[c, 1, s, t]))
            for c in (2, 3)
            for i, s in pairs[0]
            for j, t in pairs[1]
        )
        assert made[1, 4, 2, 2] == total
        explained = follow(g, x, weight)
        assert "printed with at most six digits" in told(explained, "values")
        np.testing.assert_allclose(
            float(explained["values-answer"].table("views").rows[0][-1]),
            scatter(x.astype(float), weight.astype(float), g).sum(),
        )

    def test_long_numbers_say_so_and_short_ones_do_not(self) -> None:
        assert "six digits" not in follow(TENSORFLOW, "count", "ones").text()
        assert "six digits" in follow(self.LINE, "1/3", "1,2").text()
        assert "six digits" in told(follow(self.LINE, "1.0001", "1.0001,2"), "values-answer")


class TestWhatIsTaken:
    def test_a_file(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.array([[1, 2], [3, 4]], np.float32))
        explained = follow(TENSORFLOW, str(tmp_path / "x.npy"), "1,1,1;1,1,1;1,1,1")
        assert named(explained, "values-answer", "zeros")[0].values[2] == (4, 4, 10, 6)

    @pytest.mark.parametrize(
        "x", ["1,2;3,4", "[[1, 2], [3, 4]]", "[[[[1, 2], [3, 4]]]]", "count", [[1, 2], [3, 4]]]
    )
    def test_spellings_of_one_input(self, x: object) -> None:
        assert read(TENSORFLOW, x, "ones").x.whole.tolist() == [[[[1, 2], [3, 4]]]]

    def test_a_line(self) -> None:
        assert read(Geometry.parse("n1 c1>1 i3 k2"), "-1,2,3", "1,2").x.whole.tolist() == [[[-1, 2, 3]]]

    @pytest.mark.parametrize(
        ("problem", "x", "weight", "message"),
        [
            ("n1 c1>1 i2x2 k3", "1,2;3", "ones", "X has shape (2,); (1, 1, 2, 2) would fit"),
            ("n1 c1>1 i2x2 k3", "1,2", "ones", "X has shape (2,); (1, 1, 2, 2) would fit"),
            ("n1 c2>1 i2 k3", "1,2", "ones", "X has shape (2,); (1, 2, 2) would fit"),
            ("n1 c1>1 i2 k3", "1,2", "1,2", "W has shape (2,); (1, 1, 3) would fit"),
            ("n1 c1>1 i2 k3", "1,two", "ones", "cannot read '1,two'"),
            ("n1 c1>1 i2 k3", "", "ones", "cannot read ''"),
            ("n1 c1>1 i2 k3", "[1,", "ones", "cannot read '[1,'"),
            ("n1 c1>1 i2 k3", "[" * 9999, "ones", "cannot read '[[["),
            ("n1 c1>1 i2 k3", "1,1e99999999", "ones", "cannot read '1,1e99999999'"),
            ("n1 c1>1 i2 k3", "1,1e999", "ones", "more than 400 binary digits"),
            ("n1 c1>1 i2 k3", "[1, NaN]", "ones", "nan is not a finite real number"),
            ("n1 c1>1 i2 k3", '[1, "x"]', "ones", "'x' is not a finite real number"),
            ("n1 c1>1 i2 k3", '[1, "1e99999999"]', "ones", "'1e99999999' is not a finite real number"),
            ("n1 c1>1 i2 k3", [[1, 2], [3]], "ones", "is not an array; rows of equal length would fit"),
            ("n1 c1>1 i2 k3", "count", np.array([1, np.nan, 2]), "W: nan is not a finite real number"),
            ("n1 c1>1 i2 k3", "count", np.array([1, np.inf, 2]), "W: inf is not a finite real number"),
            (
                "n1 c1>1 i2 k3",
                "count",
                np.array([1, 2j, 2]),
                "W has dtype complex128; real numbers would fit",
            ),
            ("n1 c1>1 i2 k3", "bilinear", "ones", "X: cannot read 'bilinear'"),
            ("n1 c1>1 i2 k3 s2", "count", "bilinear", "the bilinear filter for stride 2 has k4 s2"),
            ("n1 c1>2 i2 k4 s2", "count", "bilinear", "acts on each channel separately"),
            ("n1 c1>1 i2 k3", "nowhere.npy", "ones", "cannot read nowhere.npy: No such file"),
            ("n0 c1>1 i2 k3", "count", "ones", "an empty batch has no numbers"),
            (
                "n1 c64>64 i64x64 k3",
                "count",
                "ones",
                "262,144 inputs are too many to compute one by one; up to 20,000 would",
            ),
            ("n1 c700>700 i1 k1", "count", "ones", "490,000 pairs of channels are too many"),
            ("n1 c9>9 i9x9 k99", "count", "ones", "64,304,361 multiplications are too many"),
            ("n1 c1>1 i5x5 k1 s300 p0:1199", "count", "ones", "cells with inserted zeros are too many"),
            ("n1 c1>1 i1x1 k1 s100000", "count", "ones", "10,000,000,000 phases are too many"),
            ("n1 c1>1 i1x1 k1 p-999:0", "count", "ones", "1,000,000 outputs are too many"),
        ],
    )
    def test_what_is_not(self, problem: str, x: object, weight: object, message: str) -> None:
        with pytest.raises(TconvError, match=re.escape(message)) as caught:
            follow(Geometry.parse(problem), x, weight)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content", [b"", b"\x93NUMPY", b"hello", b"PK\x03\x04", HEADER, BELOW_ZERO, None]
    )
    def test_a_file_cut_short(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        if content is None:
            np.save(path, np.ones((2, 2)))
            content = path.read_bytes()[:-8]
        path.write_bytes(content)
        with pytest.raises(TconvError, match=r"x\.npy is not a complete \.npy file"):
            follow(TENSORFLOW, str(path), "ones")


def test_a_kernel_that_slides_over_itself_for_minutes_is_refused() -> None:
    g = Geometry.parse("n1 c1>1 i1 k250000")
    with pytest.raises(TconvError, match="62,500,000,000 visits of taps to outputs are too many"):
        tconv.explain(g, values=("ones", "ones"))
    assert tconv.explain(Geometry.parse("n1 c1>1 i1 k300"), values=("ones", "ones")).sections
