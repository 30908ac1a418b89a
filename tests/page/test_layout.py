"""What is on the first screen, and what folds away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.page.helpers import address, browser, go, page

__all__ = ["address", "browser", "page"]

DESK, PHONE = (1280, 900), (390, 844)


def box(page: Any, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found, selector
    return dict(found)


def reopened(page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.reload()


SMALL = ("", "c1>1 i3x3 k4 s2 p1", "c1>1 i6 k4 s2 p1")
TALL = "c1>1 i6x3 k3 s2"


@pytest.mark.parametrize(
    ("size", "problem"),
    [*((size, problem) for size in (DESK, PHONE) for problem in SMALL), (DESK, TALL)],
)
def test_the_grids_are_on_the_first_screen(page: Any, size: tuple[int, int], problem: str) -> None:
    reopened(page, size)
    if problem:
        go(page, problem)
    for grid in "xwyuv":
        place = box(page, f"#grid-{grid}")
        assert place["y"] >= 0
        assert place["y"] + place["height"] <= size[1], grid
        assert place["x"] + place["width"] <= size[0], grid
    # Numbers are large enough to be read.
    assert page.locator("svg.quiet").count() == 0


def test_between_desk_and_phone_numbers_can_be_read(page: Any) -> None:
    for size in ((1000, 800), (820, 1100), (760, 900)):
        reopened(page, size)
        assert page.locator("svg.quiet").count() == 0, size
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_steppers_stand_beside_the_picture(page: Any) -> None:
    stepper, stage = box(page, "[data-option=stride]"), box(page, "#stage")
    assert stepper["x"] + stepper["width"] < stage["x"]
    assert stage["y"] < stepper["y"] < stage["y"] + stage["height"]
    page.get_by_label("more kernel").click()
    assert page.input_value("#problem") == "n1 c1>1 i4x4 k4 s2 p1 o1"
    page.click("#controls summary")
    assert not page.is_visible("[data-option=stride]")
    assert box(page, "#stage")["width"] > stage["width"] + 100


def test_intro_and_options_fold_away(page: Any) -> None:
    assert not page.is_visible(".lead >> nth=0")
    page.click(".intro summary")
    assert page.is_visible(".lead >> nth=0")
    reopened(page, PHONE)
    assert not page.is_visible(".lead >> nth=0")
    assert not page.is_visible("[data-option=stride]")
    page.click("#controls summary")
    assert page.is_visible("[data-option=stride]")


def test_on_a_phone_the_kernel_stands_below_the_input_beside_the_output(page: Any) -> None:
    reopened(page, PHONE)
    x, w, y = (box(page, f"#grid-{grid}") for grid in "xwy")
    assert x["y"] + x["height"] < w["y"]
    assert w["x"] + w["width"] < y["x"]
    assert y["y"] < w["y"] < y["y"] + y["height"]


def test_a_frame_is_told_its_theme(page: Any) -> None:
    scheme = "() => getComputedStyle(document.documentElement).colorScheme"
    for theme, shown in (("dark", "dark"), ("light", "light"), ("auto", "light dark"), ("<b>", "light dark")):
        page.evaluate("theme => window.postMessage({ theme }, '*')", theme)
        page.wait_for_function(f"shown => ({scheme})() === shown", arg=shown)
    page.evaluate("window.postMessage(null, '*')")
    assert page.evaluate(scheme) == "light dark"
