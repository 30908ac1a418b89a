"""Serve the page on this machine: on 127.0.0.1 only, from memory, only the page's files."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tconv.errors import TconvError
from tconv.page.site import site

__all__ = ["serving"]

#: Stated here, since `mimetypes` depends on the machine, and a type of text/plain would break every module.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        name = urlsplit(self.path).path.removeprefix("/") or "index.html"
        content = self.files.get(name)
        kind = _TYPES[PurePosixPath(name).suffix] if content is not None else "text/plain; charset=utf-8"
        self.send_response(HTTPStatus.OK if content is not None else HTTPStatus.NOT_FOUND)
        if content is None:
            content = b"There is no such file; the page is at /\n"
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal shows only the address."""


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """A server bound to 127.0.0.1, and the page's address; the caller calls `serve_forever`.

    Port 0 takes any free port.  Raises `TconvError` if the port is out of range or taken.
    """
    if not 0 <= port <= 65535:
        raise TconvError(f"--port {port} is not a port; 0 (any free one) to 65535 would fit")
    handler = type("_Page", (_Handler,), {"files": site()})
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as fault:
        if fault.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "taken" if fault.errno == errno.EADDRINUSE else "not allowed"
        raise TconvError(f"--port {port} is {reason}; leave it out to get a free one") from None
    with server:
        yield server, f"http://127.0.0.1:{server.server_port}/"
