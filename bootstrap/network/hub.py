"""Node 0's part in the conversation of the bootstraps: it collects and tells everybody. Runs in a thread of its own.

There are two ports. The *meeting port* is the one that every node knows beforehand; it only tells, to who knows the
secret, where the hub really listens. It is given up as soon as all nodes have come, without a trace (the other side
closes first, so no connection is left in TIME_WAIT), because the job's own launcher may want that very port. The
conversation itself goes over a port that the kernel chose, and lasts until the job ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import PeersMissing
from .wire import LONGEST_LINE, PROTOCOL, Forged, Seal, nonce, parse, plain

_PATIENCE = 15.0  # seconds a stranger may take to prove that it is one of us
_PROGRESS = 1.0  # seconds between two words on who is awaited: one for each arrival would be n * n lines
_LONGEST_SILENCE = 32767.0  # seconds that the kernel lets a probe be away
_LINGER_RESET = struct.pack("ii", 1, 0)  # close with a reset: leaves no TIME_WAIT behind


@dataclass(slots=True)
class _Member:
    """One node's connection."""

    rank: int
    card: dict[str, object]
    writer: asyncio.StreamWriter
    seal: Seal
    left: bool = False  # it said goodbye


@dataclass(slots=True)
class _Barrier:
    opened: float
    arrivals: dict[int, dict[str, object]] = field(default_factory=dict)


class _Greeted(NamedTuple):
    hello: dict[str, object]
    seal_in: Seal
    seal_out: Seal


class Hub:
    """Started by node 0 before it meets the others; :meth:`close` ends it. ``size`` nodes are expected, and one that
    is silent for ``silence_s`` seconds even to the kernel is gone.
    """

    def __init__(self, size: int, secret: bytes, port: int, silence_s: float) -> None:
        """Listens at once. Raises :class:`PeersMissing` when ``port`` cannot be had."""
        self._size, self._secret, self._silence_s = size, secret, silence_s
        self._members: dict[int, _Member] = {}
        self._barriers: dict[str, _Barrier] = {}
        self._failures: list[dict[str, object]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._meeting: asyncio.Server | None = None
        try:
            self._meeting_socket = _listen(port)
        except OSError as error:
            raise PeersMissing(
                "Node 0 cannot listen for the other nodes",
                where=f"port {port}",
                why=error.strerror or str(error),
                remedy="choose another port for the bootstraps to meet at, the same on all nodes",
            ) from error
        self.meeting_port = int(self._meeting_socket.getsockname()[1])
        self._channel_socket = _listen(0)
        self._channel_port = int(self._channel_socket.getsockname()[1])
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the conversation: the others are told first. Safe to call twice."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended between the two lines
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    # --- in the hub's thread from here on ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._meeting = await asyncio.start_server(self._point, sock=self._meeting_socket, limit=LONGEST_LINE)
        channel = await asyncio.start_server(self._talk, sock=self._channel_socket, limit=LONGEST_LINE)
        while not self._stopping.is_set():
            self._tell_progress()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _PROGRESS)
        self._tell(plain({"over": True}))
        self._meeting.close()
        channel.close()
        for member in list(self._members.values()):  # somebody may come at this very moment
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(member.writer.drain(), 1.0)
            member.writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _point(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """At the meeting port: the way to the channel, for who knows the secret."""
        self._keep(asyncio.current_task())
        try:
            greeted = await asyncio.wait_for(self._greet(reader, writer), _PATIENCE)
            if greeted is not None:
                writer.write(greeted.seal_out.close({"channel": self._channel_port}))
                await asyncio.wait_for(reader.read(1), _PATIENCE)  # they close first
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError, ValueError):
            pass  # a scanner, a health check, a node that went away: it will come again if it is one of us
        finally:
            _reset(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """On the channel: one node's lines until it leaves or is lost."""
        self._keep(asyncio.current_task())
        member = None
        try:
            greeted = await asyncio.wait_for(self._greet(reader, writer), _PATIENCE)
            if greeted is None:
                return
            member = self._admit(greeted.hello, writer, greeted.seal_out)
            if member is None:
                return
            tune(writer.get_extra_info("socket"), self._silence_s)
            while line := await reader.readline():
                self._hear(member, greeted.seal_in.open(line))
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError, ValueError):
            # A broken connection; what it means is decided below. Or the conversation is over: streams of Python 3.11
            # and older print a traceback for a task that ends as cancelled.
            pass
        finally:
            if member is not None:
                self._gone(member)
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Greeted | None:
        """Challenge and answer; nothing when the other side does not know the secret."""
        ours = nonce()
        writer.write(plain({"speak": PROTOCOL, "nonce": ours}) + b"\n")
        theirs = str(parse(await reader.readline()).get("nonce", ""))
        seal_in = Seal(self._secret, ours, theirs, from_hub=False)
        seal_out = Seal(self._secret, ours, theirs, from_hub=True)
        try:
            hello = seal_in.open(await reader.readline())
        except Forged:
            writer.write(plain({"refused": "another secret or another job"}) + b"\n")
            await writer.drain()
            return None
        return _Greeted(hello, seal_in, seal_out)

    def _admit(self, hello: Mapping[str, object], writer: asyncio.StreamWriter, seal: Seal) -> _Member | None:
        rank, card = hello.get("rank"), hello.get("card")
        if not isinstance(rank, int) or not isinstance(card, dict) or not 0 <= rank < self._size:
            writer.write(seal.close({"refused": f"node {rank} in a job of {self._size}"}))
            return None
        there = self._members.get(rank)
        if there is not None and there.card != card:
            said = f"{there.card.get('host')} has said already that it is node {rank}"
            writer.write(seal.close({"refused": said}))
            return None
        member = _Member(rank, card, writer, seal)
        self._members[rank] = member  # the same node again after a broken connection: the newer one counts
        writer.write(seal.close({"welcome": rank, "awaited": self._missing()}))
        if len(self._members) == self._size:
            self._all_here()
        return member

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._size) if rank not in self._members]

    def _all_here(self) -> None:
        cards = [self._members[rank].card for rank in range(self._size)]
        self._tell(plain({"cards": cards}))
        if self._meeting is not None:
            self._meeting.close()

    def _hear(self, member: _Member, message: Mapping[str, object]) -> None:
        if "arrive" in message:
            self._arrive(member, str(message["arrive"]), message.get("took"))
        elif "failed" in message:
            self._fail({"rank": member.rank, "host": member.card.get("host", ""), "said": message["failed"]})
        elif "ended" in message:
            self._tell(plain({"ended": {"rank": member.rank, "code": message["ended"]}}))
        elif "bye" in message:
            member.left = True

    def _arrive(self, member: _Member, name: str, took: object) -> None:
        barrier = self._barriers.setdefault(name, _Barrier(time.monotonic()))
        barrier.arrivals[member.rank] = {
            "rank": member.rank,
            "host": member.card.get("host", ""),
            "took": took,
            "after": round(time.monotonic() - barrier.opened, 3),
        }
        if len(barrier.arrivals) == self._size:
            arrivals = [barrier.arrivals[rank] for rank in range(self._size)]
            self._tell(plain({"open": name, "arrivals": arrivals}))
            del self._barriers[name]

    def _fail(self, failure: dict[str, object]) -> None:
        self._failures.append(failure)
        self._tell(plain({"failure": failure}))

    def _gone(self, member: _Member) -> None:
        if self._members.get(member.rank) is not member or member.left or self._stopping.is_set():
            return
        if self._missing():
            del self._members[member.rank]  # we are still meeting: it may come back
        else:
            self._fail({"rank": member.rank, "host": member.card.get("host", ""), "said": None})

    def _tell_progress(self) -> None:
        """Who is still awaited, so that every node can name them if its own patience ends."""
        if self._members and (missing := self._missing()):
            self._tell(plain({"awaited": missing}))
        for name, barrier in self._barriers.items():
            missing = [rank for rank in range(self._size) if rank not in barrier.arrivals]
            self._tell(plain({"awaited": missing, "at": name}))

    def _tell(self, body: bytes) -> None:
        for member in self._members.values():
            if not member.writer.is_closing():
                member.writer.write(member.seal.close(body))

    def _keep(self, task: asyncio.Task[None] | None) -> None:
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _listen(port: int) -> socket.socket:
    """A listening socket on every address of this machine, IPv6 too where the kernel has it."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=1024)


def tune(connection: socket.socket, silence_s: float) -> None:
    """Send each line at once, and have the kernel end the connection of a peer that is cut off after ``silence_s``
    seconds (0: never), by its own probes.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on sockets of its own making
    if not silence_s:
        return
    silence_s = min(silence_s, _LONGEST_SILENCE)
    probe = max(1, int(silence_s / 6))
    options = (
        ("TCP_KEEPIDLE", max(1, int(silence_s / 3))),
        ("TCP_KEEPINTVL", probe),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", int(silence_s * 1000)),  # counts where something of ours is unanswered
    )
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reset(writer: asyncio.StreamWriter) -> None:
    made = writer.get_extra_info("socket")
    if made is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.close()
