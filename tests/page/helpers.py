"""A browser on the page: Debian's Chromium, driven by Playwright; and what the page shows in it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tconv.page import serving

__all__ = ["address", "browser", "cell", "go", "lit", "number", "numbers", "page"]


def _missing(reason: str) -> None:
    """A skip at home; in continuous integration nothing of the page may go untested."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of a file."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _missing("playwright is not installed")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        _missing("there is no chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the page is served, by the server that ships."""
    with serving() as (server, url):
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield url
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page at its default problem; whatever the console complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    tab = context.new_page()
    complaints: list[str] = []
    tab.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    tab.on("pageerror", lambda fault: complaints.append(str(fault)))
    tab.set_default_timeout(60_000)
    tab.goto(address)
    yield tab
    context.close()
    assert not complaints, complaints


def go(page: Any, text: str) -> None:
    """Show a problem, as somebody types it."""
    page.fill("#problem", text)


def number(text: str) -> float:
    """A number as the page writes it, with a true minus sign."""
    return float(text.replace("\u2212", "-"))


def cell(grid: str, *place: int, across: int = 0) -> str:
    return f"#grid-{grid} [data-index='{place[0] * across + place[1] if across else place[0]}']"


def lit(page: Any, grid: str) -> list[int]:
    """The indices of the cells that light up."""
    return [
        int(n)
        for n in page.eval_on_selector_all(f"#grid-{grid} .cell.lit", "a => a.map(c => c.dataset.index)")
    ]


def numbers(page: Any, grid: str) -> list[float]:
    """What the cells of a grid show."""
    texts = page.eval_on_selector_all(f"#grid-{grid} .lettering text", "a => a.map(t => t.textContent)")
    return [number(text) for text in texts]
