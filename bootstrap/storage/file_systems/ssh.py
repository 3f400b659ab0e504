"""Connections to one SSH server: as few as serve all threads, and begun one after the other.

OpenSSH's server gives a connection ten sessions (``MaxSessions``). From ten connections on that have not logged in yet
it drops some of the next at random (``MaxStartups 10:30:100``). So each connection carries the sessions of several
threads, and only one of ours logs in at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import paramiko

_SESSIONS = 8
"""Of one connection; the rest of sshd's ten is for what else may share it."""
_SILENCE = 60.0  # seconds for an answer


@dataclass(slots=True)
class _Session:
    client: paramiko.SFTPClient
    owner: threading.Thread

    @property
    def ended(self) -> bool:
        return bool(self.client.get_channel().closed)


class _Link:
    """A connection, and the sessions in it; ``opening`` are on their way."""

    def __init__(self, client: paramiko.SSHClient) -> None:
        self.client = client
        self.opening = 0
        self.sessions: list[_Session] = []

    @property
    def alive(self) -> bool:
        transport = self.client.get_transport()
        return transport is not None and transport.is_active()

    def session(self) -> _Session:
        transport = self.client.get_transport()
        if transport is None:
            raise paramiko.SSHException("the connection has ended")
        transport.channel_timeout = _SILENCE  # an hour without
        channel = transport.open_session()
        channel.settimeout(_SILENCE)
        # paramiko waits for the answer to this one for ever, whatever the time-out
        silence = threading.Timer(_SILENCE, _close, (channel,))
        silence.daemon = True
        silence.start()
        try:
            channel.invoke_subsystem("sftp")
            return _Session(paramiko.SFTPClient(channel), threading.current_thread())
        except BaseException:
            channel.close()
            raise
        finally:
            silence.cancel()


class Sessions:
    """Sessions of SFTP, one for each thread that asks. ``connect`` makes a connection that has logged in."""

    def __init__(self, connect: Callable[[], paramiko.SSHClient]) -> None:
        self._connect = connect
        self._most = _SESSIONS
        self._links: list[_Link] = []
        self._own = threading.local()
        self._lock = threading.Lock()

    def own(self) -> paramiko.SFTPClient:
        """This thread's session: its own, that of a thread which has ended, or a new one."""
        found: _Session | None = getattr(self._own, "session", None)
        if found is None or found.ended:
            found = self._own.session = self._found()
        return found.client

    def _found(self) -> _Session:
        while True:
            with self._lock:
                if found := self._left_by_others():
                    return found
                link = next((link for link in self._links if len(link.sessions) + link.opening < self._most), None)
                if link is None:
                    return self._begin()
                link.opening += 1
            try:
                found = link.session()
            except (
                paramiko.SSHException
            ):  # a server that gives fewer; of refusals at once paramiko says why to one only
                with self._lock:
                    self._most = max(1, min(self._most, len(link.sessions)))
            finally:
                with self._lock:
                    link.opening -= 1
                    if found is not None:
                        link.sessions.append(found)
            if found is not None:
                return found

    def _left_by_others(self) -> _Session | None:
        self._links = [link for link in self._links if link.alive]
        for link in self._links:
            link.sessions = [session for session in link.sessions if not session.ended]
            for session in link.sessions:
                if not session.owner.is_alive():
                    session.owner = threading.current_thread()
                    return session
        return None

    def _begin(self) -> _Session:
        """A session in a new connection. Others wait meanwhile, and find room in it."""
        link = _Link(self._connect())
        try:
            link.sessions.append(link.session())
        except BaseException:
            link.client.close()  # which ends its thread
            raise
        self._links.append(link)
        return link.sessions[0]


def _close(channel: paramiko.Channel) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):  # the connection has ended meanwhile
        channel.close()
