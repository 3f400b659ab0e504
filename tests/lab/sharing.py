"""One server for all processes of a test run, and not a moment longer.

xdist's workers are separate processes; the first one that wants a store starts a keeper for it, the others find its
address in a file. Every user holds the write end of a FIFO open. When the last of them is gone, whether it ended well
or was killed, the kernel reports end-of-file to the keeper, which stops the server and removes its data: reference
counting that no crash can upset.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.lab.stores import SERVERS, LabUnavailable, Store

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def shared(kind: str, directory: Path) -> Iterator[Store]:
    """The store of that kind which all users of ``directory`` share, started if need be. Raises LabUnavailable."""
    directory.mkdir(parents=True, exist_ok=True)
    fifo = directory / f"{kind}.users"
    with _lock(directory, kind):
        if not fifo.exists():
            os.mkfifo(fifo, 0o600)
        # Read and write: opening only the write end would wait for a reader, and the keeper does not run yet.
        membership = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        address = directory / f"{kind}.json"
        if not address.exists():
            _start_keeper(kind, directory)
    try:
        yield Store(**json.loads(address.read_text()))
    finally:
        os.close(membership)


def _start_keeper(kind: str, directory: Path) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.sharing", kind, str(directory)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is for the tests; the store must outlive their cleaning up
    )
    assert keeper.stdout is not None
    with keeper.stdout as pipe:
        answer = pipe.readline().decode()
    if answer != "ready\n":
        raise LabUnavailable(answer.strip() or f"lab: the keeper of {kind} ended with {keeper.wait()}")
    keeper.returncode = 0  # it outlives us on purpose: no ResourceWarning, and nobody to wait for it but init


@contextmanager
def _lock(directory: Path, kind: str) -> Iterator[None]:
    with (directory / f"{kind}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def keep(kind: str, directory: Path) -> None:
    """Runs the server until nobody holds the FIFO any more."""
    users = os.open(directory / f"{kind}.users", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    home, address = directory / kind, directory / f"{kind}.json"
    try:
        server = SERVERS[kind](home)
        store = server.__enter__()
    except LabUnavailable as problem:
        print(" ".join(str(problem).split()), flush=True)
        return
    try:
        fresh = address.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(store)))
        fresh.rename(address)
        print("ready", flush=True)
        sys.stdout = sys.stderr  # whoever read the line is gone
        while True:
            _wait_for_hangup(users)
            with _lock(directory, kind):
                if _hung_up(users):  # nobody came in while we took the lock
                    address.unlink()
                    break
    finally:
        server.__exit__(None, None, None)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for_hangup(users: int) -> None:
    while not _hung_up(users, timeout_ms=None):
        pass


def _hung_up(users: int, timeout_ms: int | None = 0) -> bool:
    poll = select.poll()
    poll.register(users, 0)  # POLLHUP is always reported: no writer is left
    return any(events & select.POLLHUP for _, events in poll.poll(timeout_ms))


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
