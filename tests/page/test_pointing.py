"""The page in a browser: pointed at, clicked, typed into, walked by keyboard, opened at any address."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tconv.geometry import Geometry
from tconv.views import scatter
from tests.page.helpers import address, browser, cell, go, lit, number, numbers, page

__all__ = ["address", "browser", "page"]


def told(page: Any, card: str) -> str:
    return " ".join(page.inner_text(f"#told-{card} .lines").split())


def test_pointing_at_an_output_shows_its_inputs_and_taps(page: Any) -> None:
    go(page, "c1>1 i3x3 k3 s2")
    geometry = Geometry.parse("c1>1 i3x3 k3 s2")
    for row, column in ((2, 2), (1, 0), (4, 3)):
        page.hover(cell("y", row, column, across=7))
        pairs = [
            (i * 3 + j, t * 3 + q)
            for i, t in geometry.taps_of_output(0, row)
            for j, q in geometry.taps_of_output(1, column)
        ]
        for grids, expected in (("xu", {i for i, _ in pairs}), ("w", {t for _, t in pairs})):
            for grid in grids:
                assert set(lit(page, grid)) == expected
        assert page.get_attribute(cell("y", row, column, across=7), "class").split()[-1] == "ringed"


def test_pointing_at_an_input_shows_its_stamp_and_what_is_cropped(page: Any) -> None:
    go(page, "c1>1 i3x3 k3 s2 p1")
    page.hover(cell("x", 0))
    assert lit(page, "y") == lit(page, "v") == [0, 1, 5, 6]
    assert page.locator("#grid-y .ghost.lit").count() == 9 - 4
    assert "5 products fall outside" in page.inner_text("#told-up")
    assert "5 taps of the window meet the padding" in page.inner_text("#told-down")


def test_pointing_at_a_tap_tells_its_gradient(page: Any) -> None:
    go(page, "c1>1 i2x2 k2 s2")
    page.hover(cell("w", 3))
    # x = 1 2 3 4 and v = 1 .. 16: the last tap meets v[1,1], v[1,3], v[3,1], v[3,3].
    assert told(page, "down").endswith(f"= {1 * 6 + 2 * 8 + 3 * 14 + 4 * 16}")
    assert "shared by 4 positions" in page.inner_text("#told-up")


def test_arithmetic_is_written_out(page: Any) -> None:
    go(page, "c1>1 i4 k3 s2 p1")
    page.hover(cell("y", 3))
    assert told(page, "up") == "y[3] = ax[2]·w[0] + bx[1]·w[2] = 3·1 + 2·3 = 9"
    where = "#grid-{} .marks text"
    for grid, places in (("x", {"a": 2, "b": 1}), ("w", {"a": 0, "b": 2})):
        read = "a => a.map(t => [t.textContent, Math.floor(t.getAttribute('x') / 10)])"
        assert dict(page.eval_on_selector_all(where.format(grid), read)) == places


def test_tensorflows_example(page: Any) -> None:
    page.click("#examples [data-problem='n1 c1>1 i2x2 k3 s2 p0:1']")
    page.select_option("#preset-w", "ones")
    expected = [1, 1, 3, 2, 1, 1, 3, 2, 4, 4, 10, 6, 3, 3, 7, 4]
    assert numbers(page, "x") == [1, 2, 3, 4]
    assert numbers(page, "y") == expected


@pytest.mark.parametrize("text", ["c1>1 i3x4 k4x3 s2x3 p1:2x-1:2 o1x2 d1x2", "c1>1 i5 k4 s3 p-1 o2 d2"])
def test_the_maps_are_those_of_the_definition(page: Any, text: str) -> None:
    go(page, text)
    page.select_option("#preset-x", "random")
    page.select_option("#preset-w", "random")
    page.select_option("#preset-v", "random")
    geometry = Geometry.parse(text)
    x, w, v = (np.array(numbers(page, grid)) for grid in "xwv")
    y = scatter(x.reshape(geometry.input_shape), w.reshape(geometry.weight_shape), geometry)
    assert len(set(x)) > 2
    assert numbers(page, "y") == y.ravel().tolist()
    products = [number(page.inner_text(f"#identity-{grid}")) for grid in "yu"]
    assert products[0] == products[1] == float((y.ravel() * v).sum())
    # u is what y changes by, were each input 1 by turns: <A v, e> = <v, A^T e>.
    units = np.eye(x.size).reshape(-1, *geometry.input_shape)
    u = [(scatter(unit, w.reshape(geometry.weight_shape), geometry).ravel() * v).sum() for unit in units]
    assert numbers(page, "u") == u


def test_numbers_are_edited_by_keyboard_and_mouse(page: Any) -> None:
    go(page, "c1>1 i2 k2 s2")
    page.focus(cell("x", 0))
    page.keyboard.type("-7.5")
    page.keyboard.press("Enter")
    assert numbers(page, "y") == [-7.5, -15, 2, 4]
    assert page.evaluate("document.activeElement.dataset.index") == "0"
    assert page.is_hidden("#editor")
    assert page.inner_text("#live") == "x[0] is now -7.5."
    page.dblclick(cell("w", 1))
    page.keyboard.type("10")
    page.keyboard.press("Enter")
    assert numbers(page, "y") == [-7.5, -75, 2, 20]
    page.keyboard.press("F2")
    page.keyboard.type("a1")
    page.keyboard.press("Enter")
    assert "is no number" in page.inner_text("#live")
    page.keyboard.press("F2")
    page.keyboard.type("3")
    page.keyboard.press("Escape")
    assert numbers(page, "w") == [1, 10]
    assert page.input_value("#preset-w") == "edited"
    page.select_option("#preset-w", "ones")
    assert numbers(page, "y") == [-7.5, -7.5, 2, 2]


def test_a_pinned_cell_stays_until_it_is_freed(page: Any) -> None:
    page.click(cell("y", 9))
    before = told(page, "up")
    page.hover(cell("y", 40))
    assert told(page, "up") == before
    page.keyboard.press("Escape")
    page.hover(cell("y", 41))
    assert told(page, "up") != before
    page.click(cell("x", 5))
    page.click("#change")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    assert numbers(page, "x")[5] == 100
    page.click("#release")
    assert page.is_hidden("#release")


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_moves_away_while_it_is_clicked(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for grid in "xywuv":
        page.click(cell(grid, 3))
        assert page.get_attribute(cell(grid, 3), "class").endswith("ringed pinned"), grid
        page.click("#release")


def test_the_grids_are_walked_by_keyboard(page: Any) -> None:
    """One stop of Tab a grid; arrows inside it; each cell says what it is."""
    page.focus("#step")
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('svg')?.id ?? document.activeElement.id"))
    assert [stop for stop in stops if stop.startswith("grid-")] == [f"grid-{name}" for name in "xywuv"]
    page.focus(cell("y", 0))
    for key, index in (
        ("ArrowRight", 1),
        ("ArrowDown", 9),
        ("End", 15),
        ("ArrowRight", 15),
        ("PageDown", 63),
        ("Home", 56),
        ("ArrowUp", 48),
        ("PageUp", 0),
        ("ArrowUp", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.index") == str(index), key
        assert page.locator("#grid-y [tabindex='0']").count() == 1
    assert page.get_attribute(cell("y", 0), "aria-label") == "y[0, 0] 5"
    assert page.inner_text("#live").startswith("y[0, 0] is 5. An output gathers 1 product")
    page.keyboard.press("Enter")
    assert page.inner_text("#live").startswith("Pinned. y[0, 0]")
    assert page.get_attribute(cell("y", 0), "aria-selected") == "true"
    page.keyboard.press("Escape")
    assert page.is_hidden("#release")


def test_roles_and_names(page: Any) -> None:
    assert page.get_by_role("grid").count() == 5
    grid = page.get_by_role("grid", name="y, output of the transposed convolution, 8 by 8 cells")
    assert grid.get_by_role("row").count() == 8
    assert grid.get_by_role("gridcell").count() == 64
    for role, name in (("spinbutton", "stride"), ("slider", "step"), ("button", "play"), ("radio", "phases")):
        assert page.get_by_role(role, name=name, exact=True).count() == 1
    named = "e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()"
    nameless = f"a => a.filter(e => !({named})).map(e => e.id)"
    found = page.eval_on_selector_all("button, select, input", nameless)
    assert sorted(found) == ["editor", "fit"]  # named when they appear
