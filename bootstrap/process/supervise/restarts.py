"""A command that resumes may be started again, some times, for causes that are worth it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from ...errors import CannotStart
from ...ground.backoff import Backoff
from ...job import AskedBy, Ending, Log
from ...values import replace
from ..stop.signals import Signals
from .launch import Launch
from .supervisor import supervise

RESTARTS = "BOOTSTRAP_RESTARTS"  # in the command's environment: how often it was started again
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
LONG_LIFE = 600.0  # seconds; after a life as long, the back-off begins anew

# exit statuses that say "not like this": wrong usage, not executable, not found, and NVIDIA's "do not restart"
HOPELESS = frozenset({2, 93, 126, 127})


def worth_a_retry(ending: Ending) -> bool:
    """Whether starting again may help: it failed, by itself, by a stall or by the kernel, and not for wrong usage."""
    if ending.succeeded or ending.status in HOPELESS:
        return False
    return ending.asked_by in (AskedBy.NOBODY, AskedBy.UNKNOWN, AskedBy.KERNEL, AskedBy.STALL)


def _nothing(ending: Ending | None) -> Mapping[str, str]:
    return {}


def supervise_with_restarts(
    launch: Launch,
    signals: Signals,
    log: Log,
    *,
    max_restarts: int = 0,
    retry: Callable[[Ending], bool] = worth_a_retry,
    refresh: Callable[[Ending | None], Mapping[str, str]] = _nothing,
) -> Ending:
    """Run the command, and again up to ``max_restarts`` times while ``retry`` says that its ending is worth it.

    The delay before a restart doubles from 1 s to 60 s. ``launch.timeout`` bounds all lives together. The ending is
    the last life's, with the first one's start, the number of lives, and how each life before ended among its notes.
    ``refresh`` gives variables that are new for each life but the first, by how the one before ended.
    Raises what :func:`supervise` raises; CannotStart only when no restart is left.
    """
    deadline = time.monotonic() + launch.timeout if launch.timeout else math.inf
    first_started = time.time()
    history: list[str] = []
    ending: Ending | None = None
    delays, attempt = Backoff(FIRST_DELAY, LONGEST_DELAY, spread=0.0), 0
    while True:
        attempt += 1
        last = attempt > max_restarts
        left = None if deadline == math.inf else max(0.001, deadline - time.monotonic())
        newer = refresh(ending) if attempt > 1 else {}
        life = replace(launch, environ={**launch.environ, **newer, RESTARTS: str(attempt - 1)}, timeout=left)
        result: Ending | CannotStart
        try:
            ending = supervise(life, signals, log)
        except CannotStart as error:
            if last or signals.stop.is_set():
                raise
            result = error
            ending = None
            history.append(f"attempt {attempt}: {error}")
        else:
            if ending.ended - ending.started >= LONG_LIFE:
                delays.reset()
            result = replace(ending, started=first_started, attempts=attempt, notes=(*history, *ending.notes))
            if last or signals.stop.is_set() or not retry(ending):
                return result
            history += [*ending.notes, f"attempt {attempt}: {ending}"]
        delay = delays.next()
        log.warning(
            f"starting the command again ({attempt + 1} of {max_restarts + 1})", after=history[-1], in_seconds=delay
        )
        over = time.monotonic() + delay >= deadline
        if over or signals.stop.wait(delay):
            if isinstance(result, CannotStart):
                raise result
            return result
