"""What is to be done over the fast path, shared by all connections: handed out, given back, left over; and measured."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Generic

from ....job import StopRequest
from ...model.pipeline import E, Several
from .growth import MOST, Growth
from .http1 import Meter

_AHEAD = 32
"""How much may be on its way on one connection, in units of an exchange's weight, while sending ahead is of use."""

_AHEAD_UNKNOWN = 4  # before it is known whether it is
_AHEAD_SERVED = 2  # where the server thinks about each request: one that it answers, one that is there when it has
_THINKS = 0.004  # seconds between two answers of one connection; beyond that the store is waited for, not the link
_TRIES = 2  # on the fast path; boto3 has its own
_BUSY_TRIES = 4  # the same, where the store only said that it is asked too much
_HEAVY_WINDOW = 0.2  # seconds over which a rate is taken where answers are long
_START_PER_SECOND = 5000.0  # connections for each second that the store thinks, to begin with
_MOST_UNSEEN = 64  # the same, before any answer: a listing may take longer than an object
_SLOW = 0.002  # seconds of work for an answer beyond which it is files that are waited for, not the interpreter
_LEAST_TOGETHER = 4  # connections that a thread may always serve, where the store is what is waited for
_LOOK = 0.02  # seconds between two looks at how many connections there should be
_WELL = 64  # answers after which a connection may be sent more ahead again
_ANSWER = 1 << 16  # what an answer counts for beside its bytes, in bytes


HEAVY_AT_ONCE = 16
"""Connections for so many heavy exchanges that read, before anything is known."""

_WRITERS_AT_ONCE = 32  # of those that write; a part is half as much as a piece
_ANSWERED_ONCE = 1.2  # the window in times of what a long write takes: all have been answered once by then


def alone(_left: int) -> tuple[float, int]:
    """Seconds of CPU that this process has used, of one process."""
    return time.process_time(), 1


class Waiting(Generic[E]):
    """What nobody has begun: each is made when its turn comes, where who gives them makes them then."""

    def __init__(self, exchanges: Iterable[E] = (), count: int = 0) -> None:
        self._count = count
        self._coming = iter(exchanges)
        self._again: deque[E] = deque()

    def __len__(self) -> int:
        return self._count

    def next(self) -> E:
        """The next one; there has to be one."""
        exchange = self._again.popleft() if self._again else next(self._coming)
        self._count -= 1
        return exchange

    def give_back(self, exchange: E) -> None:
        """It is the next one once more."""
        self._again.appendleft(exchange)
        self._count += 1

    def __iter__(self) -> Iterator[E]:
        while self._count:
            yield self.next()


class Backlog(Generic[E]):
    """All exchanges of one transfer. From any thread."""

    def __init__(
        self,
        waiting: Several[E],
        *,
        heavy: int = 0,
        heavy_at_once: int = HEAVY_AT_ONCE,
        start: int = 0,
        thinks: float = 0.0,
        opening: float = 0.0005,
    ) -> None:
        """``heavy`` of them are worth a connection each, ``heavy_at_once`` before anything is known. ``start`` is how
        many connections an earlier transfer found to be right, ``thinks`` how many seconds the store thought about what
        it was asked last; 0: not known. ``opening``: seconds of work for a connection, until it is measured.
        """
        self._left: list[E] = []
        self._later: list[Waiting[E]] = []
        made = sorted(waiting, key=lambda one: one.weight == 1) if isinstance(waiting, list) else waiting
        coming, long = iter(made), deque[E]()
        first = next(coming, None)
        while first is not None and first.weight > 1:  # the long ones come first, as who gives them knows
            long.append(first)
            first = next(coming, None)
        self.reads = bool(long) and all(one.reads for one in long)
        """Whether the long ones may be done by another process of ours."""
        self.had_long = bool(long)
        begun = () if first is None else (first,)
        self._long, self._short = Waiting(long, len(long)), Waiting(chain(begun, coming), len(waiting) - len(long))
        self._lock = threading.Lock()
        self._most_ahead = _AHEAD
        self._gap = self.lag = 0.0  # seconds between two answers of one connection, and from a request to its answer
        self._answers = 0
        self._meters: list[Meter] = []
        self._ended = 0  # bytes of connections that are no more
        self._live = self._threads = self._new = 0  # connections, threads; connections that have not asked yet
        self._worked = 0.0  # seconds that a thread works for an answer
        self.opening = opening
        self._news = threading.Event()  # a connection has ended
        self._window = _HEAVY_WINDOW if heavy else 0.0
        self.thinks = thinks
        unseen = min(_MOST_UNSEEN, int(thinks * _START_PER_SECOND)) if thinks > _THINKS and self._short else 1
        self._writes = bool(long) and not self.reads
        at_once = _WRITERS_AT_ONCE if self._writes else heavy_at_once
        self.growth = Growth(max(start, unseen, min(1 + heavy, at_once)), min(MOST, len(self)))
        self._tried = bool(start)  # whether we know more of the store than nothing
        self.given_up = False  # a connection has found that the fast path does not work

    def __len__(self) -> int:
        return len(self._short) + len(self._long)

    @property
    def has_long(self) -> bool:
        return bool(self._long)

    # --- for a connection ---

    def more(self, under_way: int, count: int, *, alone: bool = True) -> list[E]:
        """As many as may still be sent on a connection that has ``count`` of them with this weight under way. Without
        any, one that has none under way is not needed any more. Long ones are for connections that have a thread
        ``alone``: who reads a long answer holds up all others that it serves.
        """
        ahead = self._ahead
        if under_way > ahead // 2:
            return []
        with self._lock:
            if not count and self._live > self.growth.target:
                return []
            # The last ones are for those that have nothing to do: what waits behind another waits for no good.
            share = len(self) // max(1, self._live) + (not count)
            batch: list[E] = []
            while under_way < ahead and len(batch) < share:
                waiting = self._long if alone and self._long else self._short
                if not waiting:
                    break
                batch.append(waiting.next())
                under_way += batch[-1].weight
        return batch

    @property
    def _ahead(self) -> int:
        if (self._gap or self.thinks) > _THINKS:
            return min(_AHEAD_SERVED, self._most_ahead)
        return min(_AHEAD if self._gap else _AHEAD_UNKNOWN, self._most_ahead)

    def admits(self, served: int) -> bool:
        """Whether a thread that serves so many connections is to open one more, which counts from here on."""
        with self._lock:
            if self.given_up or served >= self._together or self._live >= self._wanted:
                return False
            self._live += 1
            self._new += 1
        return True

    def asked(self) -> None:
        """A connection that counts has what it came for, or will not have it."""
        with self._lock:
            self._new -= 1

    @property
    def _wanted(self) -> int:
        """Connections that there should be: those that make it faster, as far as to open one (and to end it, and what
        the store has of it) takes less than it saves of the time that is left.
        """
        left = len(self)
        if left <= self._new:
            return self._live  # there is one for each already
        pays = MOST if self._long or self.thinks <= _THINKS else int((left * self.thinks / self.opening / 2) ** 0.5)
        return min(self.growth.target, max(1, pays))

    @property
    def _together(self) -> int:
        """How many connections one thread may serve. Threads take the interpreter from each other, so one is best as
        long as it waits for the store; but long answers, and files in a slow place, are waited for by threads.
        """
        if self._long:
            return 1
        if self._worked < _SLOW:
            return MOST
        return max(_LEAST_TOGETHER, int(self.lag / self._worked / 2))

    def worked(self, seconds: float) -> None:
        """A thread has worked so long for an answer and for what it asked next."""
        self._worked = seconds if not self._worked else 0.9 * self._worked + 0.1 * seconds

    def worked_to_open(self, seconds: float) -> None:
        """A thread has worked so long to open a connection, waiting not counted."""
        self.opening = 0.8 * self.opening + 0.2 * seconds

    def opened(self) -> Meter:
        """A connection is there; it counts on the meter."""
        meter = Meter()
        with self._lock:
            self._meters.append(meter)
        return meter

    def closed(self, meter: Meter) -> None:
        with self._lock:
            self._meters.remove(meter)
            self._ended += meter.settled if self._writes else meter.bytes

    def settled(self, meter: Meter, took: float) -> None:
        """An answer was taken, so many seconds after its request began to go."""
        meter.settled = meter.bytes
        if self._writes:
            self._window = max(_HEAVY_WINDOW, 0.8 * self._window + 0.2 * _ANSWERED_ONCE * took)

    def answered(self, number: int, *, lag: float = 0.0, gap: float = 0.0, link: float = 0.0) -> None:
        """A connection's answer of that ``number`` came, ``lag`` seconds after its request was sent, or ``gap`` seconds
        after the answer before it; 0: not measured. The link alone takes ``link`` seconds.
        """
        if lag:
            self.lag = lag if not self.lag else 0.8 * self.lag + 0.2 * lag
            thinks = lag - link  # and what a busy process needs to notice: so the shorter ones tell more
            self.thinks += (thinks - self.thinks) * (0.3 if thinks < self.thinks else 0.02 if self._tried else 1)
            if not self._tried:
                self._first_answer(lag, lag - link)
        if gap:
            self._gap = gap if not self._gap else 0.9 * self._gap + 0.1 * gap
        self._answers += 1  # a few of those of two threads at once may be lost, which is all
        if number % _WELL == 0:
            with self._lock:
                self._most_ahead = min(_AHEAD, self._most_ahead * 2)

    def _first_answer(self, lag: float, thinks: float) -> None:
        """Where the store thought about it, connections are of use, and there need not be one only to find that out.
        Of long answers it is the smaller part.
        """
        self._tried = True
        if thinks > _THINKS and self._short:
            with self._lock:
                target = min(MOST, int(thinks * _START_PER_SECOND))
                self.growth.jump(target, (_ANSWER * self._live + self._bytes()) / lag)
            self._news.set()

    def _bytes(self) -> int:
        """Of what is sent those alone count that were answered: the kernel takes megabytes for each connection, and
        would make any number of them look like a gain.
        """
        return self._ended + sum(meter.settled if self._writes else meter.bytes for meter in self._meters)

    def give_back(self, unanswered: Iterable[E], answered: int, *, broken: bool) -> None:
        """Exchanges of a connection that ended after so many answers, or broke. They are done again, or left over.

        A server that hangs up early may not like requests sent ahead, so it is sent fewer.
        """
        exchanges = list(unanswered)
        with self._lock:
            if broken and len(exchanges) > 1 and answered <= 1:
                self._most_ahead = max(1, self._most_ahead // 4)
            for exchange in reversed(exchanges):
                exchange.tries += broken and answered == 0
                self._again(exchange, _TRIES)
        self._news.set()

    def refused(self, exchange: E) -> None:
        """The store said that it is asked too much: fewer connections, and this one later."""
        with self._lock:
            self.growth.too_many(time.monotonic())
            exchange.tries += 1
            self._again(exchange, _BUSY_TRIES)

    def is_slow(self) -> None:
        """A connection brought nothing for long. What it had is sent again, and by fewer at once."""
        with self._lock:
            self.growth.too_many(time.monotonic())

    def leave(self, exchange: E) -> None:
        """The fast path is no place for this one."""
        with self._lock:
            self._left.append(exchange)

    def leave_all(self) -> None:
        """The fast path is no place for any of those that wait."""
        with self._lock:
            self._leave_all()
        self._news.set()

    def _leave_all(self) -> None:
        self._later += [self._long, self._short]
        self._long, self._short = Waiting(), Waiting()

    def _again(self, exchange: E, tries: int) -> None:
        if exchange.tries < tries:
            (self._short if exchange.weight == 1 else self._long).give_back(exchange)
        else:
            self._left.append(exchange)

    # --- for all of them ---

    def threads(self, stop: StopRequest, used: Callable[[int], tuple[float, int]] = alone) -> Iterator[int]:
        """A number for each thread when it comes to be of use, until there is nothing more for one to do. It begins
        with one connection, which is counted already. ``used`` tells the seconds of CPU used by now and by how many
        processes, and is told how many long exchanges are left.
        """
        number = 0
        while len(self) and not self.given_up and not stop.is_set():
            if self._live < self._wanted and self._threads * self._together < self._wanted:
                with self._lock:
                    self._live += 1
                    self._new += 1
                    self._threads += 1
                yield number
                number += 1
                continue
            self._news.wait(_LOOK)
            self._news.clear()
            with self._lock:
                work = self._bytes() + _ANSWER * self._answers
                cpu, processes = used(len(self._long))
                now, window = time.monotonic(), self._window
                self.growth.look(now, work, self.lag, cpu=cpu, processes=processes, window=window)

    def ended(self) -> None:
        """A connection is not there any more, and no other in its place."""
        with self._lock:
            self._live -= 1
        self._news.set()

    def thread_ended(self) -> None:
        with self._lock:
            self._threads -= 1
        self._news.set()

    def left_over(self) -> Several[E]:
        """Everything that is not done, now that all connections have ended."""
        with self._lock:
            self._leave_all()
            return Waiting(chain(self._left, *self._later), len(self._left) + sum(map(len, self._later)))
