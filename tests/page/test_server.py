"""The page's server and clients that are slow, rude or not ours, over real sockets."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tconv.page import server as module
from tconv.page import serving


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(module, "_PATIENCE", 1)
    monkeypatch.setattr(module._Handler, "timeout", 1)
    with serving() as (server, _):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, request: bytes) -> bytes:
    """All that is answered until the server hangs up, which is to happen before the test gives up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def status(answer: bytes) -> int:
    return int(answer.split()[1])


PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("target", [b"http://[", b"http://[::1", b"http://a[/"])
def test_an_address_that_is_none_is_answered(
    port: int, target: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(ask(port, b"GET " + target + b" HTTP/1.0\r\n\r\n")) == 400
    assert capfd.readouterr().err == ""


HEAD = b"GET / HTTP/1.1\r\n"
NONSENSE = {
    "nothing": b"\r\n\r\n",
    "encrypted": b"\x00\xff\x16\x03\x01\r\n\r\n",
    "no address": b"GET\r\n\r\n",
    "no version": b"GET / HTTP/9.9\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "another method": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    "a long address": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "many headers": HEAD + b"X: y\r\n" * 300 + b"\r\n",
    "bytes": b"GET /\xe4%zz%00 HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_quiet_and_hurts_nobody(port: int, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(ConnectionResetError):  # which the system sends where something was not read
        ask(port, NONSENSE[name])
    assert status(ask(port, PAGE)) == 200
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("query", [
    "", "?", "?problem=", "?problem=%ff", "?problem=%00", "?problem=c1%3E1+i3+k0", "?a=b",
    "?problem=x&problem=y", "?problem=c1%3E1+i3+k" + "9" * 9000, "?problem=c1%3E1+k2+i" + "9" * 400,
    "?problem=" + "+i3" * 5000,
])  # fmt: skip
def test_a_problem_that_is_none_is_answered(port: int, query: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = ask(port, f"GET /calls.json{query} HTTP/1.0\r\n\r\n".encode())
    assert status(answer) == 400
    assert b'{"error": "' in answer
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("host", "found"), [
    (b"localhost", 200), (b"LOCALHOST:1", 200), (b"127.0.0.1:8000", 200), (b"[::1]:9", 200),
    (b"evil.example", 421), (b"localhost.evil.example", 421), (b"127.0.0.1.evil.example:80", 421), (b"", 421),
    (b"localhost@evil.example", 421), (b"localhost\r\nHost: evil.example", 421),
])  # fmt: skip
def test_a_foreign_name_is_refused(port: int, host: bytes, found: int) -> None:
    answer = ask(port, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert status(answer) == found
    assert (b"<html" in answer) == (found == 200)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_client_that_stops_is_left(port: int, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert b"200 OK" not in ask(port, sent)
    assert capfd.readouterr().err == ""


def test_a_client_that_drips_is_left(port: int) -> None:
    """One byte at a time, each within the limit of a read."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.settimeout(0.1)
        sent = 0
        for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 300:
            try:
                client.sendall(bytes([byte]))
                sent += 1
                if client.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert sent < 300


def test_a_client_that_hangs_up_is_not_mentioned(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for request in (PAGE, PAGE.replace(b"GET /", b"GET /main.js"), b"GET / HT", b""):
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # a reset, not an end
            client.sendall(request)
            client.close()
    assert status(ask(port, PAGE)) == 200
    assert capfd.readouterr().err == ""


def test_many_at_once_are_all_answered(port: int) -> None:
    clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(100)]
    for client in clients:
        client.sendall(PAGE)
    for client in clients:
        with client:
            assert client.recv(20).startswith(b"HTTP/1.0 200 OK")


def test_a_fault_of_ours_is_not_hidden(
    port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(module._Handler, "do_GET", broken)
    assert ask(port, PAGE) == b""
    assert "a fault" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["another method", "no address", "many headers", "a long address"])
def test_answers_of_the_base_class_have_our_headers_too(port: int, name: str) -> None:
    head = ask(port, NONSENSE[name]).partition(b"\r\n\r\n")[0]
    if head.startswith(b"HTTP/"):  # a request of HTTP/0.9 has an answer without headers
        assert b"Content-Security-Policy: default-src 'none'" in head
        assert b"X-Content-Type-Options: nosniff" in head
