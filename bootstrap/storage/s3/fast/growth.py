"""How many connections make a transfer faster: more while the sum of their rates grows, fewer when the store objects.

A store answers the requests of one connection one after the other. Requests sent ahead hide the latency of the link,
and never the time that the store thinks: that only more connections do. How many is a question to the store, so it is
asked by trying. A step multiplies the connections, and is kept if the work done in a second grew with it; else it is
taken back, and tried again after a while, since other tenants come and go.

Nothing here does any work or looks at a clock: numbers in, numbers out.
"""

from __future__ import annotations

MOST = 256
"""Connections of one transfer. s5cmd's default is as many."""

_STEP = 2
_LONG_STEP = 4  # while nearly all that was added came out as rate
_GREW = 1.15  # times the rate before a step, for it to be kept
_GREW_WELL = 2.0
_CHANCES = 2  # windows in which a step may show what it is worth: one alone may fall into a bad moment
_BUSY = 0.75  # of a core is what one thread of Python has: beyond that, threads only fight for the interpreter
_FIRST_REST, _LONGEST_REST = 1.0, 30.0  # seconds before a step that was taken back is tried again
_BUSY_WITH = 4  # connections that a process is not kept from its work by
_LEAST_WINDOW = 0.02  # seconds over which a rate is taken, at least
_LAGS = 1.5  # the window in times from a request to its answer: whoever was added has answered once by then

_MANY_CORES = 4
_CORES_EACH = 2  # a process that decrypts does so on one, and the kernel works for it on another
_MOST_PROCESSES = 4  # each takes some 20 MB


def processes_for(cores: float) -> int:
    """How many that decrypt are of use on so many cores."""
    return min(_MOST_PROCESSES, int(cores) // _CORES_EACH) if cores >= _MANY_CORES else 0


class Growth:
    """The number of connections to have, ``target``, from one look to the next."""

    def __init__(self, start: int, most: int = MOST) -> None:
        self._most = max(1, most)
        self.target = min(max(1, start), self._most)
        self._before, self._rate = self.target, 0.0  # connections, and work in a second, before the last step
        self._chances = 0  # windows in which the last step may still prove itself; 0: none is being tried
        self._since = -1.0  # the window's beginning, and what had been done by then
        self._work = self._cpu = 0.0
        self._was_busy = False
        self._rest, self._rests_until = _FIRST_REST, 0.0

    def look(self, now: float, work: float, lag: float, *, cpu: float, processes: int = 1, window: float = 0.0) -> int:
        """The number of connections to have from now on.

        ``work`` is any measure of what was done since the beginning that only grows (bytes, and a constant for each
        answer), ``cpu`` the seconds that its ``processes`` have used since then, ``lag`` how many seconds an answer
        takes; ``window``: seconds over which rates are taken, if more than the lag asks for.
        """
        if self._since < 0:
            self._begin(now, work, cpu)
        took = now - self._since
        if took < max(_LEAST_WINDOW, _LAGS * lag, window) or work <= self._work:
            return self.target
        rate, busy = (work - self._work) / took, (cpu - self._cpu) / took / processes > _BUSY
        if self._chances:
            self._judge(rate, now, busy)
        elif busy and self._was_busy and self.target > _BUSY_WITH * processes:
            self.target = max(_BUSY_WITH * processes, self.target * 3 // 4)  # what they bring waits for us
        elif now >= self._rests_until:
            self._step(rate, busy, _STEP)
        self._was_busy = busy
        self._begin(now, work, cpu)
        return self.target

    def jump(self, target: int, rate: float) -> None:
        """Take a first step at once, from a ``rate`` that was seen: to be kept or taken back as any other."""
        if target > self.target:
            self._before, self._rate, self._chances = self.target, rate, _CHANCES
            self.target = min(self._most, target)
            self._since = -1.0

    def too_many(self, now: float) -> int:
        """The store said that it is asked too much: half of them, and no more for a while."""
        if now >= self._rests_until or self._chances:  # else it is said of the same moment
            self.target = self._before = max(1, self.target // 2)
            self._take_rest(now)
            self._since = -1.0
        return self.target

    def _begin(self, now: float, work: float, cpu: float) -> None:
        self._since, self._work, self._cpu = now, work, cpu

    def _judge(self, rate: float, now: float, busy: bool) -> None:
        """Whether the step just taken was worth it."""
        self._chances -= 1
        if rate >= self._rate * _GREW:
            self._chances, self._rest = 0, _FIRST_REST
            self._step(rate, busy, _LONG_STEP if rate >= self._rate * _GREW_WELL else _STEP)
        elif not self._chances:
            self.target = self._before  # no better, or worse: whoever came last goes
            self._take_rest(now)

    def _step(self, rate: float, busy: bool, factor: int) -> None:
        target = min(self._most, self.target * factor)
        if target > self.target and not busy:
            self._before, self._rate, self.target, self._chances = self.target, rate, target, _CHANCES

    def _take_rest(self, now: float) -> None:
        self._chances = 0
        self._rests_until = now + self._rest
        self._rest = min(_LONGEST_REST, 2 * self._rest)
