"""One way to wait for what no event announces: facts of /proc, files of other processes, requests to a store."""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable
from typing import Any

LIMIT = 60.0  # seconds for what should take two


def until(what: Callable[[], Any], why: object = None, *, limit: float = LIMIT, pause: float = 0.02) -> Any:
    """What ``what`` returns once it is true. After ``limit`` seconds the test fails, and says what did not become true:
    ``why`` (if it can be called, what it returns then), else the line that waits.
    """
    deadline = time.monotonic() + limit
    while not (found := what()):
        if time.monotonic() > deadline:
            told = why() if callable(why) else why
            raise AssertionError(f"{told or _line_of_the_caller()} [after {limit:g} s; last: {found!r}]")
        time.sleep(pause)
    return found


def _line_of_the_caller() -> str:
    frame = sys._getframe(2)
    return "not true: " + linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
