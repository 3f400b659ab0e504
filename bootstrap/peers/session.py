"""What the bootstraps of a job say to each other once they have met: they wait for each other and tell of failures::

peers.barrier("fetch", took={...}, deadline_s=..., stop=...)
peers.on_failure(supervisor_stops)       # another node failed, or is gone
peers.failed({...}) or peers.ended(0)    # ours
peers.close()
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import PeersMissing
from ..job import StopRequest
from ..values import dataclass, field
from .client import PeerClient, Refused
from .messages import code_of, facts_of, node_info_of, rank_of, seconds_of, text_of, took_of
from .node_info import NodeInfo, named
from .server import PeerServer

_FAREWELL = 2.0  # seconds that the server may take to read our last words
_LOOK = 0.2  # seconds between two looks at a stop request


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """A node's bad news. ``facts`` is what that node said of it; empty when it vanished without a word (``lost``).
    ``heard`` is when it was heard here (epoch).
    """

    rank: int
    host: str
    lost: bool
    facts: Mapping[str, object]
    heard: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        who = f"node {self.rank} ({self.host})"
        if self.lost:
            return f"{who} is gone without a word"
        brief = {name: value for name, value in self.facts.items() if name != "at" and "\n" not in str(value)}
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in brief.items())
        return f"{who} failed{': ' if told else ''}{told}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One node at a barrier: what it said it spent (``took``, seconds by name), and how many seconds after the first
    node it came.
    """

    rank: int
    host: str
    took: Mapping[str, float]
    after: float


class Peers:
    """This node's end of the conversation, made by :func:`bootstrap.peers.meeting.meet`. Its methods may be called
    from any thread.
    """

    def __init__(self, rank: int, size: int, client: PeerClient, server: PeerServer | None) -> None:
        """One of ``size`` nodes. ``client`` leads to the server, which is ours to close where we run it."""
        self.rank = rank
        self._size = size
        self._client, self._server = client, server
        self._changed = threading.Condition()
        self._members: list[NodeInfo] = []
        self._awaited: dict[str, tuple[list[int], int]] = {}
        self._open: dict[str, list[Arrival]] = {}
        self._failures: list[NodeFailure] = []  # the others'
        self._first: NodeFailure | None = None  # of these, for the listener
        self._news: list[NodeFailure] = []  # these and our own, in the order of the server
        self._own: NodeFailure | None = None  # ours, as it was told
        self._end_of_0: int | None = None  # the exit code of its command
        self._all_ended = False
        self._over = False  # the server said goodbye
        self._closed = False  # we did
        self._lost = ""  # the server vanished, and how
        self._listener: Callable[[NodeFailure], object] | None = None
        self._looker: Callable[[str], object] | None = None
        self._all_looked = False
        client.stay()
        self._reader = threading.Thread(target=self._read, name="peers", daemon=True)
        self._reader.start()

    @property
    def members(self) -> tuple[NodeInfo, ...]:
        """What every node told of itself, in the order of ranks."""
        return tuple(self._members)

    @property
    def failures(self) -> tuple[NodeFailure, ...]:
        """Bad news of other nodes so far, in the order in which node 0 heard it: of many the first few, and whatever
        was earlier.
        """
        with self._changed:
            return tuple(self._failures)

    def all_news(self, timeout_s: float, stop: StopRequest) -> tuple[NodeFailure, ...]:
        """The bad news, this node's own too, once all nodes have told how they ended or ``timeout_s`` are over."""
        self._wait(lambda: self._all_ended, time.monotonic() + timeout_s, stop)
        with self._changed:
            news = list(self._news)
        if self._own is not None and not any(failure.rank == self.rank for failure in news):
            news.append(self._own)  # node 0 had left by then
        return tuple(news)

    @property
    def lost(self) -> str:
        """How the conversation ended before its time; empty while it lasts."""
        with self._changed:
            return self._lost

    def awaited(self, name: str = "") -> tuple[list[int], int]:
        """Who has not come to the barrier of this name, or to the meeting itself, as far as node 0 has told: the first
        ranks, and how many there are.
        """
        with self._changed:
            return self._awaited.get(name, ([], 0))

    def all_here(self, timeout_s: float, stop: StopRequest) -> bool:
        """Wait until every node has come, ``timeout_s`` seconds at most: whether they have."""
        return self._wait(lambda: bool(self._members), time.monotonic() + timeout_s, stop)

    def barrier(
        self, name: str, *, took: Mapping[str, float], deadline_s: float, stop: StopRequest
    ) -> tuple[Arrival, ...]:
        """Wait until every node has come to the barrier of this name; who took how long, in the order of ranks.

        Raises :class:`PeersMissing` at the deadline (seconds) with who is awaited, and at once when a node fails.
        """
        self._say({"arrive": name, "took": dict(took)})
        self._wait(lambda: name in self._open or bool(self._failures), time.monotonic() + deadline_s, stop)
        with self._changed:
            if name in self._open:
                return tuple(self._open[name])
            failures = list(self._failures)
        if failures:
            raise PeersMissing(f"a node failed before all were ready ({name})", where=str(failures[0]))
        ranks, count = self.awaited(name)
        raise PeersMissing(
            f"not all nodes were ready ({name})",
            where=named(ranks, [info.host for info in self._members], count),
            why=self.lost or ("asked to stop" if stop.is_set() else f"they did not come within {deadline_s:g} s"),
        )

    def on_failure(self, listener: Callable[[NodeFailure], object]) -> None:
        """Call ``listener`` (in another thread) for the first bad news of another node, at once if there is some.

        It has returned before a barrier fails because of the same news: what it asks for is there by then.
        """
        with self._changed:
            self._listener = listener
            known = self._first
        if known is not None:
            listener(known)

    def on_look(self, looker: Callable[[str], object]) -> None:
        """Call ``looker`` (in another thread) with the reason when another node asks all to write down what their
        processes do; :meth:`looked` is the answer.
        """
        with self._changed:
            self._looker = looker

    def look(self, why: str) -> None:
        """Ask all nodes to look, before this one stops its command."""
        with self._changed:
            self._all_looked = False
        self._say({"look": why})

    def looked(self) -> None:
        """This node has looked, or has nothing to look at."""
        self._say({"looked": True})

    def wait_until_all_looked(self, timeout_s: float, stop: StopRequest) -> bool:
        """Whether all nodes have that are still there: at most so many seconds."""
        return self._wait(lambda: self._all_looked, time.monotonic() + timeout_s, stop)

    def failed(self, facts: Mapping[str, object]) -> None:
        """Tell the others that this node's command failed. Never raises: they may be gone already."""
        self._own = NodeFailure(self.rank, self._members[self.rank].host, False, dict(facts), time.time())
        self._say({"failed": dict(facts)})

    def ended(self, code: int) -> None:
        """Tell the others that this node's command ended with ``code``."""
        self._say({"ended": code})

    def wait_for_node_0(self, stop: StopRequest) -> int | None:
        """The exit code of node 0's command, once it ends; nothing when that node is gone or ``stop`` is set.

        For launchers that start everything from node 0 (mpirun, deepspeed): the other nodes' containers must stay.
        """

        def known() -> bool:
            return self._end_of_0 is not None or any(failure.rank == 0 and failure.lost for failure in self._failures)

        self._wait(known, None, stop)
        with self._changed:
            return self._end_of_0

    def close(self, *, in_peace: bool = True) -> None:
        """Leave: in peace, the others do not take it for a failure; else we count as gone, or, while they still meet,
        as not there yet. Node 0 ends the conversation for all. Not to be called by a listener of :meth:`on_failure`.
        """
        if not self._closed:
            if in_peace:
                self._say({"bye": True})
            self._closed = True
        # Our last lines count only once the server has read them: it answers the end of ours with the end of its own.
        self._shut(socket.SHUT_WR)
        self._reader.join(_FAREWELL)
        if self._server is not None:
            self._server.close()
        self._shut(socket.SHUT_RDWR)
        self._reader.join()
        self._client.close()

    def _shut(self, how: int) -> None:
        try:
            self._client.socket.shutdown(how)
        except OSError:
            pass  # the other side was faster

    def _say(self, message: Mapping[str, object]) -> None:
        try:
            self._client.say(message)
        except OSError:
            pass  # the reader notices the end of the connection and says what it means

    def _wait(self, happened: Callable[[], bool], end: float | None, stop: StopRequest) -> bool:
        """Whether it happened: before the end, a stop request, or the loss of the server."""
        with self._changed:
            while not happened():
                left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                if left <= 0 or stop.is_set() or self._lost or self._over:
                    return happened()
                self._changed.wait(left)
            return True

    # --- in the reader's thread from here on ---

    def _read(self) -> None:
        why = "node 0 ended the conversation"
        try:
            while not self._over:
                self._take(self._client.hear())
        except (OSError, ValueError, Refused) as error:
            why = f"the connection to node 0 broke: {error}"
        except Exception as error:  # noqa: BLE001  a thread of its own: whoever waits for news would wait for ever
            why = f"what node 0 said could not be taken: {error!r}"
        if self._members and not self._over and not self._closed and self.rank != 0:
            vanished = NodeFailure(0, self._members[0].host, True, {}, time.time())
            self._news.append(vanished)
            self._bad_news(vanished)
        with self._changed:
            self._lost = why
            self._changed.notify_all()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Raises ``ValueError`` for what an honest server does not say."""
        failures: list[NodeFailure] = []
        looker, asked = None, ""
        with self._changed:
            if "members" in message:
                self._members = [node_info_of(info) for info in self._one_of_each(message["members"])]
            elif "open" in message:
                arrivals = [_arrival_of(told, self._size) for told in self._one_of_each(message.get("arrivals"))]
                self._open[text_of(message["open"])] = arrivals
            elif "failures" in message:
                if not self._members:
                    raise ValueError("a failure before all have come")
                failures = [_failure_of(told, self._size) for told in _list_of(message["failures"])]
                self._news += failures
            elif "ended" in message:
                self._end_of_0 = code_of(message["ended"])
            elif "all" in message:
                self._all_ended = True
            elif "look" in message:
                asked = text_of(message["look"])
                self._all_looked = False
                looker = self._looker if rank_of(message.get("rank"), self._size) != self.rank else None
            elif "looked" in message:
                self._all_looked = True
            elif "over" in message:
                self._over = True
            elif "awaited" in message:
                ranks = [rank_of(rank, self._size) for rank in _list_of(message["awaited"])]
                count = rank_of(message.get("count", len(ranks)), self._size + 1)
                self._awaited[text_of(message.get("at", ""))] = ranks, count
            self._changed.notify_all()
        for failure in failures:
            if failure.rank != self.rank:
                self._bad_news(failure)
        if looker is not None:
            looker(asked)

    def _one_of_each(self, value: object) -> list[Any]:
        """A list with something of every node, in the order of ranks."""
        told = _list_of(value)
        if len(told) != self._size:
            raise ValueError(f"of {len(told)} nodes, in a job of {self._size}")
        return told

    def _bad_news(self, failure: NodeFailure) -> None:
        with self._changed:
            listener = self._listener if self._first is None else None
            self._first = self._first or failure
        if listener is not None:
            listener(failure)
        with self._changed:
            self._failures.append(failure)
            self._changed.notify_all()


def _list_of(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _fields(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _arrival_of(value: object, size: int) -> Arrival:
    told = _fields(value)
    host, took = text_of(told.get("host")), took_of(told.get("took"))
    return Arrival(rank_of(told.get("rank"), size), host, took, seconds_of(told.get("after")))


def _failure_of(value: object, size: int) -> NodeFailure:
    told = _fields(value)
    rank, host, said = rank_of(told.get("rank"), size), text_of(told.get("host")), told.get("said")
    heard = time.time() - seconds_of(told.get("ago", 0.0))
    return NodeFailure(rank, host, said is None, {} if said is None else facts_of(said), heard)


def told(arrivals: Sequence[Arrival]) -> list[str]:
    """The table of a barrier, in lines: who spent how many seconds on what, the last to come marked."""
    spent = list(dict.fromkeys(name for arrival in arrivals for name in arrival.took))
    last = max(arrivals, key=lambda arrival: arrival.after, default=None)
    rows = [("node", "host", *spent, "came after")]
    for arrival in arrivals:
        took = [f"{arrival.took[name]:.1f} s" if name in arrival.took else "-" for name in spent]
        rows.append((str(arrival.rank), arrival.host, *took, f"{arrival.after:.1f} s"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if last is not None and last.after > 1.0:
        lines[1 + arrivals.index(last)] += "  <- the last"
    return lines
