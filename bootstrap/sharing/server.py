"""What this node has brought from the store, for the other nodes: a port of its own, a thread a node.

A connection begins as the bootstraps' conversation does (:mod:`bootstrap.peers.protocol`): nonces in clear, then sealed
lines. A node asks for one block after the other; the answer is a sealed line with the block's size and SHA-256, then
its bytes, in clear, as the kernel takes them out of the file. So nobody without the job's secret is given anything, and
what is changed on the way is noticed.

    -> {"fetch": F, "want": BLOCK}      <- {"wait": true, "begun": false}    every second, until there is an answer
                                        <- {"no": true}                      it will not come from here
                                        <- {"size": S, "sha256": H, "no_md5": false}, and S bytes
                                        <- {"size": S, "md5": [M, ...]}, and the bytes of so many files
    -> {"fetch": F, "done": true}       that node needs no more of this fetch
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from ..peers.protocol import LONGEST_GREETING, Forged, LineSeal, nonce, nonce_of, parse, plain
from ..values import dataclass, replace

SILENCE = 15.0
"""Seconds that the other side may take for its greeting, and to take some of what it is sent."""

_EVERY = 1.0  # seconds between two words to who waits
_PASSING = 16  # connections at most beside one of each node
_READ = 1 << 20
_LONGEST_LINE = 1 << 10  # bytes of what is asked


@dataclass(slots=True)
class _Block:
    """``file`` is a descriptor of ours once the block is on the disk; or it is in ``files``, by path, bytes and MD5; or
    in memory, as ``content``.
    """

    file: int = -1
    start: int = 0
    size: int = 0
    sha256: str = ""
    no_md5: bool = False
    files: Sequence[tuple[str, int, str]] = ()
    content: bytes = b""

    @property
    def is_here(self) -> bool:
        return self.file >= 0 or bool(self.files) or bool(self.content)


class _Fetch:
    """What one fetch offers: blocks by name, the files they are in, and who needs no more."""

    def __init__(self) -> None:
        self.begun = self.ended = False
        self.blocks: dict[str, _Block] = {}
        self.files: dict[tuple[int, int], int] = {}  # our descriptors by device and inode
        self.done: set[int] = set()


class Server:
    """Listens at once, at ``address``; raises :class:`OSError`. :meth:`serve` lets the nodes in."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listening = socket.create_server((address, 0), family=family, backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self._changed = threading.Condition()
        self._fetches: dict[str, _Fetch] = {}
        self._connections: set[socket.socket] = set()
        self._closed = False
        self._secret, self._nodes, self._own = b"", 0, -1
        self.sent = 0  # bytes of blocks

    def serve(self, secret: bytes, nodes: int, own: int) -> None:
        """Answer ``nodes`` nodes that know the secret; we are number ``own`` of them."""
        self._secret, self._nodes, self._own = secret, nodes, own
        threading.Thread(target=self._accept, name="share", daemon=True).start()

    def close(self) -> None:
        """End all connections, and give back every file. Safe to call twice."""
        with self._changed:
            self._closed = True
            connections = list(self._connections)
            for fetch in self._fetches.values():
                _drop(fetch)
            self._changed.notify_all()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # which ends an accept that waits
        self._listening.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # --- what there is ---

    def begin(self, name: str, blocks: Iterable[str]) -> None:
        with self._changed:
            fetch = self._fetches.setdefault(name, _Fetch())
            fetch.begun = True
            fetch.blocks = {block: _Block() for block in blocks}
            self._changed.notify_all()

    def offer(self, name: str, block: str, file: int, start: int, size: int, *, no_md5: bool) -> None:
        found = os.fstat(file)
        with self._changed:
            fetch = self._fetches[name]
            if self._closed or len(fetch.done) >= self._nodes - 1:
                return
            key = found.st_dev, found.st_ino
            if key not in fetch.files:
                fetch.files[key] = os.dup(file)
            fetch.blocks[block] = _Block(fetch.files[key], start, size, no_md5=no_md5)
            self._changed.notify_all()

    def offer_files(self, name: str, block: str, files: Sequence[tuple[str, int, str]]) -> None:
        self._offer(name, block, _Block(size=sum(size for _, size, _ in files), files=files))

    def offer_bytes(self, name: str, block: str, content: bytes) -> None:
        self._offer(name, block, _Block(size=len(content), content=content))

    def _offer(self, name: str, block: str, offered: _Block) -> None:
        with self._changed:
            self._fetches[name].blocks[block] = offered
            self._changed.notify_all()

    def end(self, name: str) -> None:
        """Blocks that did not come will not: who waits for them is told."""
        with self._changed:
            fetch = self._fetches[name]
            fetch.ended = True
            self._drop_if_done(fetch)
            self._changed.notify_all()

    def _drop_if_done(self, fetch: _Fetch) -> None:
        if fetch.ended and len(fetch.done) >= self._nodes - 1:
            _drop(fetch)

    # --- the other nodes ---

    def _accept(self) -> None:
        while True:
            try:
                accepted, _address = self._listening.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.2)  # no descriptors, or no memory, for a moment
                continue
            with self._changed:
                room = not self._closed and len(self._connections) < self._nodes + _PASSING
                if room:
                    self._connections.add(accepted)
            try:
                if not room:
                    raise RuntimeError
                threading.Thread(target=self._talk, args=(accepted,), name="share", daemon=True).start()
            except RuntimeError:  # or no more threads to be had
                self._forget(accepted)

    def _talk(self, accepted: socket.socket) -> None:
        try:
            accepted.settimeout(SILENCE)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            received = bytearray()
            ours = nonce()
            accepted.sendall(plain({"nonce": ours}) + b"\n")
            theirs = nonce_of(parse(_line(accepted, received, LONGEST_GREETING)))
            hears = LineSeal(self._secret, ours, theirs, from_server=False)
            says = LineSeal(self._secret, ours, theirs, from_server=True)
            rank = hears.open(_line(accepted, received, _LONGEST_LINE)).get("place")
            if not isinstance(rank, int) or not 0 <= rank < self._nodes or rank == self._own:
                return
            accepted.settimeout(None)  # from now on it asks when it likes; what it is sent has its own limit
            while True:
                self._answer(rank, hears.open(_line(accepted, received, _LONGEST_LINE)), accepted, says)
        except (OSError, ValueError):  # it is gone, or none of us
            pass
        finally:
            self._forget(accepted)

    def _answer(self, rank: int, asked: Mapping[str, object], connection: socket.socket, says: LineSeal) -> None:
        name, wanted = asked.get("fetch"), asked.get("want")
        if not isinstance(name, str) or len(name) > 64:
            raise Forged("no fetch")
        if asked.get("done") is True:
            with self._changed:
                fetch = self._fetches.setdefault(name, _Fetch())
                fetch.done.add(rank)
                self._drop_if_done(fetch)
            return
        if not isinstance(wanted, str):
            raise Forged("no block")
        while (found := self._wait_for(name, wanted)) is None:
            connection.sendall(says.close({"wait": True, "begun": name in self._fetches and self._fetches[name].begun}))
        if not found.is_here:
            connection.sendall(says.close({"no": True}))
        elif found.files:
            connection.sendall(says.close({"size": found.size, "md5": [md5 for _, _, md5 in found.files]}))
            for path, size, _ in found.files:
                with open(path, "rb", buffering=0) as file:
                    self._send_file(connection, file.fileno(), 0, size)
        elif found.content:
            sha256 = hashlib.sha256(found.content).hexdigest()
            connection.settimeout(SILENCE)
            connection.sendall(says.close({"size": found.size, "sha256": sha256}) + found.content)
            connection.settimeout(None)
        else:
            self._send_block(name, wanted, found, connection, says)
        with self._changed:
            self.sent += found.size

    def _send_block(self, name: str, wanted: str, found: _Block, connection: socket.socket, says: LineSeal) -> None:
        try:
            if not found.sha256:
                found.sha256 = _sha256(found.file, found.start, found.size)
            head = {"size": found.size, "sha256": found.sha256, "no_md5": found.no_md5}
            connection.sendall(says.close(head))
            self._send_file(connection, found.file, found.start, found.size)
        finally:
            os.close(found.file)
        with self._changed:
            kept = self._fetches[name].blocks.get(wanted)
            if kept is not None:
                kept.sha256 = found.sha256

    def _wait_for(self, name: str, wanted: str) -> _Block | None:
        """The block, with a descriptor of its own, or none (-1) if it will not come; None if it is not known yet."""
        end = time.monotonic() + _EVERY
        with self._changed:
            while True:
                fetch = self._fetches.get(name)
                if self._closed:
                    return _Block()
                if fetch is not None and fetch.begun:
                    block = fetch.blocks.get(wanted)
                    if block is None or (fetch.ended and not block.is_here):
                        return _Block()
                    if block.is_here:
                        return replace(block, file=os.dup(block.file) if block.file >= 0 else -1)
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def _send_file(self, connection: socket.socket, file: int, start: int, size: int) -> None:
        """Out of the page cache into the socket. Raises :class:`OSError`, also for a file that became shorter."""
        connection.settimeout(SILENCE)
        with os.fdopen(os.dup(file), "rb", buffering=0) as source:
            if size and connection.sendfile(source, start, size) != size:
                raise ConnectionAbortedError("the file became shorter")
        connection.settimeout(None)

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            self._connections.discard(connection)
        with suppress(OSError):
            connection.close()


def _drop(fetch: _Fetch) -> None:
    for file in fetch.files.values():
        os.close(file)
    fetch.files.clear()
    fetch.blocks.clear()


def _line(connection: socket.socket, received: bytearray, longest: int) -> bytes:
    while (cut := received.find(b"\n")) < 0:
        if len(received) > longest:
            raise Forged("a line without an end")
        more = connection.recv(longest)
        if not more:
            raise ConnectionResetError("the connection was closed")
        received += more
    line = bytes(received[:cut])
    del received[: cut + 1]
    return line


def _sha256(file: int, start: int, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0:
        data = os.pread(file, min(_READ, size), start)
        if not data:
            break  # who gets it sees that it is short
        digest.update(data)
        start, size = start + len(data), size - len(data)
    return digest.hexdigest()
