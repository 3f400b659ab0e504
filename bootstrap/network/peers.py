"""The bootstraps of a job meet, learn each other's addresses, wait for each other and tell of failures.

Every node (node 0 too) is a client of the hub that node 0 runs (:mod:`bootstrap.network.hub`)::

    peers = meet(cluster, card, port=..., secret=..., deadline_s=..., stop=..., log=...)
    cluster = peers.placed(cluster)          # every node now has its address on the chosen interface
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
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import NameUnresolved, PeersMissing
from ..job import Cluster, Log, StopRequest
from .hub import Hub, tune
from .line import Line, Refused
from .resolve import resolve
from .wire import Forged

DEFAULT_PORT = 29499  # beside torchrun's own, where nothing else is expected
_ONE_TRY = 10.0  # seconds for one attempt to reach the hub
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 3.0
_FAREWELL = 2.0  # seconds that the hub may take to read our last words
_LOOK = 0.2  # seconds between two looks at a stop request


@dataclass(frozen=True, slots=True)
class Card:
    """What a node tells of itself: its own host name, its address on the chosen interface, and that one's name."""

    host: str
    address: str
    interface: str = ""


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


def meet(
    cluster: Cluster,
    card: Card,
    *,
    port: int,
    secret: bytes,
    deadline_s: float,
    stop: StopRequest,
    log: Log,
    silence_s: float = 60.0,
) -> Peers:
    """Meet all nodes of the job within ``deadline_s`` seconds; node 0 listens at ``port`` until all have come.

    From then on a node that is cut off counts as gone after ``silence_s`` seconds; one whose bootstrap died, at once.
    Raises :class:`PeersMissing` naming who did not come (or why node 0 cannot be reached), also when ``stop`` is set.
    """
    end = time.monotonic() + deadline_s
    hub = Hub(cluster.size, secret, port, silence_s) if cluster.node_rank == 0 else None
    peers = None
    try:
        peers = _join(cluster, card, "127.0.0.1" if hub else cluster.master.host, port, secret, end, stop, log)
        peers._hub = hub
        tune(peers._line.socket, silence_s)
        peers._await_all(cluster, end, stop, log)
    except BaseException:
        if peers is not None:
            peers.close()
        if hub is not None:
            hub.close()
        raise
    return peers


def _join(
    cluster: Cluster, card: Card, host: str, port: int, secret: bytes, end: float, stop: StopRequest, log: Log
) -> Peers:
    started = time.monotonic()
    pause, why = _FIRST_PAUSE, "no attempt was made"
    said = started
    while not stop.is_set():
        left = end - time.monotonic()
        try:
            addresses = resolve(host, deadline_s=max(left, 0.0), stop=stop, log=log)
            return _connect(addresses, port, cluster.node_rank, card, secret, min(_ONE_TRY, max(left, 1.0)))
        except NameUnresolved as error:
            why = str(error.what) + (f" ({error.why})" if error.why else "")
        except Refused as refusal:
            why = f"node 0 refused: {refusal}"
        except (OSError, ValueError) as error:
            why = str(error) or type(error).__name__
        now = time.monotonic()
        if now + pause > end:
            break
        if now - said > 5.0:
            said = now
            log.info("waiting for node 0", host=host, port=port, why=why, left_s=round(end - now))
        stop.wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    raise PeersMissing(
        "Node 0 could not be reached" + (" (asked to stop)" if stop.is_set() else ""),
        where=f"{host}, port {port}",
        why=f"{why}, after {time.monotonic() - started:.0f} s",
        remedy="look at node 0's log: it must be up, and let this job's nodes reach that port",
    )


def _connect(addresses: Sequence[str], port: int, rank: int, card: Card, secret: bytes, patience_s: float) -> Peers:
    """Through the meeting port to the channel. Raises :class:`OSError`, ``ValueError`` or :class:`Refused`."""
    problem: OSError | None = None
    for address in addresses:
        try:
            meeting = Line(address, port, secret, patience_s)
        except OSError as error:
            problem = error
            continue
        with meeting.socket:
            meeting.say({"rank": rank})
            channel_port = meeting.hear().get("channel")
        if not isinstance(channel_port, int):
            raise Forged("node 0 does not tell where it listens")
        channel = Line(address, channel_port, secret, patience_s)
        channel.say({"rank": rank, "card": {"host": card.host, "address": card.address, "interface": card.interface}})
        try:
            welcome = channel.hear()
            if "refused" in welcome:
                raise Refused(welcome["refused"])
        except BaseException:
            channel.socket.close()
            raise
        return Peers(rank, channel)
    raise problem or OSError("the name has no address")


class Peers:
    """This node's end of the conversation; made by :func:`meet`. Its methods may be called from any thread."""

    def __init__(self, rank: int, line: Line) -> None:
        self.rank = rank
        self._line = line
        self._hub: Hub | None = None
        self._changed = threading.Condition()
        self._cards: list[Card] = []
        self._awaited: dict[str, list[int]] = {}
        self._open: dict[str, list[Arrival]] = {}
        self._failures: list[Failure] = []  # the others'
        self._news: list[Failure] = []  # these and our own, in the order of the hub
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
            return tuple(self._news)

    def _all_told(self) -> bool:
        return {*self._ended, *(failure.rank for failure in self._news if failure.lost)} >= set(range(len(self._cards)))

    def placed(self, cluster: Cluster) -> Cluster:
        """``cluster`` with every node's address on the chosen interface, and a name where the platform told none."""
        return placed(cluster, self._cards)

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
            failures, awaited, lost = list(self._failures), self._awaited.get(name, []), self._lost
        if failures:
            raise PeersMissing(f"A node failed before all were ready ({name})", where=str(failures[0]))
        why = lost or ("asked to stop" if stop.is_set() else f"they did not come within {deadline_s:g} s")
        raise PeersMissing(f"Not all nodes were ready ({name})", where=_named(awaited, self._cards), why=why)

    def on_failure(self, listener: Callable[[Failure], object]) -> None:
        """Call ``listener`` (in another thread) for the first bad news of another node, at once if there is some."""
        with self._changed:
            self._listener = listener
            known = self._failures[:1]
        if known:
            listener(known[0])

    def failed(self, facts: Mapping[str, object]) -> None:
        """Tell the others that this node's command failed. Never raises: they may be gone already."""
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

    def close(self) -> None:
        """Leave in peace: the others do not take it for a failure. Node 0 ends the conversation for all. Not to be
        called by a listener of :meth:`on_failure`.
        """
        if not self._closed:
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

    def _await_all(self, cluster: Cluster, end: float, stop: StopRequest, log: Log) -> None:
        while not self._wait(lambda: bool(self._cards), min(end, time.monotonic() + 5.0), stop):
            with self._changed:
                awaited, lost = self._awaited.get("", []), self._lost
            left = end - time.monotonic()
            if left > 0 and not lost and not stop.is_set():
                log.info("waiting for nodes", awaited=_hosts(awaited, cluster), left_s=round(left))
                continue
            raise PeersMissing(
                f"{len(awaited)} of {cluster.size} nodes did not come"
                if awaited
                else "The conversation with node 0 ended before all nodes had come",
                where=_hosts(awaited, cluster),
                why=lost or ("asked to stop" if stop.is_set() else "the deadline has passed"),
            )

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
        with self._changed:
            self._lost = why
            met = bool(self._cards)
        if met and not self._over and not self._closed and self.rank != 0:
            vanished = Failure(0, self._cards[0].host, True, {}, time.time())
            self._news.append(vanished)
            self._bad_news(vanished)
        with self._changed:
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
            self._failures.append(failure)
            listener = self._listener if len(self._failures) == 1 else None
            self._changed.notify_all()
        if listener is not None:
            listener(failure)


def placed(cluster: Cluster, cards: Sequence[Card]) -> Cluster:
    """``cluster`` with what each node's card tells, wherever the cards come from."""
    nodes = tuple(
        replace(node, address=card.address or None, host=node.host or card.host or card.address)
        for node, card in zip(cluster.nodes, cards, strict=True)
    )
    return replace(cluster, nodes=nodes)


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


def _hosts(ranks: Sequence[int], cluster: Cluster) -> str:
    return _list([f"node {rank} ({cluster.nodes[rank].host or 'name unknown'})" for rank in ranks])


def _named(ranks: Sequence[int], cards: Sequence[Card]) -> str:
    return _list([f"node {rank} ({cards[rank].host})" for rank in ranks])


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
