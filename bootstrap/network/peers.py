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
from dataclasses import dataclass, field
from typing import Any

from ..errors import PeersMissing
from ..job import StopRequest
from .cards import Card, named
from .hub import Hub
from .line import Line, Refused

_FAREWELL = 2.0  # seconds that the hub may take to read our last words
_LOOK = 0.2  # seconds between two looks at a stop request


@dataclass(frozen=True, slots=True)
class Failure:
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
    """This node's end of the conversation, made by :func:`bootstrap.network.meeting.meet`. Its methods may be called
    from any thread.
    """

    def __init__(self, rank: int, line: Line, hub: Hub | None) -> None:
        """``line`` leads to the hub, which is ours to close where we run it."""
        self.rank = rank
        self._line, self._hub = line, hub
        self._changed = threading.Condition()
        self._cards: list[Card] = []
        self._awaited: dict[str, list[int]] = {}
        self._open: dict[str, list[Arrival]] = {}
        self._failures: list[Failure] = []  # the others'
        self._first: Failure | None = None  # of these, for the listener
        self._news: list[Failure] = []  # these and our own, in the order of the hub
        self._own: Failure | None = None  # ours, as it was told
        self._ended: dict[int, int] = {}
        self._over = False  # the hub said goodbye
        self._closed = False  # we did
        self._lost = ""  # the hub vanished, and how
        self._listener: Callable[[Failure], object] | None = None
        line.socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name="peers", daemon=True)
        self._reader.start()

    @property
    def cards(self) -> tuple[Card, ...]:
        """What every node told of itself, in the order of ranks."""
        return tuple(self._cards)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """All bad news of other nodes so far, in the order in which node 0 heard it."""
        with self._changed:
            return tuple(self._failures)

    def all_news(self, patience_s: float, stop: StopRequest) -> tuple[Failure, ...]:
        """All bad news, this node's own too, once all nodes have told how they ended or ``patience_s`` are over."""
        self._wait(self._all_told, time.monotonic() + patience_s, stop)
        with self._changed:
            news = list(self._news)
        if self._own is not None and not any(failure.rank == self.rank for failure in news):
            news.append(self._own)  # node 0 had left by then
        return tuple(news)

    def _all_told(self) -> bool:
        return {*self._ended, *(failure.rank for failure in self._news if failure.lost)} >= set(range(len(self._cards)))

    @property
    def lost(self) -> str:
        """How the conversation ended before its time; empty while it lasts."""
        with self._changed:
            return self._lost

    def awaited(self, name: str = "") -> list[int]:
        """Who has not come to the barrier of this name, or to the meeting itself, as far as node 0 has told."""
        with self._changed:
            return list(self._awaited.get(name, []))

    def all_here(self, patience_s: float, stop: StopRequest) -> bool:
        """Wait until every node has come, ``patience_s`` seconds at most: whether they have."""
        return self._wait(lambda: bool(self._cards), time.monotonic() + patience_s, stop)

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
            raise PeersMissing(f"A node failed before all were ready ({name})", where=str(failures[0]))
        raise PeersMissing(
            f"Not all nodes were ready ({name})",
            where=named(self.awaited(name), [card.host for card in self._cards]),
            why=self.lost or ("asked to stop" if stop.is_set() else f"they did not come within {deadline_s:g} s"),
        )

    def on_failure(self, listener: Callable[[Failure], object]) -> None:
        """Call ``listener`` (in another thread) for the first bad news of another node, at once if there is some.

        It has returned before a barrier fails because of the same news: what it asks for is there by then.
        """
        with self._changed:
            self._listener = listener
            known = self._first
        if known is not None:
            listener(known)

    def failed(self, facts: Mapping[str, object]) -> None:
        """Tell the others that this node's command failed. Never raises: they may be gone already."""
        self._own = Failure(self.rank, self._cards[self.rank].host, False, dict(facts), time.time())
        self._say({"failed": dict(facts)})

    def ended(self, code: int) -> None:
        """Tell the others that this node's command ended with ``code``."""
        self._say({"ended": code})

    def wait_for_end_of(self, rank: int, stop: StopRequest) -> int | None:
        """The exit code of another node's command, once it ends; nothing when that node is gone or ``stop`` is set.

        For launchers that start everything from node 0 (mpirun, deepspeed): the other nodes' containers must stay.
        """
        self._wait(lambda: rank in self._ended or any(f.rank == rank and f.lost for f in self._failures), None, stop)
        with self._changed:
            return self._ended.get(rank)

    def close(self, *, in_peace: bool = True) -> None:
        """Leave: in peace, the others do not take it for a failure; else we count as gone, or, while they still meet,
        as not there yet. Node 0 ends the conversation for all. Not to be called by a listener of :meth:`on_failure`.
        """
        if not self._closed:
            if in_peace:
                self._say({"bye": True})
            self._closed = True
        # Our last lines count only once the hub has read them: it answers the end of ours with the end of its own.
        self._shut(socket.SHUT_WR)
        self._reader.join(_FAREWELL)
        if self._hub is not None:
            self._hub.close()
        self._shut(socket.SHUT_RDWR)
        self._reader.join()
        self._line.socket.close()

    def _shut(self, how: int) -> None:
        try:
            self._line.socket.shutdown(how)
        except OSError:
            pass  # the other side was faster

    def _say(self, message: Mapping[str, object]) -> None:
        try:
            self._line.say(message)
        except OSError:
            pass  # the reader notices the end of the connection and says what it means

    def _wait(self, happened: Callable[[], bool], end: float | None, stop: StopRequest) -> bool:
        """Whether it happened: before the end, a stop request, or the loss of the hub."""
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
                self._take(self._line.hear())
        except (OSError, ValueError, Refused) as error:
            why = f"the connection to node 0 broke: {error}"
        if self._cards and not self._over and not self._closed and self.rank != 0:
            vanished = Failure(0, self._cards[0].host, True, {}, time.time())
            self._news.append(vanished)
            self._bad_news(vanished)
        with self._changed:
            self._lost = why
            self._changed.notify_all()

    def _take(self, message: Mapping[str, Any]) -> None:
        failure = None
        with self._changed:
            if "awaited" in message:
                self._awaited[message.get("at", "")] = message["awaited"]
            if "cards" in message:
                self._cards = [Card(c["host"], c["address"], c["interface"]) for c in message["cards"]]
            elif "open" in message:
                arrivals = [Arrival(a["rank"], a["host"], a["took"] or {}, a["after"]) for a in message["arrivals"]]
                self._open[message["open"]] = arrivals
            elif "failure" in message:
                told = message["failure"]
                failure = Failure(told["rank"], told["host"], told["said"] is None, told["said"] or {}, time.time())
                self._news.append(failure)
            elif "ended" in message:
                self._ended[message["ended"]["rank"]] = message["ended"]["code"]
            elif "over" in message:
                self._over = True
            self._changed.notify_all()
        if failure is not None and failure.rank != self.rank:
            self._bad_news(failure)

    def _bad_news(self, failure: Failure) -> None:
        with self._changed:
            listener = self._listener if self._first is None else None
            self._first = self._first or failure
        if listener is not None:
            listener(failure)
        with self._changed:
            self._failures.append(failure)
            self._changed.notify_all()


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
