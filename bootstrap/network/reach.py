"""Whether a port of another node answers: launchers whose head must be up first are started only then."""

from __future__ import annotations

import socket
import time

from ..errors import PeersMissing
from ..job import Log, StopRequest

_ONE_TRY, _FIRST_PAUSE, _LONGEST_PAUSE, _SAY_AFTER = 5.0, 0.1, 2.0, 5.0


def wait_for_port(host: str, port: int, *, deadline_s: float, stop: StopRequest, log: Log) -> None:
    """Return once ``host`` accepts connections at ``port``.

    Raises :class:`PeersMissing` after ``deadline_s`` seconds, with the last reason, or when a stop was asked for.
    """
    started = time.monotonic()
    end, pause, said, why = started + deadline_s, _FIRST_PAUSE, started, "no attempt was made"
    while not stop.is_set():
        try:
            with socket.create_connection((host, port), timeout=max(0.1, min(_ONE_TRY, end - time.monotonic()))):
                return
        except OSError as error:
            why = error.strerror or str(error)
        now = time.monotonic()
        if now + pause > end:
            break
        if now - said > _SAY_AFTER:
            said = now
            log.info("waiting for a port", host=host, port=port, why=why, left_s=round(end - now))
        stop.wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    raise PeersMissing(
        "A port of another node does not answer" + (" (asked to stop)" if stop.is_set() else ""),
        where=f"{host}, port {port}",
        why=f"{why}, after {time.monotonic() - started:.0f} s",
        remedy="look at that node's log, and whether this job's nodes may reach the port",
    )
