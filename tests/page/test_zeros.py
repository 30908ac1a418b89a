"""The third view, inserted zeros, and three axes as slices: what is lit and said, against Python."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tconv.geometry import Geometry
from tconv.views import scatter
from tests.page.helpers import address, browser, cell, go, lit, numbers, page

__all__ = ["address", "browser", "page"]


def open_zeros(page: Any, text: str) -> Geometry:
    go(page, text)
    page.get_by_role("radio", name="Zeros inserted").check(force=True)
    return Geometry.parse(text)


def padded(g: Geometry, x: np.ndarray) -> np.ndarray:
    """x with zeros inserted by the recipe, by NumPy."""
    recipe = g.zero_insertion()
    z = np.zeros([(i - 1) * (between + 1) + 1 for i, between in zip(g.input, recipe.between, strict=True)])
    z[tuple(slice(None, None, between + 1) for between in recipe.between)] = x
    z = np.pad(z, [(max(0, before), max(0, after)) for before, after in recipe.around])
    return z[
        tuple(slice(max(0, -b), n - max(0, -a)) for (b, a), n in zip(recipe.around, z.shape, strict=True))
    ]


def under(page: Any) -> list[int]:
    read = "a => a.map(c => Number(c.dataset.index))"
    return list(page.eval_on_selector_all("#grid-z .cell.under", read))


@pytest.mark.parametrize(
    "text",
    ["c1>1 i3x4 k3 s2 p1 o1", "c1>1 i3x3 k3x2 s2x3 d2x1", "c1>1 i4 k3 s2 p3:1", "c1>1 i2x2x2 k3 s2 p1"],
)
def test_the_window_over_the_zeros_makes_the_output(page: Any, text: str) -> None:
    g = open_zeros(page, text)
    x = np.arange(1, np.prod(g.input) + 1).reshape(g.input)
    w = np.arange(1, np.prod(g.kernel) + 1).reshape(g.kernel)
    z = padded(g, x)
    turned = np.flip(w)
    assert numbers(page, "z") == z.ravel().tolist()
    assert numbers(page, "r") == turned.ravel().tolist()
    y = scatter(x[None, None], w[None, None], g)[0, 0]
    assert numbers(page, "y") == y.ravel().tolist()
    places = np.arange(z.size).reshape(z.shape)
    for o in list(np.ndindex(*g.output))[:: max(1, y.size // 5)]:
        page.hover(cell("y", int(np.ravel_multi_index(o, g.output))))
        taps = [range(c, c + d * (k - 1) + 1, d) for c, d, k in zip(o, g.dilation, g.kernel, strict=True)]
        window = places[np.ix_(*taps)]
        assert under(page) == window.ravel().tolist()
        assert (z.ravel()[window] * turned).sum() == y[o]
        inputs = [n for n in window.ravel().tolist() if z.ravel()[n]]
        assert lit(page, "z") == inputs
        assert lit(page, "r") == [n for n, p in enumerate(window.ravel().tolist()) if z.ravel()[p]]
        told = " ".join(page.inner_text("#told-zeros .lines").split())
        assert told.endswith(f"= {y[o]}")
        wasted = turned.size - len(inputs)
        assert (
            f"{wasted} of its {turned.size} products" in page.inner_text("#told-zeros .remark") or not wasted
        )


def test_an_input_among_the_zeros_is_that_input_and_a_zero_takes_part_in_nothing(page: Any) -> None:
    open_zeros(page, "c1>1 i3x3 k3 s2")
    page.hover(cell("z", 2, 4, across=9))  # x[0, 1]
    stamp = lit(page, "y")
    assert lit(page, "z") == [2 * 9 + 4]
    assert page.get_attribute(cell("x", 1), "class").split()[-1] == "ringed"
    page.hover(cell("x", 1))
    assert lit(page, "y") == stamp
    assert len(stamp) == 9
    page.hover(cell("z", 0))
    assert lit(page, "y") == lit(page, "x") == []
    assert "An inserted zero" in page.inner_text("#told-zeros")
    page.hover(cell("r", 0))
    assert page.get_attribute(cell("w", 8), "class").split()[-1] == "ringed"
    assert lit(page, "r") == [0]
    page.click(cell("z", 2, 4, across=9))
    assert page.get_attribute(cell("x", 1), "class").endswith("pinned")


def test_the_zeros_are_walked_by_keyboard_and_read_aloud(page: Any) -> None:
    open_zeros(page, "c1>1 i3x3 k3 s2")
    assert page.get_by_role("grid").count() == 5
    assert page.get_by_role("grid", name="z, the input with zeros inserted, 9 by 9 cells").count() == 1
    page.focus(cell("z", 0))
    assert page.inner_text("#live").startswith("z[0, 0] is 0. An inserted zero.")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#live").startswith("x[0, 0] is 1. An input stamps 9 outputs")
    page.focus(cell("y", 24))
    assert page.inner_text("#live").startswith("y[3, 3] is")
    page.keyboard.press("Enter")
    assert "The window begins at z[3, 3]" in page.inner_text("#told-zeros")


def test_steps_slide_the_window(page: Any) -> None:
    open_zeros(page, "c1>1 i3 k3 s2")
    page.get_by_role("radio", name="output by output").check(force=True)
    page.eval_on_selector("#step", "e => { e.value = 3; e.dispatchEvent(new Event('input')); }")
    assert under(page) == [2, 3, 4]


def test_many_zeros_are_not_drawn(page: Any) -> None:
    open_zeros(page, "c1>1 i1x1 k64")
    assert page.is_visible("#no-zeros")
    assert not page.is_visible("#grid-z")
    page.hover(cell("x", 0))
    assert page.is_hidden("#told-zeros .told")
    open_zeros(page, "c1>1 i2x2 k2 s2")
    assert page.is_visible("#grid-z")


def test_three_axes_are_slices(page: Any) -> None:
    text = "c1>1 i2x3x2 k3x2x3 s2x2x1 p1x0x0"
    go(page, text)
    page.select_option("#preset-x", "random")
    page.select_option("#preset-w", "random")
    g = Geometry.parse(text)
    x, w = (np.array(numbers(page, grid)) for grid in "xw")
    y = scatter(x.reshape(g.input_shape), w.reshape(g.weight_shape), g)[0, 0]
    assert numbers(page, "y") == y.ravel().tolist()
    slices = page.eval_on_selector_all("#grid-y .names text", "a => a.map(t => t.textContent)")
    assert slices == [f"slice {n}" for n in range(g.output[0])]
    o = (1, 3, 2)
    page.hover(cell("y", int(np.ravel_multi_index(o, g.output))))
    pairs = list(product(*(g.taps_of_output(a, c) for a, c in enumerate(o))))
    assert len(pairs) > 2
    for grid, at, shape in (("x", 0, g.input), ("w", 1, g.kernel)):
        expected = {int(np.ravel_multi_index([pair[at] for pair in some], shape)) for some in pairs}
        assert set(lit(page, grid)) == expected
    assert page.inner_text("#told-up .lines").startswith("y[1, 3, 2] =")


def test_arrows_lead_from_slice_to_slice(page: Any) -> None:
    """The four slices of x stand two by two."""
    go(page, "c1>1 i4x2x2 k1")
    page.focus(cell("x", 0))
    for key, index in (
        ("ArrowRight", 1),
        ("ArrowRight", 4),  # the first cell of slice 1
        ("ArrowDown", 6),
        ("ArrowDown", 12),  # slice 3, below it
        ("ArrowLeft", 9),
        ("ArrowLeft", 8),
        ("ArrowLeft", 8),
        ("ArrowUp", 2),
        ("End", 3),
        ("PageUp", 1),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.index") == str(index), key
    assert page.get_attribute(cell("x", 4), "aria-label") == "x[1, 0, 0] 5"


def test_three_large_axes_are_shortened(page: Any) -> None:
    go(page, "c1>1 i32x32x32 k3 s2")
    assert "Drawn with an input of 3 x 3 x 3 cells" in page.inner_text("#note")
    assert page.locator("#grid-y .cell").count() == 7**3
