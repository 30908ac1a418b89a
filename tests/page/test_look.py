"""What the page shows beside the cells: steps, colours, facts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tconv.filters import make
from tconv.geometry import Geometry
from tests.page.helpers import address, browser, go, lit, numbers, page

__all__ = ["address", "browser", "page"]


def set_step(page: Any, step: int) -> None:
    page.eval_on_selector("#step", f"e => {{ e.value = {step}; e.dispatchEvent(new Event('input')); }}")


def texts(page: Any, grid: str) -> list[str]:
    """What the cells show, "" where nothing has come yet."""
    found = page.eval_on_selector_all(f"#grid-{grid} .lettering text", "a => a.map(t => t.textContent)")
    return list(found)


def test_steps_stamp_by_stamp_and_output_by_output(page: Any) -> None:
    go(page, "c1>1 i3 k3 s2")
    page.select_option("#preset-w", "ones")
    page.select_option("#preset-v", "ones")
    set_step(page, 2)
    assert texts(page, "y") == ["1", "1", "3", "2", "2", "", ""]
    assert texts(page, "u") == ["3", "3", ""]
    assert lit(page, "y") == [2, 3, 4]
    assert page.get_attribute("#step", "aria-valuetext") == "step 2 of 3"
    page.get_by_role("radio", name="output by output").check(force=True)
    set_step(page, 3)
    assert texts(page, "y") == ["1", "1", "3", *[""] * 4]
    assert texts(page, "u") == ["3", "1", ""]
    set_step(page, 7)
    assert texts(page, "y") == ["1", "1", "3", "2", "5", "3", "3"]


def test_play_walks_to_the_end_and_stops(page: Any) -> None:
    go(page, "c1>1 i3 k2 s2")
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "pause"
    page.wait_for_function("() => document.querySelectorAll('#grid-y .waiting').length === 4")
    page.wait_for_function("() => document.getElementById('play').getAttribute('aria-label') === 'play'")
    assert page.inner_text("#step-text") == "3 of 3"
    assert numbers(page, "y") == [1, 2, 2, 4, 3, 6]


def test_play_starts_again_and_can_be_stopped(page: Any) -> None:
    page.click("#play")
    page.wait_for_function("() => document.getElementById('step').value === '2'")
    page.click("#play")
    step = page.input_value("#step")
    page.wait_for_timeout(800)
    assert page.input_value("#step") == step
    go(page, "c1>1 i2 k2")
    assert page.inner_text("#step-text") == "2 of 2"


def hues(page: Any, grid: str) -> list[str]:
    found = page.eval_on_selector_all(f"#grid-{grid} .cell", "a => a.map(c => getComputedStyle(c).fill)")
    return list(found)


def test_phases_have_colours_that_join_outputs_and_taps(page: Any) -> None:
    text = "c1>1 i3x3 k3x4 s2x3 p1x0"
    go(page, text)
    page.get_by_role("radio", name="phases").check(force=True)
    geometry = Geometry.parse(text)
    outputs, taps = hues(page, "y"), hues(page, "w")
    assert len(set(outputs)) == len(set(taps)) == 6
    across = geometry.output[1]
    for index, hue in enumerate(outputs):
        row, column = divmod(index, across)
        pairs = [
            t * 4 + q
            for _, t in geometry.taps_of_output(0, row)
            for _, q in geometry.taps_of_output(1, column)
        ]
        assert {taps[tap] for tap in pairs} == {hue}


def test_coverage_is_shown_with_its_figure(page: Any) -> None:
    go(page, "c1>1 i4x4 k3 s2")
    page.get_by_role("radio", name="coverage").check(force=True)
    down, across = Geometry.parse("c1>1 i4x4 k3 s2").coverage()
    assert numbers(page, "y") == numbers(page, "v") == np.outer(down, across).ravel().tolist()
    assert page.inner_text("#figure") == "4"
    for text, figure in (("c1>1 i4x4 k4 s2", "1"), ("c1>1 i4 k1 s2", "∞"), ("c1>1 i4 k5 s2", "1.5")):
        go(page, text)
        assert page.inner_text("#figure") == figure


def test_facts(page: Any) -> None:
    go(page, "n2 c4>6 i5x6 k3x4 s2x3 p1x2 o1x2 g2")
    assert "(5 − 1)·2 − 1 − 1 + 1·(3 − 1) + 1 + 1 = 10" in page.inner_text("#size-up")  # noqa: RUF001
    assert "(6 − 1)·3 − 2 − 2 + 1·(4 − 1) + 1 + 2 = 17" in page.inner_text("#size-up")  # noqa: RUF001
    assert "= 5" in page.inner_text("#size-down")
    assert "1 between neighbours, 1 before, 2 after" in page.inner_text("#zeros")
    assert page.inner_text("#shapes").split("\n")[1::2] == ["(2, 4, 5, 6)", "(4, 3, 3, 4)", "(2, 6, 10, 17)"]
    assert "2 groups: each output channel adds up the 2 input channels" in page.inner_text("#sharing")
    go(page, "c1>1 i2x3x4 k2 s3x2x2")
    spots = page.eval_on_selector_all("#phases .spot", "a => a.map(s => s.className)")
    assert spots == ["spot"] * 7
    assert page.inner_text("#phases .line:nth-child(2)").split("\n") == ["height", "0: tap 0", "1: tap 1"]


@pytest.mark.parametrize("name", ["bilinear", "nearest"])
def test_filters_are_pythons(page: Any, name: str) -> None:
    read = """async ([name, k, s]) => {
      const { PRESETS, fitting } = await import("./filters.js");
      return [fitting(name, s).kernel, Array.from(PRESETS[name]([1, 1, k], { seed: 0, strides: [1, 1, s] }))];
    }"""
    for factor in range(1, 9):
        line = make(name, factor, 1)
        length, shown = page.evaluate(read, [name, len(line), factor])
        assert length == len(line)
        # The page has two axes of one tap before it, which is 1.
        np.testing.assert_allclose(shown, line, rtol=1e-15)


def test_a_seed_gives_the_same_random_numbers(page: Any) -> None:
    page.select_option("#preset-x", "random")
    first = numbers(page, "x")
    page.click("#again-x")
    assert numbers(page, "x") != first
    page.reload()
    page.select_option("#preset-x", "random")
    assert numbers(page, "x") == first
    assert set(first) <= {-3, -2, -1, 1, 2, 3}
