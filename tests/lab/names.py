"""Host names for tests, without touching the machine.

A child process gets a private ``/etc/hosts`` in a mount namespace of its own (``with_hosts``); code in the test's own
process sees the names through ``resolving``, since a namespace cannot be changed under a process with threads.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

from tests.lab.stores import LabUnavailable

SCRIPT = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def with_hosts(hosts: Path, names: Iterable[str], address: str = "127.0.0.1") -> list[str]:
    """The front of an argv: what follows runs with ``names`` (and localhost) in its hosts file, written to ``hosts``.

    The process keeps its id, so signals and exit codes are the command's own. Raises LabUnavailable.
    """
    hosts.write_text(f"127.0.0.1 localhost\n{address} {' '.join(names)}\n")
    return [*_unshare(), "sh", "-c", SCRIPT, "sh", str(hosts)]


@lru_cache
def _unshare() -> tuple[str, ...]:
    words = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as problem:
        said = getattr(problem, "stderr", b"") or b""
        raise LabUnavailable(
            f"lab: no mount namespace for a private hosts file: {said.decode().strip() or problem}"
        ) from None
    return words


@contextmanager
def resolving(domain: str, address: str = "127.0.0.1") -> Iterator[None]:
    """``domain`` and every name below it are ``address`` for all threads of this process."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and (name == domain or name.endswith(f".{domain}")):
            host = address
        return real(host, *rest, **named)

    with mock.patch.object(socket, "getaddrinfo", getaddrinfo):
        yield
