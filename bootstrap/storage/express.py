"""Errands over the fast lane: requests sent ahead on a few connections, answers taken in their order.

What the lane cannot do is left over, never lost: an errand ends in its ``take`` having returned, or in ``left``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bootstrap.job import StopRequest
from bootstrap.storage.lane import Lane
from bootstrap.storage.wire import Answer, Connection, Unusual
from bootstrap.storage.workers import TransferStopped

_AHEAD = 32
"""How much may be on its way on one connection, in units of :attr:`Errand.weight`."""

_TRIES = 2  # on the lane; the client of record has its own
_STRIKES = 3  # connections in a row that brought nothing


@dataclass(eq=False, slots=True)
class Errand:
    """One exchange. ``send`` writes the request; ``take`` reads the answer to its end and finishes the work.

    Both may raise :class:`Unusual`, and ``OSError`` for what the connection does. Trouble that is not the connection's
    has to come as another class; it ends the ride.
    """

    send: Callable[[Connection], None]
    take: Callable[[Connection, Answer], None]
    weight: int = 1
    tries: int = 0


class Errands:
    """What is to be done, shared by all rides; and what is left over."""

    def __init__(self, waiting: Iterable[Errand]) -> None:
        self.left: list[Errand] = []
        self._waiting = deque(waiting)
        self._lock = threading.Lock()
        self._ahead = _AHEAD

    def __len__(self) -> int:
        return len(self._waiting)

    def more(self, under_way: int) -> list[Errand]:
        """As many as may still be sent on a connection with so much weight under way."""
        batch: list[Errand] = []
        if under_way > self._ahead // 2:
            return batch
        with self._lock:
            while self._waiting and under_way < self._ahead:
                under_way += self._waiting[0].weight
                batch.append(self._waiting.popleft())
        return batch

    def give_back(self, unanswered: Iterable[Errand], answered: int) -> None:
        """Errands of a connection that ended after so many answers. They are done again, or left after a few times."""
        errands = list(unanswered)
        with self._lock:
            if len(errands) > 1 and answered <= 1:
                self._ahead = 1  # a server that does not like requests sent ahead
            for errand in reversed(errands):
                errand.tries += answered == 0
                if errand.tries < _TRIES:
                    self._waiting.appendleft(errand)
                else:
                    self.left.append(errand)

    def leave(self, errand: Errand) -> None:
        """The lane is no place for this one."""
        with self._lock:
            self.left.append(errand)

    def leave_all(self) -> list[Errand]:
        """Everything that is left, now that all rides have ended."""
        with self._lock:
            self.left.extend(self._waiting)
            self._waiting.clear()
            return self.left


def ride(lane: Lane, errands: Errands, stop: StopRequest) -> None:
    """Do errands on one connection, or on the next when it ends, until there are none or the lane does not work."""
    strikes = 0
    while len(errands) and strikes < _STRIKES:
        under_way: deque[Errand] = deque()
        answered = _ride_once(lane, errands, under_way, stop)
        errands.give_back(under_way, answered)
        if answered:
            lane.worked()
        strikes = 0 if answered else strikes + 1


def _ride_once(lane: Lane, errands: Errands, under_way: deque[Errand], stop: StopRequest) -> int:
    """One connection's life; returns how many answers it brought. What was not answered stays in ``under_way``."""
    answered = weight = 0
    connection: Connection | None = None
    try:
        connection = lane.connect()
        while not stop.is_set():
            batch = errands.more(weight)
            under_way.extend(batch)
            for errand in batch:
                weight += errand.weight
                errand.send(connection)
            connection.flush()
            if not under_way:
                return answered
            answer = connection.answer()
            under_way[0].take(connection, answer)
            weight -= under_way.popleft().weight
            answered += 1
            if answer.is_last:
                return answered
    except Unusual:
        if under_way:
            errands.leave(under_way.popleft())
    except OSError:
        pass  # the connection's end; what it did not answer is given back
    finally:
        if connection is not None:
            connection.close()
    if stop.is_set():
        raise TransferStopped
    return answered
