"""git: a way to make repositories that no configuration of the machine changes, and git's own web server."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


def git(*arguments: object, cwd: Path) -> str:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "user.name=lab", "-c", "user.email=lab@lab.test", "-c", "protocol.file.allow=always"]
    done = subprocess.run([*command, *map(str, arguments)], cwd=cwd, env=environ, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


class Backend(BaseHTTPRequestHandler):
    """git http-backend, as a web server runs it (CGI), with a user and a token if one is wanted."""

    protocol_version = "HTTP/1.0"
    root: Path
    user = ""
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        type(self).asked.append(self.headers["Authorization"] or "")
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
        if self.user and self.headers["Authorization"] != wanted:
            self.wfile.write(b'HTTP/1.0 401 Who\r\nWWW-Authenticate: Basic realm="lab"\r\n\r\n')
            return
        path, _, query = self.path.partition("?")
        environ = {
            **os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)), "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "", "GIT_CONFIG_GLOBAL": os.devnull,
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], env=environ, input=body, stdout=subprocess.PIPE)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        status = next((line[8:] for line in head.split(b"\r\n") if line.startswith(b"Status: ")), b"200 OK")
        self.wfile.write(b"HTTP/1.0 " + status + b"\r\n" + head + b"\r\n\r\n" + rest)


@contextlib.contextmanager
def running_backend(root: Path) -> Iterator[tuple[str, type[Backend]]]:
    """``host:port`` of a server of the repositories below ``root``, and its handler, which says who it lets in."""
    handler = type("Handler", (Backend,), {"root": root, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
