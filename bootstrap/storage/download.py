"""Objects into files: in parallel, large ones in pieces, each verified and given its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable

from bootstrap.errors import NothingThere, SourceChanging, StoreUnavailable
from bootstrap.job import StopRequest
from bootstrap.storage.largefile import PIECE, LargeFile
from bootstrap.storage.local import Staging, executable_if_script, explain
from bootstrap.storage.plan import Plan
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.workers import TransferStopped, in_parallel

WIDTH = 16
_ATTEMPTS = 5

Task = Callable[[], None]


def bring_all(store: Store, plan: Plan, root: str, *, progress: Progress, stop: StopRequest) -> None:
    """Make the plan's directories and files below ``root``; returns when every one is there, whole.

    Raises the first error; then files that are whole stay and nothing else does.
    """
    staging = Staging()
    download = Download(store, staging, progress, stop)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    try:
        os.makedirs(root, exist_ok=True)
        for directory in plan.directories:
            os.makedirs(os.path.join(root, directory), exist_ok=True)
        tasks: list[Task] = []
        for path, entry in sorted(plan.files, key=lambda file: -file[1].size):  # the largest take longest
            tasks += download.tasks(os.path.join(root, path), entry)
        for done in in_parallel(tasks, lambda task: task(), width=WIDTH, beat=beat):
            done.value()
    except OSError as error:
        raise explain(error, error.filename or root, "cannot write what is fetched") from error
    finally:
        staging.close()


class Download:
    """From one store, over its client of record."""

    def __init__(self, store: Store, staging: Staging, progress: Progress, stop: StopRequest) -> None:
        self.store, self.staging, self.progress, self.stop = store, staging, progress, stop

    def tasks(self, final: str, entry: Entry) -> list[Task]:
        """One task for a small object, one a piece for a large one."""
        if entry.size < 2 * PIECE or not entry.etag:
            return [lambda: self.whole(final, entry)]
        large = LargeFile(entry, final, self.staging, self.stop, lambda: self.whole(final, entry))
        return [self._piece_task(large, start, end) for start, end in large.pieces()]

    def whole(self, final: str, entry: Entry) -> None:
        """Bring one object, in one stream, and give it its name."""
        partial = bring(self.store, entry, final, self.staging, progress=self.progress, stop=self.stop)
        self.staging.publish(partial, final)
        self.progress.finish()

    def piece(self, large: LargeFile, start: int, end: int) -> None:
        """Bring a piece, again if need be, and have the file conclude if it was the last."""
        try:
            if not large.spoiled:
                self._bring_piece(large, start, end)
        except SourceChanging:
            large.spoil()
        if large.arrived():
            self.progress.finish()

    def _piece_task(self, large: LargeFile, start: int, end: int) -> Task:
        return lambda: self.piece(large, start, end)

    def _bring_piece(self, large: LargeFile, start: int, end: int) -> None:
        file, entry = large.open(), large.entry
        for attempt in range(1, _ATTEMPTS + 1):
            at = start
            try:
                body = self.store.read(entry.key, start=start, end=end, etag=entry.etag)
                for piece in body:
                    if self.stop.is_set():
                        body.close()
                        raise TransferStopped
                    write(file, piece, at)
                    at += len(piece)
                    self.progress.add(len(piece))
                if at != end:
                    raise SourceChanging("an object has another size than listed", where=entry.key)
                return
            except NothingThere as error:
                raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
            except StoreUnavailable:
                self.progress.add(start - at)
                if attempt == _ATTEMPTS:
                    raise
            pause(attempt, self.stop)


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
                write(file, piece, moved)
                digest.update(piece)
                moved += len(piece)
                progress.add(len(piece))
            _verify(body.entry, moved, digest.hexdigest())
            executable_if_script(file)
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


def write(file: int, piece: bytes | memoryview, at: int) -> None:
    """All of ``piece`` at ``at``."""
    written = os.pwrite(file, piece, at)
    while written < len(piece):
        written += os.pwrite(file, memoryview(piece)[written:], at + written)


def _verify(entry: Entry, size: int, md5: str) -> None:
    if size != entry.size:
        why = f"{size} bytes came, {entry.size} were announced"
        raise StoreUnavailable("a body is not as long as it should be", where=entry.key, why=why)
    if entry.md5 and entry.md5 != md5:
        why = f"its MD5 is {md5}, the store says {entry.md5}"
        raise StoreUnavailable("the bytes that came are not the object's", where=entry.key, why=why)
