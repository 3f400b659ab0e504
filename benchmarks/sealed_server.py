"""A store over TLS whose CPU is elsewhere, as real ones' is: its answers are encrypted before anybody waits for them.

    python benchmarks/sealed_server.py CERTIFICATE COUNT MIB        prints the port it listens on, then moments

Objects ``t/f000000`` and so on, of zeros, are asked for in pieces of 16 MiB, all of which have the same answer. So a
connection's next answers are encrypted as soon as it asks for the first; nothing is sent before no new connection came
for a while. That moment is printed (``time.monotonic()``): from there on it costs what the kernel takes to send.
Connections that come later, and answers beyond those, are encrypted as everywhere.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator

MIB = 1 << 20
PIECE = 16 * MIB
AHEAD = 5  # answers of a connection
QUIET = 1.0  # seconds without a new connection
_ETAG = "0123456789abcdef0123456789abcdef-64"


class Gate:
    """Opens when nobody has come, or encrypted, for a while."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.sealing = threading.Lock()
        self._busy, self._last, self.is_open = 0, 0.0, False

    def come(self, there: int) -> None:
        with self._changed:
            self._busy += there
            self._last = time.monotonic()

    def wait(self) -> None:
        with self._changed:
            while not self.is_open:
                quiet = time.monotonic() - self._last
                if not self._busy and quiet > QUIET:
                    self.is_open = True
                    print(time.monotonic(), flush=True)
                    self._changed.notify_all()
                else:
                    self._changed.wait(0.05)


class Sealed:
    """One connection."""

    def __init__(self, connection: socket.socket, tls: ssl.SSLContext) -> None:
        self._socket = connection
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._came, self._goes, server_side=True)

    def open(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._socket.sendall(self._goes.read())
                self._receive()
        self._socket.sendall(self._goes.read())

    def requests(self) -> Iterator[str]:
        text = b""
        while True:
            try:
                data = self._tls.read(1 << 16)
                if not data:
                    return
                text += data
            except ssl.SSLWantReadError:
                self._receive()
            while b"\r\n\r\n" in text:
                head, _, text = text.partition(b"\r\n\r\n")
                yield head.decode()

    def seal(self, answer: bytes) -> bytes:
        self._tls.write(answer)
        return self._goes.read()

    def send(self, sealed: bytes) -> None:
        self._socket.sendall(sealed)

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError
        self._came.write(data)


def serve(connection: socket.socket, tls: ssl.SSLContext, gate: Gate, listing: bytes, answer: bytes) -> None:
    sealed = Sealed(connection, tls)
    ahead: list[bytes] = []
    try:
        sealed.open()
        for number, request in enumerate(sealed.requests()):
            if "list-type" in request:
                sealed.send(sealed.seal(listing))
                continue
            if not number and not gate.is_open:
                gate.come(1)
                with gate.sealing:  # one after the other: threads would take the interpreter from each other
                    ahead = [sealed.seal(answer) for _ in range(AHEAD)][::-1]
                gate.come(-1)
                gate.wait()
            sealed.send(ahead.pop() if ahead else sealed.seal(answer))
    except OSError:
        pass
    finally:
        connection.close()


def main(certificate: str, count: int, mib: int) -> None:
    objects = "".join(
        f"<Contents><Key>t/f{number:06d}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{_ETAG}&quot;</ETag><Size>{mib * MIB}</Size></Contents>"
        for number in range(count)
    )
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>".encode()
    listing = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(page) + page
    answer = f'HTTP/1.1 206 Partial Content\r\nContent-Length: {PIECE}\r\nETag: "{_ETAG}"\r\n\r\n'.encode() + bytes(
        PIECE
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.num_tickets = 0
    listener, gate = socket.create_server(("127.0.0.1", 0), backlog=512), Gate()
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection, tls, gate, listing, answer), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
