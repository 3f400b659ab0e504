"""Whether a port of another node answers: launchers whose head must be up first are started only then."""

from __future__ import annotations

import socket

from ..errors import PeersMissing
from ..ground.wait import Wait
from ..job import Log, StopRequest

_ONE_TRY = 5.0  # seconds


def wait_for_port(host: str, port: int, *, deadline_s: float, stop: StopRequest, log: Log) -> None:
    """Return once ``host`` accepts connections at ``port``.

    Raises :class:`PeersMissing` after ``deadline_s`` seconds, with the last reason, or when a stop was asked for.
    """
    wait = Wait("waiting for a port", deadline_s=deadline_s, stop=stop, log=log, longest=2.0)
    while True:
        try:
            with socket.create_connection((host, port), timeout=max(0.1, min(_ONE_TRY, wait.left))):
                return
        except OSError as error:
            why = error.strerror or str(error)
        if not wait.again(host=host, port=port, why=why):
            raise PeersMissing(
                f"a port of another node does not answer{wait.cause}",
                where=f"{host}, port {port}",
                why=f"{why}, after {wait.elapsed:.0f} s",
                remedy="look at that node's log, and whether this job's nodes may reach the port",
            )
