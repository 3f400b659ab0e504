"""SFTP as fsspec has it, with three differences.

Servers must be known: fsspec takes any, also that of somebody in between. A thread has a session of its own in a
connection that several share. And many requests are under way at once where fsspec waits for the answer to each 32 KiB.
"""

from __future__ import annotations

import errno
import io
from collections import deque
from collections.abc import Iterator
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko.sftp import CMD_DATA, CMD_READ, SFTP_EOF, int64

from .ssh import Sessions

_TIMEOUT = 15.0  # seconds for a connection, its banner and its login, each
_REQUEST = 32 << 10  # bytes that every server gives at once
_AHEAD = 64  # requests that are under way at once for a file: 2 MiB, paramiko's window for a session


class KnownHostsOnly(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The keys are those of ``~/.ssh/known_hosts`` and ``/etc/ssh/ssh_known_hosts``. For any number of threads."""

    def _connect(self) -> None:
        self._sessions = Sessions(self._logged_in)
        self._sessions.own()

    @property
    def ftp(self) -> paramiko.SFTPClient:
        """What fsspec's methods work with."""
        return self._sessions.own()

    def _logged_in(self) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        try:
            client.load_system_host_keys("/etc/ssh/ssh_known_hosts")
        except OSError:
            pass  # most have none
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        limits = {"timeout": _TIMEOUT, "banner_timeout": _TIMEOUT, "auth_timeout": _TIMEOUT}
        try:
            client.connect(self.host, **{**limits, **self.ssh_kwargs})
        except BaseException:
            client.close()  # which ends its thread
            raise
        return client

    def pieces(self, path: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``start`` to ``end`` of a file, in order; an empty piece where it has no more."""
        session = self.ftp
        with session.open(path, "rb") as file:
            yield from _Ahead(session, file).pieces(start, end)

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        self.ftp.putfo(io.BytesIO(value), path, confirm=False)  # our store looks at what is there

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **kwargs: Any) -> None:
        self.ftp.put(lpath, rpath, confirm=False)

    def makedirs(self, path: str, exist_ok: bool = False, mode: int = 0o777) -> None:
        """Make a directory and those above it, while others make the same ones: whose ``mkdir`` comes second is only
        told "Failure" by the server (SFTP version 3 has no word for "it exists").
        """
        if exist_ok and self.isdir(path):
            return
        missing = []
        while path.strip("/") and not self.isdir(path):
            missing.append(path)
            path = self._parent(path)
        for directory in reversed(missing):
            try:
                self.ftp.mkdir(directory, mode)
            except OSError:
                if not self.isdir(directory):
                    raise
        if not missing and not exist_ok:
            raise FileExistsError(errno.EEXIST, "it exists", path)

    def replace(self, source: str, target: str) -> None:
        """Rename over what is there (OpenSSH's extension; plain SFTP refuses)."""
        self.ftp.posix_rename(source, target)


class _Ahead:
    """A file read with many requests under way. paramiko's own way (``prefetch``) starts a thread for each, which tells
    our stderr when the connection ends, looks through all of them for each answer, and keeps what nobody has read yet
    without a bound; this one uses the two methods that it is built on.
    """

    def __init__(self, session: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
        self._session, self._file = session, file
        self._came: dict[int, bytes] = {}

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        under_way: deque[tuple[int, int, int]] = deque()
        ask = start
        while ask < end or under_way:
            while ask < end and len(under_way) < _AHEAD:
                size = min(_REQUEST, end - ask)
                number = self._session._async_request(self, CMD_READ, self._file.handle, int64(ask), size)
                under_way.append((number, ask, size))
                ask += size
            number, at, size = under_way.popleft()
            while number not in self._came:
                self._session._read_response()
            piece = self._came.pop(number)
            yield piece
            if piece and len(piece) < size:  # a server may give less; what is missing is asked for alone
                self._file.seek(at + len(piece))
                yield self._file.read(size - len(piece))

    def _async_response(self, kind: int, answer: paramiko.Message, number: int) -> None:
        """paramiko hands over what came."""
        if kind == CMD_DATA:
            self._came[number] = answer.get_string()
            return
        code, text = answer.get_int(), answer.get_text()
        if code != SFTP_EOF:
            raise OSError(text)
        self._came[number] = b""
