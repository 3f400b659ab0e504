"""Node 0's part in the conversation of the bootstraps: it collects and tells everybody. Runs in a thread of its own.

There are two ports. The *meeting port* is the one that every node knows beforehand; it only tells, to who knows the
secret, where the server really listens. It is given up as soon as all nodes have come, without a trace (the other side
closes first, so no connection is left in TIME_WAIT), because the job's own launcher may want that very port. The
conversation itself goes over a port that the kernel chose, and lasts until the job ends.

What the server says grows with the number of nodes, not with its square: news is told in one line to all, at most once
in :data:`_NEWS_EVERY` seconds; of the failures that follow each other when a job falls over, the first few and whatever
turns out to have been earlier.
"""

from __future__ import annotations

import errno
import math
import socket
import threading
import time
from collections.abc import Mapping, Sequence

from ..errors import PeersMissing
from ..ground import open_files
from ..values import asdict, dataclass, field
from .connections import Connections, PeerConnection
from .marks import Marks
from .messages import code_of, facts_of, node_info_of, rank_of, text_of, took_of
from .node_info import NodeInfo
from .protocol import PROTOCOL, Forged, LineSeal, nonce, nonce_of, parse, plain

_TIMEOUT = 15.0  # seconds a stranger may take to prove that it is one of us
_PROGRESS = 1.0  # seconds between two words on who is awaited: one for each arrival would be n * n lines
_NEWS_EVERY = 0.1  # seconds
_ONE_LOOK = 10.0  # seconds in which several nodes that ask all others to look mean the same
_MOST_TOLD = 8  # failures that all nodes are told in full
_MOST_NAMED = 16  # ranks of who is awaited
_MOST_WARNED = 8
_LAST_WORDS = 1.0  # seconds for what is on its way when the conversation ends
_LONGEST_LINE = 256 << 10  # bytes that a node may say at once
_LONGEST_SILENCE = 32767.0  # seconds that the kernel lets a probe be away
_MOST_BARRIERS = 16
_FEWEST_PLACES = 16
_OWN_FILES = 64  # descriptors of this process beside the connections
_SILENCE = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
_MEETING, _CHANNEL = "meeting", "channel"  # the two ports
_ADVICE = "or give each job a --peer-secret of its own"
_DOUBT = "two jobs, or one that is given differently? A --peer-secret of its own keeps a job apart"
_BACKLOG = 4096  # nodes that come at the same moment; the kernel has a limit of its own (somaxconn)


@dataclass(slots=True)
class _Member:
    """One node's connection."""

    rank: int
    info: NodeInfo
    connection: PeerConnection
    seal_in: LineSeal
    seal_out: LineSeal
    left: bool = False  # it said goodbye


@dataclass(slots=True)
class _Guest:
    """Somebody who has connected: our nonce, and the seals once we have theirs."""

    nonce: str
    seal_in: LineSeal | None = None
    seal_out: LineSeal | None = None


@dataclass(slots=True)
class _Barrier:
    opened: float
    arrivals: dict[int, dict[str, object]] = field(default_factory=dict)


class PeerServer:
    """Started by node 0 before it meets the others; :meth:`close` ends it. ``size`` nodes are expected, and one that
    is silent for ``silence_s`` seconds even to the kernel is gone. ``marks`` tell this job from others.
    """

    def __init__(self, size: int, secret: bytes, port: int, silence_s: float, marks: Marks | None = None) -> None:
        """Listens at once. Raises :class:`PeersMissing` when ``port`` cannot be had."""
        self._size, self._secret, self._silence_s = size, secret, silence_s
        self._marks = marks or Marks()
        self._members: dict[int, _Member] = {}
        self._barriers: dict[str, _Barrier] = {}
        self._news: list[dict[str, object]] = []  # failures that are not told yet
        self._told: list[dict[str, object]] = []
        self._ended: set[int] = set()  # who has told how it ended, or is gone
        self._look_began = -math.inf
        self._looked: set[int] = set()  # who has written down what its processes do, since somebody asked for it
        self._awaited: dict[str, list[int]] = {}  # as it was told last
        self._warnings: dict[str, bool] = {}  # and whether it was taken
        try:
            meeting = _listen(port)
        except OSError as error:
            raise PeersMissing(
                "node 0 cannot listen for the other nodes",
                where=f"port {port}",
                why=error.strerror or str(error),
                remedy="choose another port for the bootstraps to meet at, the same on all nodes",
            ) from error
        self.meeting_port = int(meeting.getsockname()[1])
        channel = _listen(0)
        self._channel_port = int(channel.getsockname()[1])
        places = _places(open_files.raise_limit(), size)
        self._connections = Connections(self, most_passing=places, timeout_s=_TIMEOUT)
        self._connections.listen(_MEETING, meeting, reset=True)
        self._connections.listen(_CHANNEL, channel)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peer-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the conversation: the others are told first. Safe to call twice."""
        self._stopping.set()
        self._connections.wake()
        self._thread.join()

    @property
    def trouble(self) -> str:
        """Why nodes cannot come in, if that is because of this machine."""
        return self._connections.trouble

    def warnings(self) -> list[str]:
        """What node 0 is to know of those who came and may not belong here; each is returned once."""
        fresh = [text for text, taken in list(self._warnings.items()) if not taken]
        self._warnings.update(dict.fromkeys(fresh, True))
        return fresh

    # --- in the server's thread from here on ---

    def _run(self) -> None:
        progress = news = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= progress:
                self._tell_progress()
                progress = now + _PROGRESS
            if self._news and now >= news:
                self._tell_news()
                news = now + _NEWS_EVERY
            self._connections.turn(max(0.0, min(progress, news if self._news else progress) - now))
        self._tell_news()
        self._tell(plain({"over": True}))
        self._connections.close(_LAST_WORDS)

    def opened(self, connection: PeerConnection) -> None:
        guest = _Guest(nonce())
        connection.owner = guest
        self._connections.send(connection, plain({"speak": PROTOCOL, "nonce": guest.nonce}) + b"\n")

    def line(self, connection: PeerConnection, line: bytes) -> None:
        owner = connection.owner
        if isinstance(owner, _Member):
            self._hear(owner, owner.seal_in.open(line))
        elif isinstance(owner, _Guest):
            self._greet(connection, owner, line)

    def ended(self, connection: PeerConnection, error: OSError | None) -> None:
        if isinstance(connection.owner, _Member):
            # Whom the kernel has given up was last heard when its silence began.
            silent = error is not None and error.errno in _SILENCE
            self._gone(connection.owner, self._silence_s if silent else 0.0)

    def _greet(self, connection: PeerConnection, guest: _Guest, line: bytes) -> None:
        """Challenge and answer: their nonce, then the first sealed line."""
        if guest.seal_in is None or guest.seal_out is None:
            theirs = nonce_of(parse(line))
            guest.seal_in = LineSeal(self._secret, guest.nonce, theirs, from_server=False)
            guest.seal_out = LineSeal(self._secret, guest.nonce, theirs, from_server=True)
            return
        try:
            hello = guest.seal_in.open(line)
        except Forged:
            self._warn("a node of another job, or with another secret, came to the meeting port and was refused")
            self._connections.send(connection, plain({"refused": "another secret or another job"}) + b"\n")
            self._connections.finish(connection)
            return
        if connection.kind == _MEETING:
            self._send(connection, guest.seal_out, {"channel": self._channel_port})
            connection.owner = None  # they close first
            return
        refused = self._admit(connection, guest.seal_in, guest.seal_out, hello)
        if refused:
            self._send(connection, guest.seal_out, {"refused": refused})
            self._connections.finish(connection)

    def _admit(
        self, connection: PeerConnection, seal_in: LineSeal, seal_out: LineSeal, hello: Mapping[str, object]
    ) -> str:
        """Take a node in; returns why not."""
        try:
            rank = rank_of(hello.get("rank"), self._size)
        except ValueError:
            return f"node {hello.get('rank')} in a job of {self._size}"
        info, marks = node_info_of(hello.get("info")), Marks.heard(hello.get("job"))
        there = self._members.get(rank)
        if there is not None and there.info != info:
            said = f"{there.info.host} has said already that it is node {rank}"
            self._warn(f"{info.host} came as node {rank} and was refused: {said}")
            return said
        if other := self._marks.surely_differ(marks):
            self._warn(f"{info.host} came as node {rank} and was refused: {other} is not what it is here, {_ADVICE}")
            return f"this is another job's node 0: {other} is not what it is there, {_ADVICE}"
        doubt = self._marks.may_differ(marks)
        if doubt:
            self._warn(f"{info.host} came as node {rank}, and {doubt} is not what it is here: {_DOUBT}")
        member = _Member(rank, info, connection, seal_in, seal_out)
        self._members[rank] = member  # the same node again after a broken connection: the newer one counts
        connection.owner = member
        self._connections.keep(connection, _LONGEST_LINE)
        if there is not None:
            self._connections.end(there.connection)
        tune(connection.socket, self._silence_s)
        self._send(connection, seal_out, {"welcome": rank, "doubt": doubt})
        if missing := self._missing():
            self._send(connection, seal_out, _awaited("", missing))
        else:
            self._tell(plain({"members": [asdict(self._members[rank].info) for rank in range(self._size)]}))
            self._connections.stop_listening(_MEETING)
        return ""

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._size) if rank not in self._members]

    def _hear(self, member: _Member, message: Mapping[str, object]) -> None:
        if "arrive" in message:
            self._arrive(member, text_of(message["arrive"]), took_of(message.get("took")))
        elif "failed" in message:
            self._fail(member, facts_of(message["failed"]))
        elif "ended" in message:
            code = code_of(message["ended"])
            if member.rank == 0:  # whose end others wait for
                self._tell(plain({"ended": code}))
            self._has_ended(member.rank)
        elif "look" in message:
            why = text_of(message["look"])
            if time.monotonic() - self._look_began > _ONE_LOOK:
                self._looked.clear()
                self._look_began = time.monotonic()
                self._tell(plain({"look": why, "rank": member.rank}))
        elif "looked" in message:
            self._has_looked(member.rank)
        elif "bye" in message:
            member.left = True
            self._has_ended(member.rank)

    def _arrive(self, member: _Member, name: str, took: Mapping[str, float]) -> None:
        if name not in self._barriers and len(self._barriers) >= _MOST_BARRIERS:
            raise ValueError("too many barriers")
        barrier = self._barriers.setdefault(name, _Barrier(time.monotonic()))
        after = round(time.monotonic() - barrier.opened, 3)
        barrier.arrivals[member.rank] = {"rank": member.rank, "host": member.info.host, "took": took, "after": after}
        if len(barrier.arrivals) == self._size:
            arrivals = [barrier.arrivals[rank] for rank in range(self._size)]
            self._tell(plain({"open": name, "arrivals": arrivals}))
            del self._barriers[name]
            self._awaited.pop(name, None)

    def _gone(self, member: _Member, silent_s: float) -> None:
        if self._members.get(member.rank) is not member or member.left or self._stopping.is_set():
            return
        if self._missing():
            if member.rank != 0:  # who ends the meeting has come to it
                del self._members[member.rank]  # we are still meeting: it may come back
        else:
            self._fail(member, None, silent_s)
            self._has_ended(member.rank)

    def _fail(self, member: _Member, said: Mapping[str, object] | None, ago: float = 0.0) -> None:
        failure = {"rank": member.rank, "host": member.info.host, "said": said}
        self._news.append({**failure, "ago": ago, "when": time.time() - ago})

    def _tell_news(self) -> None:
        """The first few failures; then only what was earlier than all of them."""
        news, self._news = self._news, []
        room = _MOST_TOLD - len(self._told)
        chosen = news[:room] if room > 0 else []
        earliest = min(news[len(chosen) :], key=_when, default=None)
        if earliest is not None and _when(earliest) < min(map(_when, [*self._told, *chosen])):
            chosen.append(earliest)
        if chosen:
            self._told += chosen
            self._tell(plain({"failures": chosen}))

    def _has_looked(self, rank: int) -> None:
        """Who has ended has nothing left to look at."""
        before = len(self._looked | self._ended)
        self._looked.add(rank)
        if before < self._size == len(self._looked | self._ended):
            self._tell(plain({"looked": "all"}))

    def _has_ended(self, rank: int) -> None:
        if self._looked:
            self._has_looked(rank)
        if rank not in self._ended:
            self._ended.add(rank)
            if len(self._ended) == self._size:
                self._tell_news()
                self._tell(plain({"all": "ended"}))

    def _tell_progress(self) -> None:
        """Who is still awaited, so that every node can name them if its own time is over."""
        if self._members:
            self._tell_awaited("", self._missing())
        for name, barrier in self._barriers.items():
            self._tell_awaited(name, [rank for rank in range(self._size) if rank not in barrier.arrivals])

    def _tell_awaited(self, name: str, missing: list[int]) -> None:
        if missing and missing != self._awaited.get(name):
            self._awaited[name] = missing
            self._tell(plain(_awaited(name, missing)))

    def _tell(self, body: bytes) -> None:
        """To all nodes. The body is in memory once, however many are slow to take it."""
        digest = LineSeal.digest(body)
        for member in list(self._members.values()):
            self._connections.send(member.connection, member.seal_out.head(digest), body, b"\n")

    def _send(self, connection: PeerConnection, seal: LineSeal, message: Mapping[str, object]) -> None:
        self._connections.send(connection, seal.close(message))

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _MOST_WARNED:
            self._warnings.setdefault(text, False)


def _awaited(name: str, missing: Sequence[int]) -> dict[str, object]:
    """At the barrier of this name, or at the meeting."""
    return {"awaited": missing[:_MOST_NAMED], "count": len(missing), "at": name}


def _when(failure: Mapping[str, object]) -> float:
    """When it happened, as the node says, or else as it was heard here (epoch)."""
    said = failure["said"]
    at = said.get("at") if isinstance(said, Mapping) else None
    when = at if isinstance(at, float) else failure["when"]
    assert isinstance(when, float)
    return when


def _places(limit: int, size: int) -> int:
    """How many may be on their way in at once, such that all nodes and our own files have room beside them."""
    return max(_FEWEST_PLACES, min(max(256, 2 * size), (limit - size - _OWN_FILES) // 2))


def _listen(port: int) -> socket.socket:
    """A listening socket on every address of this machine, IPv6 too where the kernel has it."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=_BACKLOG)


def tune(connection: socket.socket, silence_s: float) -> None:
    """Send each line at once, and have the kernel end the connection of a peer that is cut off after ``silence_s``
    seconds (0: never), by its own probes.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
