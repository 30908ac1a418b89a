"""`tconv page`: the address, the copy, the server, and what is refused."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tconv.cli import main
from tconv.page import serving, site
from tests import ROOT
from tests.helpers import PATIENCE, started

WEB = ROOT / "src/tconv/page/web"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as (server, _):
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def get(port: int, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_page_is_in_the_package() -> None:
    """In continuous integration the package is the wheel's, so this is what people install."""
    written = {str(path.relative_to(WEB)): path.read_bytes() for path in WEB.rglob("*.*") if path.is_file()}
    assert len(written) > 20
    found = site()
    assert found.pop("page.js").startswith(b"(() => {")
    assert found == written
    assert files("tconv.page").joinpath("web/calls.js").is_file()


def test_modules_are_small_and_find_each_other() -> None:
    for name, content in site().items():
        text = content.decode()
        assert text.count("\n") <= 300 or name == "page.js", name
        if name.endswith(".js"):
            for line in text.splitlines():
                if line.startswith("import "):
                    target = line.split('"')[1]
                    found = os.path.normpath(os.path.join(os.path.dirname(name), target))
                    assert found in site(), (name, target)


def test_the_script_holds_every_module_and_imports_nothing() -> None:
    text = site()["page.js"].decode()
    for name in site():
        if name.endswith(".js") and name != "page.js":
            assert text.count(f"const ${name[:-3]} = ") == 1, name
    assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)


def test_nothing_comes_from_elsewhere() -> None:
    """No network, no inline script or style: the policy forbids them, and no file asks for any."""
    for name, content in site().items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert (
            text.count("fetch(") == text.count("fetch(`calls.json?") == (name in ("calls.js", "page.js"))
        ), name
    index = site()["index.html"].decode()
    assert "style=" not in index
    assert "<style" not in index
    assert " onclick" not in index
    assert index.count("<script") == 1


@pytest.mark.parametrize(("path", "kind"), [
    ("/", "text/html"), ("/index.html?embed", "text/html"), ("/main.js", "text/javascript"),
    ("/calls.json?problem=c1%3E1+i3+k3", "application/json"),
    ("/page.css", "text/css"), ("/icon.svg", "image/svg+xml"),
])  # fmt: skip
def test_files_have_their_types_and_a_policy(port: int, path: str, kind: str) -> None:
    answer, body = get(port, path)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(body) == int(answer.headers["Content-Length"]) > 0
    head, nothing = get(port, path, "HEAD")
    assert (head.status, nothing) == (200, b"")


@pytest.mark.parametrize("path", ["/nothing", "/calls", "/../site.py", "/..%2fsite.py", "//etc/passwd"])
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert get(port, path)[0].status == 404


def test_it_listens_on_this_machine_alone(port: int) -> None:
    with serving() as (server, address):
        assert server.server_address[0] == "127.0.0.1"
        assert address == f"http://127.0.0.1:{server.server_port}/"
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((other, port)) != 0


def test_the_command_serves_until_it_is_stopped() -> None:
    words = ["-m", "tconv", "page", "c1>1 i3x3 k4 s2 p1", "--no-open", "--json"]
    with started(*words) as running:
        assert running.stdout is not None
        link = json.loads(running.stdout.readline())["page"]
        address, _, hash_ = link.partition("/#")
        assert hash_ == "n1+c1%3E1+i3x3+k4+s2+p1"
        answer, _ = get(int(address.rpartition(":")[2]), "/")
        assert answer.status == 200
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, err) == (0, "", "Ctrl-C stops it\n")


def test_out_copies_and_copies_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        assert main(["page", "c1>1 i2 k2", "--out", str(folder), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["page"] == f"{folder}/index.html#n1+c1%3E1+i2+k2"
        assert {Path(path).relative_to(folder).as_posix() for path in told["files"]} == set(site())
    copied = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    known, script = copied.pop("page.js").split(b"\n", 1)
    assert {**copied, "page.js": script} == site()
    carried = json.loads(known.removeprefix(b"globalThis.tconvCalls = ").removesuffix(b";"))
    assert "n1 c1>1 i2 k2" in carried
    assert len(carried) == 11  # and the default and nine examples of the page


def test_what_is_refused(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    for words, said in (
        (["hello"], "cannot read 'hello'"),
        [["c1>1 i4 k0"], "kernel 0 on axis 0; it must be at least 1"],
        (["--port", "70000"], "--port 70000 is not a port; 0 (any free one) to 65535 would fit"),
        (["--port", str(port)], f"--port {port} is taken; leave it out to get a free one"),
        (["--out", str(tmp_path)], f"--out {tmp_path} holds other files, such as 'file'"),
        (["--out", str(tmp_path / "file")], "is a file; a folder that is new or empty would fit"),
    ):
        assert main(["page", "--no-open", *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("tconv page: ")
        assert said in err
        assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
