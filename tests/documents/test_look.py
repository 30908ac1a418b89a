"""A page in a browser: light and dark, and as narrow as a phone without scrolling sideways."""

from __future__ import annotations

from typing import Any

import pytest

from tconv.documents import html
from tests.documents.test_documents import everything
from tests.page.helpers import browser

__all__ = ["browser"]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["up", "decoder.up.0" * 20, "several words " * 20])
def test_a_page_keeps_to_its_width(browser: Any, width: int, name: str) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(html.render(everything(name)))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [url for url in asked if not url.startswith("data:")] == []


def test_dark_where_the_reader_wants_it(browser: Any) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:
            page = context.new_page()
            page.set_content(html.render(everything("up")))
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(21, 24, 29)"]
