"""Objects into files: in parallel, large ones in pieces, each verified and given its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator

from bootstrap.errors import NothingThere, SourceChanging, StoreUnavailable
from bootstrap.job import StopRequest
from bootstrap.storage.local import Staging, executable_if_script, explain
from bootstrap.storage.plan import Plan
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.workers import TransferStopped, in_parallel

WIDTH = 16
_PIECE = 16 << 20  # bytes of one ranged GET
_ATTEMPTS = 5
_READ_BACK = 1 << 20


def bring_all(store: Store, plan: Plan, root: str, *, progress: Progress, stop: StopRequest) -> None:
    """Make the plan's directories and files below ``root``; returns when every one is there, whole.

    Raises the first error; then files that are whole stay and nothing else does.
    """
    staging = Staging()

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    try:
        os.makedirs(root, exist_ok=True)
        for directory in plan.directories:
            os.makedirs(os.path.join(root, directory), exist_ok=True)
        tasks = _tasks(store, plan, root, staging, progress, stop)
        for done in in_parallel(tasks, lambda task: task(), width=WIDTH, beat=beat):
            done.value()
    except OSError as error:
        raise explain(error, error.filename or root, "cannot write what is fetched") from error
    finally:
        staging.close()


def bring(store: Store, entry: Entry, final: str, staging: Staging, *, progress: Progress, stop: StopRequest) -> str:
    """Bring one object, in one stream, into a verified partial file beside ``final``; returns its name for now.

    A body that breaks off or differs is fetched again, with growing pauses, a few times.
    """
    attempt = 0
    while True:
        attempt += 1
        file, partial = staging.create(final)
        moved = 0
        try:
            digest = hashlib.md5(usedforsecurity=False)
            body = store.read(entry.key)
            for piece in body:
                if stop.is_set():
                    body.close()
                    raise TransferStopped
                _write(file, piece, moved)
                digest.update(piece)
                moved += len(piece)
                progress.add(len(piece))
            _verify(body.entry, moved, digest.hexdigest())
            executable_if_script(file)
            progress.finish()
            return partial
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
        except (StoreUnavailable, SourceChanging):
            progress.add(-moved)
            staging.discard(partial)
            if attempt == _ATTEMPTS:
                raise
        except BaseException:
            staging.discard(partial)
            raise
        finally:
            os.close(file)
        pause(attempt, stop)


def pause(attempt: int, stop: StopRequest) -> None:
    """Wait before the next try: 0.1 s doubled each time, of which a random part, so that nodes do not march in step."""
    if stop.wait(random.uniform(0.5, 1.0) * min(10.0, 0.1 * 2**attempt)):
        raise TransferStopped


def _tasks(
    store: Store, plan: Plan, root: str, staging: Staging, progress: Progress, stop: StopRequest
) -> Iterator[Callable[[], None]]:
    """One task a small object, one a piece of a large one; the large first, as they take longest."""

    def whole(final: str, entry: Entry) -> Callable[[], None]:
        def task() -> None:
            staging.publish(bring(store, entry, final, staging, progress=progress, stop=stop), final)

        return task

    for path, entry in plan.files:
        if entry.size >= 2 * _PIECE and entry.etag:
            large = _Large(store, entry, os.path.join(root, path), staging, progress, stop)
            for start in range(0, entry.size, _PIECE):
                yield large.piece(start, min(start + _PIECE, entry.size))
    for path, entry in plan.files:
        if entry.size < 2 * _PIECE or not entry.etag:
            yield whole(os.path.join(root, path), entry)


class _Large:
    """A file that arrives in pieces, written where they belong. Whoever brings the last one verifies and publishes.

    If the object changed between pieces, or the whole does not fit its digest, it is fetched again in one stream.
    """

    def __init__(
        self, store: Store, entry: Entry, final: str, staging: Staging, progress: Progress, stop: StopRequest
    ) -> None:
        self._store, self._entry, self._final = store, entry, final
        self._staging, self._progress, self._stop = staging, progress, stop
        self._lock = threading.Lock()
        self._file = -1
        self._partial = ""
        self._left = -(-entry.size // _PIECE)
        self._spoiled = False

    def piece(self, start: int, end: int) -> Callable[[], None]:
        def task() -> None:
            try:
                if not self._spoiled:
                    self._bring(start, end)
            except SourceChanging:
                self._spoiled = True
            with self._lock:
                self._left -= 1
                last = self._left == 0
            if last:
                self._conclude()

        return task

    def _bring(self, start: int, end: int) -> None:
        file = self._open()
        attempt = 0
        while True:
            attempt += 1
            at = start
            try:
                body = self._store.read(self._entry.key, start=start, end=end, etag=self._entry.etag)
                for piece in body:
                    if self._stop.is_set():
                        body.close()
                        raise TransferStopped
                    _write(file, piece, at)
                    at += len(piece)
                    self._progress.add(len(piece))
                if at == end:
                    return
                raise SourceChanging("an object has another size than listed", where=self._entry.key)
            except NothingThere as error:
                raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
            except (StoreUnavailable, SourceChanging) as error:
                self._progress.add(start - at)
                if attempt == _ATTEMPTS or isinstance(error, SourceChanging):
                    raise
            pause(attempt, self._stop)

    def _open(self) -> int:
        with self._lock:
            if self._file < 0:
                self._file, self._partial = self._staging.create(self._final)
                os.ftruncate(self._file, self._entry.size)
            return self._file

    def _conclude(self) -> None:
        file = self._open()
        try:
            if not self._spoiled and (not self._entry.md5 or _digest(file, self._stop) == self._entry.md5):
                executable_if_script(file)
                self._staging.publish(self._partial, self._final)
                self._progress.finish()
                return
        finally:
            os.close(file)
        self._staging.discard(self._partial)
        self._progress.add(-self._entry.size)
        partial = bring(self._store, self._entry, self._final, self._staging, progress=self._progress, stop=self._stop)
        self._staging.publish(partial, self._final)


def _verify(entry: Entry, size: int, md5: str) -> None:
    if size != entry.size:
        why = f"{size} bytes came, {entry.size} were announced"
        raise StoreUnavailable("a body is not as long as it should be", where=entry.key, why=why)
    if entry.md5 and entry.md5 != md5:
        why = f"its MD5 is {md5}, the store says {entry.md5}"
        raise StoreUnavailable("the bytes that came are not the object's", where=entry.key, why=why)


def _digest(file: int, stop: StopRequest) -> str:
    digest, at = hashlib.md5(usedforsecurity=False), 0
    while piece := os.pread(file, _READ_BACK, at):
        if stop.is_set():
            raise TransferStopped
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest()


def _write(file: int, piece: bytes, at: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(file, view, at)
        at += written
        view = view[written:]
