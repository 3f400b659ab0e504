"""Host names to addresses, with a deadline.

A peer's name exists only once its pod is ready (Volcano's *svc* plugin does not publish not-ready addresses), so "no
such name" is tried again like any other failure. The system's resolver is asked, as the launchers will ask it;
``RES_OPTIONS=use-vc`` in our environment makes it use TCP.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import NameUnresolved
from ..ground.wait import Wait
from ..job import Log, StopRequest

_AT_ONCE = 32  # names asked for at the same time: a job of 256 nodes must not flood its name server


def resolve(host: str, *, deadline_s: float, stop: StopRequest, log: Log) -> list[str]:
    """The addresses of ``host``, IPv4 first, within ``deadline_s`` seconds.

    Raises :class:`NameUnresolved` naming the host, the last answer and the resolver, at the deadline or when a stop
    was asked for.
    """
    wait = Wait("waiting for a name", deadline_s=deadline_s, stop=stop, log=log)
    attempts = 0
    while True:
        # One look always, however short the deadline: a name in /etc/hosts needs no time.
        answer = _ask(host, max(wait.left, 1.0), stop)
        attempts += 1
        if isinstance(answer, list):
            if attempts > 1:
                log.info("a name is there now", host=host, after_s=round(wait.elapsed, 1))
            return answer
        if not wait.again(host=host, answer=answer):
            raise NameUnresolved(
                f"the host name {host} could not be resolved" + (wait.cause or f" within {deadline_s:.3g} s"),
                where=host,
                why=f"{answer}, after {attempts} {'attempt' if attempts == 1 else 'attempts'}; resolver: {resolver()}",
            )


def resolve_all(hosts: Iterable[str], *, deadline_s: float, stop: StopRequest, log: Log) -> dict[str, list[str]]:
    """The addresses of every distinct name, asked for side by side under one deadline (seconds).

    Raises :class:`NameUnresolved`, naming all that are missing, when any is.
    """
    names = list(dict.fromkeys(host for host in hosts if host))
    found: dict[str, list[str]] = {}
    failures: list[NameUnresolved] = []
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    end = time.monotonic() + deadline_s

    def work() -> None:
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            try:
                found[name] = resolve(name, deadline_s=max(0.0, end - time.monotonic()), stop=stop, log=log)
            except NameUnresolved as error:
                failures.append(error)

    threads = [threading.Thread(target=work, name=f"resolve-{i}") for i in range(min(_AT_ONCE, len(names)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        missing = [name for name in names if name not in found]
        first = next(error for error in failures if error.where == missing[0])
        if len(missing) == 1:
            raise first
        raise NameUnresolved(
            f"{len(missing)} of {len(names)} host names could not be resolved within {deadline_s:.3g} s",
            where=", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            why=first.why,
        )
    return {name: found[name] for name in names}


def resolver(root: Path = Path("/")) -> str:
    """What answers names here, in words: the name servers and search list of ``/etc/resolv.conf``."""
    try:
        lines = (root / "etc/resolv.conf").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"/etc/resolv.conf cannot be read ({error.strerror})"
    words = [line.split() for line in lines]
    servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    search = [name for word in words if word and word[0] == "search" for name in word[1:]]
    told = f"name servers {', '.join(servers)}" if servers else "no name server in /etc/resolv.conf"
    return f"{told}, search {' '.join(search)}" if search else told


def _ask(host: str, timeout_s: float, stop: StopRequest) -> list[str] | str:
    """One question to the system's resolver: the addresses, or why there are none.

    getaddrinfo cannot be interrupted and may take tens of seconds when a name server is silent, so it runs in a
    thread of its own that is left behind at the deadline.
    """
    answers: queue.SimpleQueue[list[str] | str] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            answers.put(error.strerror or f"error {error.errno}")
        except UnicodeError as error:  # a label over 63 characters, an empty one: not a name at all
            answers.put(f"not a host name ({error})")
        else:
            v4 = [str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET]
            v6 = [str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET6]
            answers.put(list(dict.fromkeys(v4 + v6)) or "no address")

    threading.Thread(target=ask, name=f"ask-{host}", daemon=True).start()
    end = time.monotonic() + timeout_s
    while True:
        try:
            return answers.get(timeout=max(0.0, min(0.2, end - time.monotonic())))
        except queue.Empty:
            if stop.is_set() or time.monotonic() >= end:
                return "the name server does not answer"
