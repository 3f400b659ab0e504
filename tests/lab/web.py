"""Web servers: a small one that can be told to misbehave, and nginx where the machine has it.

The small one serves files from memory with ETags, ranges and redirects, and remembers what it was asked with which
headers. ``nginx`` serves a directory, as an independent witness.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.lab.stores import LabUnavailable
from tests.lab.waiting import until

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # directories that nginx makes in any case


@dataclass
class Served:
    """One path. ``ranges``: whether parts are served; ``sized``: whether its length is told; ``redirect``: where to
    instead; ``user``: the ``user:password`` without which it is refused; ``breaks``: how many answers end midway.
    """

    content: bytes = b""
    ranges: bool = True
    sized: bool = True
    redirect: str = ""
    user: str = ""
    breaks: int = 0
    status: int = 0
    etag: str | None = ""  # of the content; None: no such header
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """``files`` by path with its slash; ``asked`` has the path (with its query) and headers of every request."""

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, content: bytes = b"", **how: object) -> str:
        """Serve it; returns its URL."""
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.url + path


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        target = re.sub(r"^http://[^/]*", "", self.path)  # as a proxy is asked
        self.web.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        served = self.web.files.get(target.partition("?")[0])
        if served is None:
            self._plain(404, {})
        elif served.user and self.headers["Authorization"] != _basic(served.user):
            self._plain(401, {"WWW-Authenticate": 'Basic realm="lab"'})
        elif served.status:
            self._plain(served.status, served.headers)
        elif served.redirect:
            self._plain(302, {"Location": served.redirect})
        else:
            self._serve(served)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _serve(self, served: Served) -> None:
        body, status, size = served.content, 200, len(served.content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        etag = {} if served.etag is None else {"ETag": served.etag or f'"{hashlib.sha1(body).hexdigest()}"'}
        more = {**etag, **served.headers}
        if asked and served.ranges:
            start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
            if start >= size:
                self._plain(416, {"Content-Range": f"bytes */{size}"})
                return
            body, status = body[start : end + 1], 206
            more["Content-Range"] = f"bytes {start}-{end}/{size if served.sized else '*'}"
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        if served.sized:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if served.breaks and len(body) > 1:
            served.breaks -= 1
            self.wfile.write(body[: len(body) // 2] if served.sized else b"%x\r\n" % len(body) + body[: len(body) // 2])
            self.close_connection = True
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who has enough closes
            self.wfile.write(body if served.sized else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


@contextlib.contextmanager
def running_web(wrap: Callable[[socket.socket], socket.socket] | None = None) -> Iterator[Web]:
    """``wrap`` makes a TLS socket of the listening one."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if wrap is not None:
        server.socket = wrap(server.socket)
    web = Web(f"{'https' if wrap else 'http'}://127.0.0.1:{server.server_address[1]}")
    handler.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_nginx(root: Path, scratch: Path) -> Iterator[str]:
    """nginx with ``root`` at ``/files/`` and ``/moved/`` redirecting there; yields its URL."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if nginx is None:
        raise LabUnavailable("no nginx here (apt-get install nginx-light)")
    port = free_port()
    scratch.mkdir(parents=True, exist_ok=True)
    temporary = "".join(f"{kind}_temp_path {scratch}/{kind};\n" for kind in _TEMPORARY)
    (scratch / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {scratch}/pid; error_log {scratch}/error.log;\n"
        f"events {{ worker_connections 64; }}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        f"location /files/ {{ alias {root}/; }}\n"
        f"location /moved/ {{ rewrite ^/moved/(.*)$ /files/$1 redirect; }} }} }}\n"
    )  # fmt: skip
    process = subprocess.Popen([nginx, "-c", scratch / "nginx.conf", "-e", scratch / "error.log"])
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(answers)
        yield url
    finally:
        process.terminate()
        process.wait()
