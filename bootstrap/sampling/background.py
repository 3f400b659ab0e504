"""The thread that samples: from the command's start to its end, and no slower a start for it."""

from __future__ import annotations

import threading

from ..job import Log
from .options import SamplingOptions

_FIRST = 1.0
"""Seconds before anything is imported or read: the command's own start has the machine to itself."""


class Sampling:
    """``with`` it, samples are taken. A failure costs samples, and is a line in the debug messages."""

    def __init__(self, options: SamplingOptions, log: Log) -> None:
        self._wish, self._log = options, log
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def __enter__(self) -> Sampling:
        if self._wish.interval > 0:
            try:
                self._thread.start()
            except RuntimeError as error:  # no thread is left for us
                self._log.debug(f"no samples are taken: {error}")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(0.2)  # the last sample is written by then, unless a disk hangs

    def _run(self) -> None:
        if self._over.wait(min(_FIRST, self._wish.interval)):
            return
        try:
            from .sampler import sample

            sample(self._wish, self._over)
        except Exception as error:  # noqa: BLE001  a thread of its own, whose failure is nobody's business but its reader's
            self._log.debug(f"no more samples are taken: {type(error).__name__}: {error}")
