"""Connections that other processes of ours hold (:mod:`.holder`), where one process cannot decrypt what comes.

The processes are programs started anew. To fork would be quicker by a tenth of a second, and unsound: a transfer is
never alone in its process (the console's, the log's, the transfer's own threads may hold any lock at that moment), and
to fork before any thread, for each job, would cost those that have nothing to decrypt. So they are started when a
transfer finds itself short of CPU while much is left, and take over what comes next. Until then, and where TLS is not
in use, there are fewer than four cores, or nothing large is fetched, this file is not even imported.

Requests are signed here: no key ever leaves this process. Bytes go from the other process into the file, and we are
told how many: so resuming, verifying, limits, and what an error means are just as with a connection of our own.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ....ground.ourselves import START
from ...model.pipeline import Destination, Hashing, NeedsFallback
from .holder import (
    ASK,
    BROKEN,
    COUNT,
    DATA,
    HEAD,
    LINK,
    MOST,
    NUMBER,
    OPEN,
    PLACE,
    POUR,
    READY,
    REFUSED,
    SAVE,
    SAVED,
    SIZE,
    UNUSUAL,
    WRITTEN,
    Way,
)
from .http1 import SILENCE, Answer, Meter

_WORTH = 64  # long exchanges left, pieces of 16 MiB as a rule, for which to start them
_BUSY, _WINDOW = 0.75, 0.2  # of a core, over so many seconds, twice in a row: then we are what is waited for
_START = 10.0  # seconds in which a process is there
_LAST = 1.0  # seconds for one that is killed
_LOST = 3  # connections in a row that brought nothing: then we do without
_KEPT = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF")  # our own keys are none of their business
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from bootstrap.storage.s3.fast.holder import main; main()"


class Requests(Protocol):
    """What makes requests, signed."""

    def get(self, key: str, start: int = 0, end: int = 0) -> bytes: ...


class Holders:
    """The processes of one transfer: none, until they are of use. To be closed at its end."""

    def __init__(self, way: Way, requests: Requests, count: int, *, at_once: bool) -> None:
        """``at_once``: not only when we are short of CPU."""
        self._way, self._requests, self._count = way, requests, count
        self._at_once = at_once
        self._there: list[_Holder] = []
        self._begun, self._closed, self._settled = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="holders", daemon=True)
        self._since, self._cpu, self._was_busy = time.monotonic(), time.process_time(), False
        self._lost = 0
        if at_once:
            self._start()

    @property
    def ready(self) -> bool:
        """Whether a long exchange is better done there than here."""
        if self._at_once:
            self._settled.wait(_START)
        return self._lost < _LOST and any(one.lives for one in self._there)

    def used(self, left: int) -> tuple[float, int]:
        """Seconds of CPU, and by how many processes; looked at now and then while so many long exchanges are left."""
        lives = [one for one in self._there if one.lives]
        if lives:
            return sum(one.cpu for one in lives), len(lives)
        now, cpu = time.monotonic(), time.process_time()
        if now - self._since > _WINDOW and not self._begun.is_set():
            busy = (cpu - self._cpu) / (now - self._since) > _BUSY
            if busy and self._was_busy and left >= _WORTH:
                self._start()
            self._since, self._cpu, self._was_busy = now, cpu, busy
        return cpu, 1

    def connect(self, meter: Meter) -> HeldConnection | None:
        """In the process with the fewest; None if there is none, or none takes it."""
        for one in sorted((one for one in self._there if one.lives), key=lambda one: one.connections):
            try:
                return HeldConnection(one, self._requests, meter)
            except OSError:
                one.end()
        return None

    def brought(self, *, anything: bool) -> None:
        """A connection has ended that brought something, or nothing."""
        self._lost = 0 if anything else self._lost + 1

    def close(self) -> None:
        """Nothing more is written there, nor held open, when it returns."""
        self._closed.set()
        if self._begun.is_set():
            self._thread.join()

    def _start(self) -> None:
        self._begun.set()
        try:
            self._thread.start()
        except RuntimeError:  # no more threads to be had
            self._begun.clear()
            self._settled.set()

    def _run(self) -> None:
        """The kernel takes the end of the thread that started them for their parent's: so this one stays."""
        started: list[_Holder] = []
        try:
            for _ in range(self._count):
                started.append(_Holder(self._way))
            for one in started:
                one.wait_until_ready(self._closed)
                self._there.append(one)
        except OSError:
            pass  # with those that are there
        finally:
            self._settled.set()
            self._closed.wait()
            for one in started:
                one.end()


class _Holder:
    """One process."""

    def __init__(self, way: Way) -> None:
        """Raises ``OSError``."""
        self.cpu, self.connections, self.lives = 0.0, 0, True
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._child = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, str(START.parent)],
                    env={name: os.environ[name] for name in _KEPT if name in os.environ},
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            self._control.settimeout(_START)
            self._control.send(json.dumps(way).encode())
        except BaseException:
            self._control.close()
            raise

    def wait_until_ready(self, closed: threading.Event) -> None:
        """Raises ``OSError`` if it does not come to be."""
        until = time.monotonic() + _START
        while not select.select([self._control], [], [], 0.02)[0]:
            if closed.is_set() or time.monotonic() > until:
                raise TimeoutError("it is not there in time")
        if self._control.recv(1) != READY:
            raise ConnectionResetError("it has ended")

    def open(self) -> socket.socket:
        """A channel for one connection more."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._control, [ASK], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        self.connections += 1
        return ours

    def end(self) -> None:
        """At once: it is no more when this returns, if the kernel can end it within a second."""
        self.lives = False
        self._child.kill()
        with suppress(subprocess.TimeoutExpired):  # it hangs in a file system, as threads may
            self._child.wait(_LAST)
        self._control.close()


class HeldConnection:
    """A connection as :class:`.http1.HttpConnection` is one, for who reads."""

    session = None
    waits_for = select.POLLIN

    def __init__(self, at: _Holder, requests: Requests, meter: Meter) -> None:
        """Raises ``OSError``."""
        self._holder, self._requests, self._meter = at, requests, meter
        self._channel = at.open()
        self._unsent: list[bytes] = []
        self._next: memoryview | None = None  # a head that has come
        self._open = False
        self.link = 0.0

    @property
    def is_sealed(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._channel.fileno()

    def opened(self) -> bool:
        if not self._open and (told := self._hear(OPEN, wait=False)) is not None:
            self._open = True
            self.link = LINK.unpack(told)[0]
        return self._open

    def arrived(self) -> bool:
        self._next = self._next or self._hear(HEAD, wait=False)
        return self._next is not None

    def get(self, key: str, start: int = 0, end: int = 0) -> None:
        self._unsent.append(self._requests.get(key, start, end))

    def put(self, key: str, size: int, sha256: str, *, upload: str = "", part: int = 0) -> None:
        raise NeedsFallback("for who reads")

    def send(self, data: bytes) -> None:
        raise NeedsFallback("for who reads")

    def send_file(self, file: int, start: int, size: int, digest: Hashing) -> None:
        raise NeedsFallback("for who reads")

    def send_zeros(self, size: int, digest: Hashing) -> None:
        raise NeedsFallback("for who reads")

    def flush(self) -> None:
        if self._unsent:
            requests = b"".join(self._unsent)
            self._say(ASK, COUNT.pack(len(self._unsent)) + requests)
            self._meter.bytes += len(requests)
            self._unsent.clear()

    def answer(self) -> Answer:
        self.flush()
        head = self._next or self._hear(HEAD)
        self._next = None
        assert head is not None
        return Answer(str(head, "latin-1"))

    def body(self, size: int) -> bytes:
        gathered = bytearray()
        self.pour(size, gathered.extend)
        return bytes(gathered)

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        self._say(POUR, SIZE.pack(size))
        while size:
            data = self._hear(DATA)
            assert data is not None
            self._meter.bytes += len(data)
            size -= len(data)
            take(data)

    def save(self, size: int, place: Destination) -> None:
        self._say(SAVE, PLACE.pack(place.at, size, place.sums), place.file)
        seen = 0
        while seen < size:
            told = self._hear(SAVED, place)
            assert told is not None
            now, crc, self._holder.cpu = WRITTEN.unpack(told)
            self._meter.bytes += now - seen
            place.took(now - seen, crc)
            seen = now

    def close(self) -> None:
        if self._channel.fileno() >= 0:
            self._holder.connections -= 1
            self._channel.close()

    def _say(self, kind: bytes, what: bytes, *files: int) -> None:
        self._channel.settimeout(SILENCE)
        if files:
            socket.send_fds(self._channel, [kind, what], files)
        else:
            self._channel.sendmsg((kind, what))

    def _hear(self, wanted: bytes, place: Destination | None = None, *, wait: bool = True) -> memoryview | None:
        """The next message without its kind, which has to be the one ``wanted``; None if there is none yet."""
        self._channel.settimeout(2 * SILENCE if wait else 0)  # it waits itself, for the store
        try:
            message = memoryview(self._channel.recv(2 * MOST))
        except BlockingIOError:
            return None
        except TimeoutError:
            self._holder.end()  # it may never write again what others bring in its place
            raise
        kind, rest = bytes(message[:1]), message[1:]
        if kind == UNUSUAL:
            raise NeedsFallback(str(rest, "utf-8", "replace"))
        if kind == REFUSED and place is not None:
            place.refused(NUMBER.unpack(rest)[0])
        if kind != wanted:
            raise ConnectionResetError(str(rest, "utf-8", "replace") if kind == BROKEN else "its process has ended")
        return rest
