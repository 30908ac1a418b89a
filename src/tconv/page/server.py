"""Serve the page on this machine: on 127.0.0.1 only, from memory, its files and the calls of a problem."""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tconv.errors import TconvError
from tconv.page.calls import answer
from tconv.page.site import site

__all__ = ["serving"]

#: Stated here, since `mimetypes` depends on the machine, and a type of text/plain would break every module.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    "": "text/plain; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
#: Names under which this machine calls itself, whatever port a tunnel makes of ours. A page of another site
#: whose name is made to lead here (DNS rebinding) asks under its own.
_HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE | re.ASCII)
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: b"This is no address; the page is at /\n",
    HTTPStatus.NOT_FOUND: b"There is no such file; the page is at /\n",
    HTTPStatus.MISDIRECTED_REQUEST: b"The page answers under 127.0.0.1 and localhost only\n",
}
_PATIENCE = 10  # seconds that a client may take for a request, and for an answer


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    timeout = _PATIENCE  # of each read and write

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def handle(self) -> None:
        """One request, with a limit to all of it: each byte of a slow client's resets the socket's own."""
        limit = threading.Timer(_PATIENCE, self._hang_up)
        limit.daemon = True
        limit.start()
        try:
            super().handle()
        finally:
            limit.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):  # it has gone by itself
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, *, body: bool) -> None:
        status, suffix, content = self._found()
        self.send_response(status)
        self.send_header("Content-Type", _TYPES[suffix])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def end_headers(self) -> None:
        """With the headers of every answer, also of those of the base class, such as 501."""
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        super().end_headers()

    def _found(self) -> tuple[HTTPStatus, str, bytes]:
        """Status, suffix and content of what is asked for."""
        status = HTTPStatus.NOT_FOUND
        if not all(_HOSTS.fullmatch(host) for host in self.headers.get_all("Host", [])):
            status = HTTPStatus.MISDIRECTED_REQUEST
        else:
            try:
                asked = urlsplit(self.path)
                name = asked.path.removeprefix("/") or "index.html"
                if name == "calls.json":
                    return HTTPStatus.OK, ".json", answer(asked.query)
                if name in self.files:
                    return HTTPStatus.OK, PurePosixPath(name).suffix, self.files[name]
            except TconvError as fault:
                return HTTPStatus.BAD_REQUEST, ".json", json.dumps({"error": str(fault)}).encode()
            except ValueError:  # http://[
                status = HTTPStatus.BAD_REQUEST
        return status, "", _REFUSALS[status]

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal shows only the address."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # Ctrl-C does not wait for clients
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up; what else goes wrong is a fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """A server bound to 127.0.0.1, and the page's address; the caller calls `serve_forever`.

    Port 0 takes any free port.  Raises `TconvError` if the port is out of range or taken.
    """
    if not 0 <= port <= 65535:
        raise TconvError(f"--port {port} is not a port; 0 (any free one) to 65535 would fit")
    handler = type("_Page", (_Handler,), {"files": site()})
    try:
        server = _Server(("127.0.0.1", port), handler)
    except OSError as fault:
        if fault.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "taken" if fault.errno == errno.EADDRINUSE else "not allowed"
        raise TconvError(f"--port {port} is {reason}; leave it out to get a free one") from None
    with server:
        yield server, f"http://127.0.0.1:{server.server_port}/"
