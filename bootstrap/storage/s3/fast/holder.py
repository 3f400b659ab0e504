"""A process of ours that holds connections to a store: it reads and decrypts, and writes into files that it is handed.

One process decrypts TLS as fast as one core does, however many threads it has: each call of ``ssl`` gives 16 kB, and
takes the interpreter. The transfer stays where it is (:mod:`.held`). It knows the keys and signs, decides what is done
next and what an answer means; here nothing is known but bytes. So this process may be killed at any moment, and says
nothing to anybody else.

Started with its end of a socket as standard input. That brings where to connect to, and then an end of a new *channel*
for each connection that is to be opened. A channel keeps messages apart; each begins with a byte that says what it is.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from ....ground.json_text import load_json
from ....ground.writes import write_all_at
from ...common.way import tls_context
from ...model.pipeline import NeedsFallback
from .http1 import HttpConnection

if TYPE_CHECKING:
    import ssl

# to us
ASK, POUR, SAVE = b"a", b"p", b"s"
"""Send these requests (their number, their bytes); give so many bytes of the answer's body; write so many into a file
that comes along, from a place on, and compute their CRC-32 if that is wanted."""

# from us
READY, OPEN, HEAD, DATA, SAVED, BROKEN, UNUSUAL, REFUSED = (b"R", b"O", b"H", b"D", b"S", b"B", b"U", b"F")
"""The process is there; the connection is (seconds of its link); an answer's head; bytes of its body; so many of them
are written (their CRC-32, our seconds of CPU); the connection broke, is not for the fast path; the file took no more.
"""

COUNT, SIZE, PLACE = struct.Struct("=H"), struct.Struct("=Q"), struct.Struct("=QQ?")
LINK, WRITTEN, NUMBER = struct.Struct("=d"), struct.Struct("=QId"), struct.Struct("=i")
MOST = 64 << 10
"""Bytes of a body in one message."""

_TELL = 0.05  # seconds between two words about what is written
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


class Way(NamedTuple):
    """To the store. ``parent`` is whose process we are."""

    parent: int
    host: str
    port: int
    tls: bool
    verify: bool
    ca_bundle: str


def main() -> None:
    """Until our parent has no more connections for us, or is no more."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to our group they are for our parent, who ends us
    control = socket.socket(fileno=0)
    way = Way(*load_json(control.recv(MOST)))
    _end_with(way.parent)
    tls = tls_context(verify=way.verify, ca_bundle=way.ca_bundle) if way.tls else None
    control.send(READY)
    while True:
        _, files, _, _ = socket.recv_fds(control, 1, 1)
        if not files:
            os._exit(0)  # whatever threads are at work
        channel = _Channel(socket.socket(fileno=files[0]), way, tls)
        threading.Thread(target=channel.serve, name="held", daemon=True).start()


def _end_with(parent: int) -> None:
    """The end of the socket tells us that our parent is gone; the kernel does it at once. And nobody looks at us: what
    is asked for is signed, and may have a session's token in it.
    """
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, *map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0)))
        prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
    except (ImportError, OSError, AttributeError):  # then the socket has to do
        pass
    if os.getppid() != parent:
        os._exit(0)


class _Refused(Exception):
    """The file took no more."""


class _Channel:
    """One connection, as its other end wants it."""

    def __init__(self, channel: socket.socket, way: Way, tls: ssl.SSLContext | None) -> None:
        self._channel, self._way, self._tls = channel, way, tls
        self._told = 0.0

    def serve(self) -> None:
        try:
            with self._channel:
                self._serve()
        except OSError:
            pass  # nobody is at the other end

    def _serve(self) -> None:
        connection: HttpConnection | None = None
        try:
            connection = HttpConnection(self._way.host, self._way.port, self._tls)
            self._tell(OPEN, LINK.pack(connection.link))
            self._exchange(connection)
        except _Refused as refused:
            self._tell(REFUSED, NUMBER.pack(refused.args[0]))
        except NeedsFallback as unusual:
            self._tell(UNUSUAL, str(unusual)[:MOST].encode())
        except OSError as error:
            self._tell(BROKEN, str(error)[:MOST].encode())
        finally:
            if connection is not None:
                connection.close()

    def _exchange(self, connection: HttpConnection) -> None:
        awaited, told = 0, False  # answers that are to come, and whether the head of the first is told
        while True:
            if awaited and not told:
                self._tell(HEAD, connection.head().encode("latin-1"))
                told = True
            message, files, _, _ = socket.recv_fds(self._channel, 2 * MOST, 1)
            kind, rest = message[:1], message[1:]
            if not kind:
                return
            if kind == ASK:
                awaited += COUNT.unpack_from(rest)[0]
                connection.send(rest[COUNT.size :])
                connection.flush()
                continue
            if kind == POUR:
                connection.pour(SIZE.unpack(rest)[0], self._give)
            else:
                try:
                    self._save(connection, files[0], *PLACE.unpack(rest))
                finally:
                    os.close(files[0])
            awaited, told = awaited - 1, False

    def _give(self, piece: memoryview) -> None:
        for at in range(0, len(piece), MOST):
            self._tell(DATA, piece[at : at + MOST])

    def _save(self, connection: HttpConnection, file: int, start: int, size: int, sums: bool) -> None:
        at, crc = start, 0
        end = start + size

        def take(piece: memoryview) -> None:
            nonlocal at, crc
            try:
                write_all_at(file, piece, at)
            except OSError as error:
                raise _Refused(error.errno or 0) from error
            crc = crc32(piece, crc) if sums else 0
            at += len(piece)
            now = time.monotonic()
            if at == end or now - self._told > _TELL:
                self._told = now
                self._tell(SAVED, WRITTEN.pack(at - start, crc, time.process_time()))

        connection.pour(size, take)

    def _tell(self, kind: bytes, what: bytes | memoryview = b"") -> None:
        self._channel.sendmsg((kind, what))
