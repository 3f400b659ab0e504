"""Errands over the fast lane: requests sent ahead on a few connections, answers taken in their order.

What the lane cannot do is left over, never lost: an errand ends with its ``take``, or is left for boto3.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from bootstrap.job import StopRequest
from bootstrap.storage.pace import Pace
from bootstrap.storage.wire import Answer, Connection, Unusual
from bootstrap.storage.workers import TransferStopped

if TYPE_CHECKING:
    from bootstrap.storage.lane import Lane

_AHEAD = 32
"""How much may be on its way on one connection, in units of an errand's weight."""

BUSY = (429, 503)
"""What stores answer when it is too much for them."""

_TRIES = 2  # on the lane; the client of record has its own
_STRIKES = 3  # connections in a row that brought nothing
_FEW = 8  # connections do, when many requests are on their way on each
_LOOK = 0.02  # seconds between two looks at whether one connection more would be of use
_BUSY = 0.75  # of a core is what one thread of Python has: beyond that, threads only fight for the interpreter
_WELL = 64  # answers after which a connection may be sent more ahead

MOST_RIDES = 16
"""Connections of one transfer over the lane, the spare ones included."""


class Errand:
    """One exchange. Both methods may raise :class:`Unusual`, and ``OSError`` for what the connection does; trouble that
    is not the connection's has to come as another class, and ends the ride.
    """

    __slots__ = ("tries",)

    weight: int = 1

    def __init__(self) -> None:
        self.tries = 0

    def send(self, lane: Lane, connection: Connection) -> None:
        """Write the request. When it raises :class:`Unusual`, nothing must have been written."""
        raise AssertionError("every kind of errand has its own")

    def take(self, connection: Connection, answer: Answer) -> None:
        """Read the answer to its end, and finish the work."""
        raise AssertionError("every kind of errand has its own")


E = TypeVar("E", bound=Errand)


class _Load:
    """How much of a core this process used since the last look that counted."""

    def __init__(self) -> None:
        self._used, self._then = time.process_time(), time.monotonic()

    def was_low(self) -> bool:
        used, then = time.process_time(), time.monotonic()
        if then - self._then < _LOOK:
            return False
        share = (used - self._used) / (then - self._then)
        self._used, self._then = used, then
        return share < _BUSY


class Errands(Generic[E]):
    """What is to be done, shared by all rides; and what is left over."""

    def __init__(self, waiting: Iterable[E]) -> None:
        self._left: list[E] = []
        self._waiting = deque(waiting)
        self._lock = threading.Lock()
        self._ahead = _AHEAD
        self._news = threading.Event()  # a connection has ended
        self.hopeless = False  # a ride has found that the lane does not work

    def __len__(self) -> int:
        return len(self._waiting)

    def more(self, under_way: int) -> list[E]:
        """As many as may still be sent on a connection with so much weight under way."""
        batch: list[E] = []
        if under_way > self._ahead // 2:
            return batch
        with self._lock:
            while self._waiting and under_way < self._ahead:
                under_way += self._waiting[0].weight
                batch.append(self._waiting.popleft())
        return batch

    def rides(self, heavy: int, stop: StopRequest) -> Iterator[int]:
        """A number for each connection when it comes to be of use.

        At once: the first, and one for each of so many ``heavy`` errands. One more whenever the process was idle, which
        means waiting for the network; the spare ones when it turns out that this server wants few requests sent ahead.
        """
        most = min(MOST_RIDES, len(self._waiting))
        yield from range(min(most, 1 + heavy))
        load = _Load()
        for number in range(1 + heavy, most):
            spare = number >= _FEW + heavy
            while self._ahead > _FEW:
                self._news.wait(None if spare else _LOOK)
                self._news.clear()
                if not self._waiting or self.hopeless or stop.is_set():
                    return
                if not spare and load.was_low():
                    break
            yield number

    def went_well(self) -> None:
        """A connection has brought many answers: more may be sent ahead again."""
        with self._lock:
            self._ahead = min(_AHEAD, self._ahead * 2)

    def give_back(self, unanswered: Iterable[E], answered: int, *, broken: bool) -> None:
        """Errands of a connection that ended after so many answers, or broke. They are done again, or left over.

        A server that hangs up early may not like requests sent ahead, so it is sent fewer.
        """
        errands = list(unanswered)
        with self._lock:
            if broken and len(errands) > 1 and answered <= 1:
                self._ahead = max(1, self._ahead // 4)
            for errand in reversed(errands):
                errand.tries += broken and answered == 0
                if errand.tries < _TRIES:
                    self._waiting.appendleft(errand)
                else:
                    self._left.append(errand)
        self._news.set()

    def leave(self, errand: E) -> None:
        """The lane is no place for this one."""
        with self._lock:
            self._left.append(errand)

    def left_over(self) -> list[E]:
        """Everything that is not done, now that all rides have ended."""
        with self._lock:
            self._left.extend(self._waiting)
            self._waiting.clear()
            return self._left


def ride(lane: Lane, errands: Errands[E], pace: Pace, stop: StopRequest) -> None:
    """Do errands on one connection, or on the next when it ends, until there are none or the lane does not work."""
    strikes = 0
    while len(errands) and strikes < _STRIKES:
        answered = _ride_once(lane, errands, pace, stop)
        if answered:
            lane.worked()
        strikes = 0 if answered else strikes + 1
    errands.hopeless |= strikes == _STRIKES


def _ride_once(lane: Lane, errands: Errands[E], pace: Pace, stop: StopRequest) -> int:
    """One connection's life; returns how many answers it brought."""
    under_way: deque[E] = deque()
    answered = weight = 0
    broken = True
    connection: Connection | None = None
    try:
        connection = lane.connect()
        while not stop.is_set():
            batch = errands.more(weight)
            under_way.extend(batch)
            pace.spend(len(batch), stop)
            for errand in batch:
                try:
                    errand.send(lane, connection)
                    weight += errand.weight
                except Unusual:
                    under_way.remove(errand)
                    errands.leave(errand)
            connection.flush()
            if not under_way:
                if len(errands):
                    continue  # none of those was for the lane
                return answered
            answer = connection.answer()
            under_way[0].take(connection, answer)
            weight -= under_way.popleft().weight
            answered += 1
            if answered % _WELL == 0:
                errands.went_well()
            if answer.is_last:
                return answered
    except Unusual as unusual:
        broken = False
        if unusual.status in BUSY:
            pace.complaint()
        if under_way:
            errands.leave(under_way.popleft())
    except OSError:
        pass  # the connection's end; what it did not answer is given back
    finally:
        if connection is not None:
            connection.close()
        errands.give_back(under_way, answered, broken=broken)
    if stop.is_set():
        raise TransferStopped
    return answered
