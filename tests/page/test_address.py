"""The page's address holds the problem, whatever stands in it; and the controls write it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tconv.geometry import Geometry
from tconv.page import fragment
from tconv.testing import load_cases
from tests.page.golden import NONSENSE, fault
from tests.page.helpers import address, browser, page

__all__ = ["address", "browser", "page"]

DEFAULT = "n1 c1>1 i4x4 k3 s2 p1 o1"

#: Problems that are none too large for the page to open, though most are too large to draw.
EXTREMES = (
    "n1 c1>1 i2147483647x2147483647 k3 s2",
    "n1 c1>1 i31623x31623 k3",  # 10**9 cells
    "n1 c1>1 i1 k3 s2147483647 o2147483646 d2147483647",
    "n1 c1>1 i1x1 k1 s2147483647 o2147483646",
    "n1 c1>1 i3 k3 s2147483647",
    "n1 c1>1 i1 k2147483647",
    "n1 c1>1 i1x1 k1x40000 p0x39999:0",
    "n1 c1>1 i1 k2 p-2147483647",
    "n1 c1>1 i4 k2 p64:-64",
    "n1 c1>1 i2 k2 d2147483647",
    "n2147483647 c2147483647>2147483647 i2x2 k2 g2147483647",
    "n0 c1>1 i3x3 k3 s2",
    "n1 c2>3 i2x3x4 k1x3x5 s1x2x3 p0x1x2 o0x1x2",
)

#: Fragments that no encoder would write.
BROKEN = ("#%", "#%E0%A4%A", "#n1+c1%", "#%00", "#" + "i9" * 20_000, "#?k3", "##", "#/../..//etc")


def problem(page: Any) -> str:
    value = page.input_value("#problem")
    assert isinstance(value, str)
    return value


def cells(page: Any) -> int:
    count = page.locator("#grid-y .cell").count()
    assert isinstance(count, int)
    return count


def complaint(page: Any) -> str:
    text = page.text_content("#fault")
    assert isinstance(text, str)
    return text


def open_at(page: Any, hash_: str) -> None:
    """Load the page anew at a fragment."""
    page.goto("about:blank")
    page.goto(page.home + hash_)


@pytest.fixture(autouse=True)
def _home(page: Any, address: str) -> None:
    page.home = address


def test_nonsense_says_what_is_wrong_and_what_was_there_stays(page: Any) -> None:
    page.fill("#problem", "c1>1 i3x3 k2 s2")
    page.focus("#step")
    seen = 0
    for text in NONSENSE:
        if not text.strip():
            continue
        page.evaluate("text => { location.hash = encodeURIComponent(text) }", text)
        page.wait_for_function(
            "text => document.getElementById('fault').textContent === text", arg=fault(text)
        )
        assert cells(page) == 36
        seen += 1
    assert seen > 40
    page.evaluate("location.hash = 'c1>1+i2+k2'")
    page.wait_for_function("() => document.getElementById('fault').textContent === ''")
    assert cells(page) == 3


@pytest.mark.parametrize("hash_", [*BROKEN, "#hello", "#" + quote("c1>1 i4 k0")])
def test_a_page_opened_at_nonsense_shows_the_default(page: Any, hash_: str) -> None:
    open_at(page, hash_)
    assert cells(page) == 64
    said = complaint(page)
    assert "would fit" in said or "the words are" in said or "must be at least" in said
    assert "\n" not in said
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("text", EXTREMES)
def test_any_problem_opens(page: Any, text: str) -> None:
    open_at(page, fragment(Geometry.parse(text)))
    said = complaint(page)
    assert said == "" or "too long for this page" in said
    if said == "":
        assert problem(page) == text
        page.locator("#calls .call").nth(6).wait_for()  # the calls are the server's
        assert page.locator("#calls .call").count() == 7
        assert cells(page) <= 72 * 72


def test_too_large_to_draw_says_so_and_keeps_the_facts(page: Any) -> None:
    open_at(page, fragment(Geometry.parse("n1 c256>64 i64x64 k4 s2 p1")))
    assert "Drawn with an input of 32 x 32 cells" in page.inner_text("#note")
    assert cells(page) == 64 * 64
    assert "= 128" in page.inner_text("#size-up")
    assert "(1, 64, 128, 128)" in page.inner_text("#shapes")
    assert "1,073,741,824" in page.inner_text("#work")  # 256 * 64 * 64**2 * 4**2


def test_every_case_opens_by_its_line_of_the_list(page: Any) -> None:
    """The line as cases.txt has it, and the fragment that the command prints."""
    cases = load_cases()
    lines = [f"{name}   {geometry}   # why it is here" for name, geometry in cases]
    opened = page.evaluate(
        """async (lines) => {
          const shown = [];
          for (const line of lines) {
            const changed = new Promise((done) => addEventListener("hashchange", done, { once: true }));
            location.hash = encodeURIComponent(line);
            await changed;
            const fault = document.getElementById("fault").textContent;
            shown.push([document.getElementById("problem").value, fault, location.hash]);
          }
          return shown;
        }""",
        lines,
    )
    assert opened == [[str(geometry), "", fragment(geometry)] for _, geometry in cases]


def test_a_report_opens_at_its_problem(page: Any) -> None:
    page.fill("#problem", "E  AssertionError: Geometry.parse('n1 c2>3 i5 k3 s2')")
    page.focus("#step")
    assert problem(page) == "n1 c2>3 i5 k3 s2"


def test_controls_write_the_problem(page: Any) -> None:
    page.get_by_role("spinbutton", name="stride").fill("3")
    page.get_by_label("more padding after").click()
    page.get_by_role("radio", name="1-D").check(force=True)
    page.get_by_label("more groups").click()
    assert "1 input channels do not divide into 2 groups" in complaint(page)
    assert page.get_by_role("spinbutton", name="groups").get_attribute("aria-invalid") == "true"
    page.get_by_role("spinbutton", name="groups").fill("1")
    assert complaint(page) == ""
    assert problem(page) == "n1 c1>1 i4 k3 s3 p1:2 o1"
    page.get_by_role("radio", name="2-D").check(force=True)
    page.uncheck("#alike")
    page.get_by_role("spinbutton", name="kernel, height").fill("")
    page.focus("#step")
    assert page.input_value("[data-option=kernel][data-axis='0']") == "3"
    page.get_by_role("spinbutton", name="kernel, width").fill("5")
    assert problem(page) == "n1 c1>1 i4x4 k3x5 s3 p1:2 o1"
    page.check("#alike")
    assert problem(page) == "n1 c1>1 i4x4 k5 s3 p1:2 o1"
    assert page.evaluate("location.hash") == fragment(Geometry.parse(problem(page)))


def test_the_whole_filter_is_offered(page: Any) -> None:
    page.select_option("#preset-w", "bilinear")
    assert page.inner_text("#fit") == "Use k4 p1"
    page.click("#fit")
    assert problem(page) == "n1 c1>1 i4x4 k4 s2 p1"
    shown = page.eval_on_selector_all("#grid-w text", "a => a.map(t => t.textContent)")
    assert shown[:4] == ["0.0625", "0.1875", "0.1875", "0.0625"]
    assert page.is_hidden("#fitting")


def test_embedded_and_themed(page: Any) -> None:
    open_at(page, "?embed&theme=dark" + fragment(Geometry.parse("c1>1 i3x3 k4 s2 p1")))
    assert page.is_hidden("h1")
    assert page.is_visible("#alone")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert page.get_attribute("#alone", "href") == "/#n1+c1%3E1+i3x3+k4+s2+p1"


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_scrolls_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for text in (DEFAULT, "c4>6 i31x32 k5 s2 g2", "c1>1 i40 k4 s2", "c1>1 i2x2 k32 s16", "c1>1 i2x3x4 k3 s2"):
        page.fill("#problem", text)
        page.click("summary", force=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, text)
