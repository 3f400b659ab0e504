"""Files into objects: in parallel, each on its own, so that one that cannot go does not hold up the rest."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
    PathUnusable,
    SourceChanging,
    StoreUnavailable,
)
from bootstrap.job import StopRequest
from bootstrap.storage.download import pause
from bootstrap.storage.local import PARTIAL, explain
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Store
from bootstrap.storage.url import LONGEST_KEY, Location
from bootstrap.storage.workers import TransferStopped, in_parallel

WIDTH = 16
_ATTEMPTS = 4
EVERYBODYS: tuple[type[BootstrapError], ...] = (
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
)
"""Trouble that concerns every file alike, so that there is no use in trying the next."""

Named = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Item:
    """One object to be: its name in the tree, its key, and the file it is made of (None: a directory's marker)."""

    name: str
    key: str
    path: Path | None


def send_all(
    store: Store, source: Path, target: Location, *, progress: Progress, stop: StopRequest, deadline: float | None
) -> tuple[Named, Named]:
    """Send the file or tree ``source``; returns what failed and what was left out, names with reasons.

    Raises what concerns every file alike: bucket, credentials, endpoint, and a store that has stopped answering.
    """
    failed: Named = []
    left_out: Named = []
    items = list(_items(source, target, failed, left_out))
    waiting = {item.name for item in items}
    silent = 0  # files in a row that the store did not take, without one that it did

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        if deadline is not None and time.monotonic() >= deadline:
            raise _Late
        progress.beat()

    def send(item: _Item) -> str:
        return _send(store, item, progress, stop)

    try:
        for done in in_parallel(items, send, width=WIDTH, beat=beat):
            waiting.discard(done.task.name)
            if done.error is None:
                silent = 0
                if done.value():
                    failed.append((done.task.name, done.value()))
            elif isinstance(done.error, BootstrapError) and not isinstance(done.error, EVERYBODYS):
                failed.append((done.task.name, str(done.error)))
                silent += isinstance(done.error, StoreUnavailable)
                if silent >= WIDTH:
                    raise done.error
            else:
                raise done.error
    except (_Late, TransferStopped) as reason:
        why = "not finished by the deadline" if isinstance(reason, _Late) else "not finished when asked to stop"
        failed += [(name, why) for name in sorted(waiting)]
    return failed, left_out


class _Late(Exception):
    """The deadline has come."""


def _send(store: Store, item: _Item, progress: Progress, stop: StopRequest) -> str:
    """Send one; returns an empty string, or why it cannot be trusted to have arrived as it is."""
    if item.path is None:
        store.write(item.key, b"")
        return ""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            before = item.path.stat()
            store.write(item.key, item.path)
            after = item.path.stat()
        except FileNotFoundError:
            return "vanished while it was sent"
        except OSError as error:
            raise explain(error, item.path, "cannot read what is to be delivered") from error
        except SourceChanging:
            continue
        except StoreUnavailable:
            if attempt == _ATTEMPTS:
                raise
            pause(attempt, stop)
            continue
        if (before.st_mtime_ns, before.st_size, before.st_ino) == (after.st_mtime_ns, after.st_size, after.st_ino):
            progress.add(after.st_size)
            progress.finish()
            return ""
    return "kept changing while it was sent; what arrived may be a mixture"


def _items(source: Path, target: Location, failed: Named, left_out: Named) -> Iterator[_Item]:
    base = target.path if target.is_remote else os.path.abspath(target.path).lstrip("/")
    try:
        found = source.stat()
    except OSError as error:
        raise explain(error, source, "cannot read what is to be delivered") from error
    if stat.S_ISREG(found.st_mode):
        key = base if not target.is_directory else f"{base.rstrip('/')}/{source.name}".lstrip("/")
        yield _Item(source.name, key, source)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise PathUnusable("neither a file nor a directory", where=str(source))
    base = f"{base.rstrip('/')}/" if base else ""
    for name, path in _walk(source, failed, left_out):
        key = base + name
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            failed.append((repr(name), "its name is not UTF-8, which objects' names have to be"))
            continue
        if size > LONGEST_KEY:
            failed.append((name, f"its key would have {size} bytes, {LONGEST_KEY} are the most"))
        else:
            yield _Item(name, key, path)


def _walk(root: Path, failed: Named, left_out: Named) -> Iterator[tuple[str, Path | None]]:
    """Files by their name in the tree; empty directories by a name that ends in ``/``.

    Symbolic links are followed where they stay in the tree and do not lead back to where we are.
    """
    top = os.path.realpath(root)
    pending: list[tuple[str, tuple[str, ...]]] = [("", (top,))]
    while pending:
        below, trail = pending.pop()
        try:
            with os.scandir(os.path.join(root, below)) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            failed.append((below or ".", str(explain(error, os.path.join(root, below), "cannot list a directory"))))
            continue
        if not entries and below:
            yield f"{below}/", None
        for entry in entries:
            name = os.path.join(below, entry.name)
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if real and not (real == top or real.startswith(top + os.sep)):
                left_out.append((name, f"a link that leads out of the tree, to {os.readlink(entry.path)}"))
            elif entry.is_dir():
                here = os.path.realpath(entry.path)
                if here in trail:
                    left_out.append((name, "a link that leads back to a directory above it"))
                else:
                    pending.append((name, (*trail, here)))
            elif entry.is_file():
                if not entry.name.startswith(PARTIAL):
                    yield name, Path(entry.path)
            elif real and not os.path.exists(real):
                left_out.append((name, f"a link to nothing, {os.readlink(entry.path)}"))
            else:
                left_out.append((name, "neither a file nor a directory"))
