"""A command that does not outlive us: whoever kills us with KILL leaves nobody to watch it.

As PID 1 the kernel ends all others with us. Elsewhere the command asks to be told of our death (``prctl(2)``); what it
has started is found by a later run (:mod:`.earlier`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from ..processes import prctl

_PR_SET_PDEATHSIG = 1


def tell_of_ours(number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """To be called between fork and exec: the new process gets ``number`` when the thread that made it ends, which has
    to be the main one. None where it is not needed, or cannot be had.
    """
    if os.getpid() == 1:
        return None
    call, parent = prctl(), os.getpid()
    if call is None:
        return None

    def ask() -> None:
        call(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # we died before the kernel knew
            os.kill(os.getpid(), number)

    return ask
