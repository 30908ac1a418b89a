"""The calls in every framework: those of `tconv.conventions`, served for any problem, copied for some."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tconv import TconvError
from tconv.conventions import FRAMEWORKS, write
from tconv.geometry import Geometry
from tconv.page import copy_to, fragment, serving
from tests.page.golden import NONSENSE, drawn, fault
from tests.page.helpers import address, browser, cell, go, lit, number, page

__all__ = ["address", "browser", "page"]

READ = """a => Object.fromEntries(a.map(c => [c.dataset.framework, {
  code: c.querySelector("pre").hidden ? "" : c.querySelector("code").textContent,
  notes: Array.from(c.querySelectorAll(".hint p"), p => p.textContent),
}]))"""


def wanted(geometry: Geometry) -> dict[str, Any]:
    """What `tconv.conventions` says, as the page shows it."""
    found = {}
    for framework in FRAMEWORKS:
        try:
            call = write(framework, geometry)
            found[framework] = {"code": call.code, "notes": [f"{note}." for note in call.notes]}
        except TconvError as error:
            found[framework] = {"code": "", "notes": [f"{error}."]}
    return found


def settle(page: Any, geometry: Geometry) -> None:
    """Wait until the page has an answer for the problem."""
    told = "text => document.getElementById('command').textContent.includes(text)"
    page.wait_for_function(told, arg=f'"{geometry}"')


def shown(page: Any) -> Any:
    return page.eval_on_selector_all("#calls .call", READ)


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """Python's own file server, which computes nothing."""
    quiet = type("_Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_served_calls_are_those_of_conventions(page: Any) -> None:
    refused = 0
    for geometry in drawn(60, seed=1):
        go(page, str(geometry))
        settle(page, geometry)
        assert shown(page) == wanted(geometry), geometry
        assert page.is_hidden("#no-calls")
        refused += sum(not call["code"] for call in wanted(geometry).values())
    assert refused > 5


def test_calls_are_copied_as_they_are(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text = "n1 c4>6 i5x5 k3 s2 p0:1 g2"
    go(page, text)
    for framework in FRAMEWORKS:
        page.click(f"[data-framework={framework}] button")
        page.wait_for_function("() => document.getElementById('live').textContent === 'Copied.'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == write(framework, Geometry.parse(text)).code
        page.evaluate("document.getElementById('live').textContent = ''")
    page.click("#copy-link")
    page.wait_for_function("() => document.getElementById('live').textContent === 'Copied.'")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/#n1+c4%3E6+i5x5+k3+s2+p0:1+g2")


def test_what_is_copied_belongs_to_the_problem_even_before_its_answer(page: Any) -> None:
    """The old cards stand until the answer comes, so that nothing flickers; a copy waits for it."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first, last = Geometry.parse("n1 c1>1 i5 k4 s2 p1"), Geometry.parse("n1 c1>1 i6 k4 s4")
    go(page, str(first))
    settle(page, first)
    held: list[Any] = []
    page.route("**/calls.json*", lambda route: held.append(route))
    go(page, "n1 c1>1 i6 k4 s3")
    go(page, str(last))
    assert shown(page) == wanted(first)
    page.click("[data-framework=keras] button")
    page.wait_for_timeout(100)
    assert len(held) == 1  # one question at a time
    held.pop().continue_()
    while not held:
        page.wait_for_timeout(20)
    assert shown(page) == wanted(first)  # the answer to a problem that is gone
    held.pop().continue_()
    settle(page, last)
    page.wait_for_function("() => document.getElementById('live').textContent === 'Copied.'")
    assert page.evaluate("navigator.clipboard.readText()") == write("keras", last).code


def test_a_copy_works_from_any_static_host(page: Any, tmp_path: Path) -> None:
    """In a folder below the root; with the calls of the examples and of the chosen problem, and no others."""
    chosen, other = Geometry.parse("n1 c3>5 i7 k5 s3 p1:2"), Geometry.parse("n1 c1>1 i2x2 k2 s2")
    copy_to(tmp_path / "deep" / "play", [chosen])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "calls.json" in request.url else None)
    with static(tmp_path) as home:
        page.goto(f"{home}deep/play/{fragment(other)}")
        page.hover(cell("x", 3))
        assert lit(page, "y") == [10, 11, 14, 15]
        assert number(page.inner_text("#figure")) == 1
        settle(page, other)
        assert page.is_hidden("#calls")
        command = f'tconv explain "{other}" --only frameworks'
        assert page.is_visible("#no-calls")
        assert page.inner_text("#command") == command
        page.click("#copy-command")
        page.wait_for_function("() => document.getElementById('live').textContent === 'Copied.'")
        assert page.evaluate("navigator.clipboard.readText()") == command
        buttons = page.locator("#examples button")
        examples = [buttons.nth(n).get_attribute("data-problem") for n in range(buttons.count())]
        assert len(examples) == 9
        for text in [str(chosen), page.get_attribute("#problem", "data-problem"), *examples]:
            go(page, text)
            settle(page, Geometry.parse(text))
            assert shown(page) == wanted(Geometry.parse(text)), text
            assert page.is_hidden("#no-calls")
        go(page, str(other))
        settle(page, other)
        assert page.is_hidden("#calls")
        assert asked == []
        page.goto("about:blank")


def test_a_copy_works_as_a_file(page: Any, tmp_path: Path) -> None:
    """Where browsers refuse modules and requests; its calls are there all the same."""
    chosen, other = Geometry.parse("n1 c1>1 i3x3 k4 s2 p1"), Geometry.parse("n1 c1>1 i4 k3 s3")
    copy_to(tmp_path, [chosen])
    page.goto((tmp_path / "index.html").as_uri() + fragment(chosen))
    assert page.locator("#grid-y .cell").count() == 36
    settle(page, chosen)
    assert shown(page) == wanted(chosen)
    page.hover(cell("x", 0))
    assert len(lit(page, "y")) == 9
    go(page, str(other))
    settle(page, other)
    assert page.is_visible("#no-calls")
    assert page.evaluate("location.hash") == fragment(other)


def test_a_stopped_server_leaves_the_page_at_work(browser: Any) -> None:
    with serving() as (server, url):
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        tab = browser.new_page()
        try:
            tab.goto(url)
            tab.wait_for_selector("#calls .call")
        finally:
            server.shutdown()
            thread.join()
    geometry = Geometry.parse("n1 c1>1 i3 k2 s2")
    go(tab, str(geometry))
    settle(tab, geometry)
    assert tab.is_visible("#no-calls")
    assert tab.is_hidden("#calls")
    assert tab.locator("#grid-y .cell").count() == 6
    tab.close()


def test_embedded_the_page_asks_for_no_calls(page: Any, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("about:blank")
    page.goto(f"{address}?embed")
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "calls.json" in url]


def ask(address: str, query: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    connection.request("GET", f"/calls.json{query}")
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize(
    "query",
    ["", "?", "?problem", "?other=1", "?problem=c1%3E1+i3+k3&problem=x", "?a=1&b=2&c=3", "?%"],
)
def test_anything_but_one_problem_is_refused_in_one_line(address: str, query: str) -> None:
    status, kind, found = ask(address, query)
    assert (status, kind, list(found)) == (400, "application/json", ["error"])
    assert "\n" not in found["error"]
    if query != "?problem":
        assert found["error"].endswith("calls.json?problem=n1+c1%3E1+i3+k3 would fit")


def test_nonsense_is_refused_as_the_command_line_does(address: str) -> None:
    for text in NONSENSE:
        assert ask(address, f"?problem={quote(text)}") == (400, "application/json", {"error": fault(text)})
