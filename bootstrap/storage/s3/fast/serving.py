"""One thread of a transfer, and the connections that it serves: one, or many where the store is what is waited for."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol

from ....ground.machine.standstill import Standstill
from ....job import StopRequest
from ...common.workers import TransferStopped
from ...model.pipeline import Connection, E, NeedsFallback, RequestBudget
from ...model.store import RetryWindow
from . import http1
from .backlog import Backlog
from .http1 import Meter

_LOST_IN_A_ROW = 3  # connections of a thread that brought nothing
_LOOK = 0.1  # seconds between two looks at whether to stop, and at who is silent
_MUCH = 16  # the weight of what a store may need its time for
_UNSERVED = 2.0  # seconds in which the store refused everybody: then who waits for it and says so has to ask


class FastConnection(Connection, Protocol):
    """A connection that can be waited for beside others."""

    link: float
    """Seconds that its link takes, there and back."""
    waits_for: int
    """What has to happen on its socket before there is anything to do, in ``select.poll``'s words."""

    def fileno(self) -> int: ...

    def opened(self) -> bool:
        """Whether it can be used by now; waits for nothing."""

    def arrived(self) -> bool:
        """Whether the head of an answer is here; waits for nothing."""


class Client(Protocol):
    """What is needed of a bucket's fast client."""

    retry_window: RetryWindow

    def connect(self, meter: Meter | None = None, beside: Connection | None = None) -> FastConnection: ...

    def accepted(self) -> None: ...


class Holding(Protocol):
    """Processes of ours that hold connections (:mod:`.held`)."""

    @property
    def ready(self) -> bool:
        """Whether a long exchange is better done there than here."""

    def connect(self, meter: Meter) -> FastConnection | None: ...

    def brought(self, *, anything: bool) -> None:
        """A connection has ended that brought something, or nothing."""


def serve(
    client: Client, backlog: Backlog[E], budget: RequestBudget, stop: StopRequest, elsewhere: Holding | None = None
) -> None:
    """Do exchanges until no connection of this thread is needed, or the fast path fails. One connection counts as live
    already: the one that the thread was started for. What is long is done ``elsewhere`` once that is ready.

    Raises :class:`TransferStopped`, and what an exchange raises that is not the connection's.
    """
    served: dict[int, Served[E]] = {}
    poll = select.poll()
    wanted = True
    lost = 0  # connections that brought nothing, without one that did
    looked = time.monotonic()
    standstill = Standstill()

    def ended(one: Served[E]) -> None:
        nonlocal lost
        one.end()
        lost += one.lost
        if served.pop(one.number, None) is not None:
            poll.unregister(one.number)  # before another has its number

    try:
        while not stop.is_set():
            while wanted or (lost < (1 if served else _LOST_IN_A_ROW) and _admits(backlog, served)):
                wanted = False
                beside = next(iter(served.values()), None)
                one = Served(client, backlog, budget, stop, elsewhere)
                if one.begin(beside):
                    served[one.number] = one
                    poll.register(one.number, one.waits_for)
                else:
                    ended(one)
            if not served:
                break
            standstill.begin()
            ready = poll.poll(_LOOK * 1000)
            now = time.monotonic()
            if standstill.was_long():  # a name may be somebody else's by now: who sends once more looks whose it is
                for one in [one for one in served.values() if one.writes_long]:
                    ended(one)
                continue
            for number, _ in ready:
                one = served[number]
                first = not one.answered
                if one.go_on(alone=len(served) == 1):
                    poll.modify(number, one.waits_for)
                else:
                    ended(one)
                lost = 0 if first and one.answered else lost
            if now - looked > _LOOK:
                looked = now
                for one in [one for one in served.values() if one.is_silent(now)]:
                    if one.sends_much:
                        backlog.is_slow()
                    ended(one)
        backlog.given_up |= lost >= _LOST_IN_A_ROW
    finally:
        for one in served.values():
            one.end()
        backlog.thread_ended()
    if stop.is_set():
        raise TransferStopped


def _admits(backlog: Backlog[E], served: dict[int, Served[E]]) -> bool:
    """Whether to open one more: never beside a long answer, whose reader has no time for others."""
    reads_long = backlog.had_long and any(one.is_long for one in served.values())
    return not reads_long and backlog.admits(len(served))


class Served(Generic[E]):
    """One connection, which counts as live until its :meth:`end`, and what is under way on it."""

    def __init__(
        self,
        client: Client,
        backlog: Backlog[E],
        budget: RequestBudget,
        stop: StopRequest,
        elsewhere: Holding | None = None,
    ) -> None:
        self._client, self._backlog, self._budget, self._stop = client, backlog, budget, stop
        self._elsewhere, self._is_elsewhere = elsewhere, False
        self._meter = backlog.opened()
        self._connection: FastConnection | None = None
        self._under_way: deque[E] = deque()
        self.answered = self._weight = 0
        self._asked = self._ended = self._waited = False
        self._new = True
        self._sent = self._last = self._opening = self._began = 0.0
        self._since = time.monotonic()
        self.number = -1
        self.lost = False
        """It has ended and brought nothing, though it was needed."""

    @property
    def waits_for(self) -> int:
        assert self._connection is not None
        return self._connection.waits_for

    @property
    def is_long(self) -> bool:
        return self._weight > len(self._under_way)

    @property
    def writes_long(self) -> bool:
        """Whether a long request that writes is under way."""
        return self.is_long and not all(one.reads for one in self._under_way)

    @property
    def sends_much(self) -> bool:
        """Whether a request is under way that writes a part, or an object of a megabyte and more."""
        return any(one.weight >= _MUCH and not one.reads for one in self._under_way)

    def is_silent(self, now: float) -> bool:
        if not self._asked:
            return now - self._since > http1.CONNECT_TIMEOUT
        return now - self._since > (http1.LONG_SILENCE if self.sends_much else http1.SILENCE)

    def begin(self, beside: Served[E] | None) -> bool:
        """Connect, without waiting if it can be done ``beside`` another; returns whether it lives."""
        return self._survives(lambda: self._connect(beside))

    def go_on(self, *, alone: bool) -> bool:
        """Do all that can be done without waiting for the store; returns whether it lives on."""
        return self._survives(lambda: self._go_on(alone))

    def end(self, *, broken: bool = True) -> None:
        if self._ended:
            return
        self._ended = True
        if self._connection is not None:
            self._connection.close()
        self._is_no_longer_new()
        self._backlog.closed(self._meter)
        self._backlog.give_back(self._under_way, self.answered, broken=broken)
        self._backlog.ended()
        lost = not self.answered and (bool(self._under_way) or not self._asked)
        self.lost = lost and not self._is_elsewhere  # of which the fast path is independent
        if self._elsewhere is not None and self._is_elsewhere and (lost or self.answered):
            self._elsewhere.brought(anything=not lost)

    def _survives(self, work: Callable[[], bool]) -> bool:
        """Whether the connection does, after ``work`` that says so unless something unusual happens."""
        lives = broken = True
        try:
            lives = work()
        except NeedsFallback as refused:
            lives = broken = False
            self._refused(refused)
        except OSError:
            lives = False  # the connection's end; what it did not answer is given back
        except BaseException:
            self.end()
            raise
        if not lives:
            self.end(broken=broken)
        return lives

    def _connect(self, beside: Served[E] | None) -> bool:
        began = time.monotonic()
        if self._elsewhere is not None and self._belongs_elsewhere:
            self._connection = self._elsewhere.connect(self._meter)
            self._is_elsewhere = self._connection is not None
        if self._connection is None:
            self._connection = self._client.connect(self._meter, beside._connection if beside is not None else None)
        self.number = self._connection.fileno()
        self._opening = time.monotonic() - began
        self._waited = beside is not None
        return self._waited or self._go_on(alone=True)

    def _go_on(self, alone: bool) -> bool:
        connection = self._connection
        assert connection is not None
        if not self._asked:
            began = time.monotonic()
            self._asked = connection.opened()
            self._opening += time.monotonic() - began
            if not self._asked:
                return True
            self._since = time.monotonic()
            if self._waited:
                self._backlog.worked_to_open(self._opening)
            if not self._ask(connection, alone):
                return False
            self._since = time.monotonic()  # to send it may have taken long, and was no silence
        while not self._stop.is_set() and connection.arrived():
            began = time.monotonic()
            if not self._take(connection, began) or not self._ask(connection, alone):
                return False
            self._since = time.monotonic()
            self._backlog.worked(self._since - began)
        return True

    def _ask(self, connection: FastConnection, alone: bool) -> bool:
        """Send what may be sent ahead; returns whether anything is under way, else the connection is not needed."""
        while batch := self._more(alone):
            if not self._under_way:
                self._began = time.monotonic()
            self._under_way.extend(batch)
            self._budget.spend(len(batch), self._stop)
            for exchange in batch:
                try:
                    exchange.send(connection)
                    self._weight += exchange.weight
                except NeedsFallback:
                    self._under_way.remove(exchange)
                    self._backlog.leave(exchange)
            connection.flush()
            if self._under_way:
                self._sent = self._sent if self._last else time.monotonic()
                break  # else none of those was for the fast path
        return bool(self._under_way)

    @property
    def _belongs_elsewhere(self) -> bool:
        return self._elsewhere is not None and self._backlog.has_long and self._elsewhere.ready

    def _more(self, alone: bool) -> list[E]:
        if self._is_elsewhere != self._belongs_elsewhere:
            return []  # another is opened in its place
        batch = self._backlog.more(self._weight, len(self._under_way), alone=alone)
        self._is_no_longer_new()
        return batch

    def _is_no_longer_new(self) -> None:
        if self._new:
            self._new = False
            self._backlog.asked()

    def _take(self, connection: FastConnection, now: float) -> bool:
        """Take the next answer; returns whether there may be others behind it."""
        answer = connection.answer()
        if self._last:
            self._backlog.answered(self.answered + 1, gap=now - self._last)
        else:
            self._backlog.answered(self.answered + 1, lag=now - self._sent, link=connection.link)
        self._under_way[0].take(connection, answer)
        self._backlog.settled(self._meter, now - self._began)
        self._began = now
        self.answered += 1  # not with its head alone: a body that breaks off each time is to be given up
        self._client.retry_window.served()
        self._client.accepted()  # a refusal is an answer, too, but not taken
        self._weight -= self._under_way.popleft().weight
        self._last = time.monotonic() if self._under_way else 0.0
        return not answer.is_last

    def _refused(self, why: NeedsFallback) -> None:
        """The fast path is no place for the first that is under way, or not now."""
        if self._under_way and why.busy:
            self._budget.complaint()
            self._backlog.refused(self._under_way.popleft())
            if time.monotonic() - self._client.retry_window.failed() > _UNSERVED:
                self._backlog.leave_all()
        elif self._under_way:
            self._backlog.leave(self._under_way.popleft())
