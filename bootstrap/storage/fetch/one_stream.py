"""One object in one stream, by the store's own methods: into a file that is verified, and again if it does not fit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from ...errors import ChecksumWrong, NothingThere, SourceChanging
from ...ground.backoff import Backoff
from ...ground.writes import write_all_at
from ...job import StopRequest
from ...values import replace
from ..common.progress import Progress
from ..common.retry import Retry
from ..common.workers import TransferStopped
from ..local.staging import Staging, executable_if_script
from ..model.store import Body, Entry, Store
from .verification.verifier import Differs, Verifier

_ATTEMPTS = 5
_LARGE = 32 << 20  # bytes that are worth a question to the store, and several threads


def bring(
    store: Store,
    entry: Entry,
    final: str,
    staging: Staging,
    *,
    publish: bool = False,
    note: Callable[[Body], object] | None = None,
    verifier: Verifier,
    hashes: bool = True,
    retry: Retry,
    progress: Progress,
    stop: StopRequest,
) -> tuple[str, Entry, str]:
    """Bring one object, in one stream, into a verified partial file beside ``final``, and ``publish`` it there.
    ``note`` is shown the answer that was right.

    Returns the partial file's name, what the store said of the object when it was read, and the bytes' MD5, empty
    without ``hashes``.

    A body that breaks off is fetched again for as long as an outage is waited for; one that differs, a few times.
    """

    def once() -> tuple[str, Entry, str]:
        file, partial = staging.create(final)
        moved = 0
        try:
            digest, sha256 = hashlib.md5(usedforsecurity=False) if hashes else None, hashlib.sha256()
            body = store.read(entry.key)
            for piece in body:
                if stop.is_set():
                    body.close()
                    raise TransferStopped
                write_all_at(file, piece, moved)
                if digest is not None:
                    digest.update(piece)
                if entry.sha256:
                    sha256.update(piece)
                moved += len(piece)
                progress.add(len(piece))
            # What came without a length, or through a proxy that counts otherwise, is what was listed, or it is not.
            found = replace(body.entry, size=entry.size if body.entry.size < 0 else body.entry.size, mtime=entry.mtime)
            md5 = digest.hexdigest() if digest is not None else ""
            _verify(found, moved, md5)
            if entry.sha256 not in ("", sha256.hexdigest()):
                raise Differs("the bytes that came are not the file's", where=entry.key, why=sha256.hexdigest())
            verified = verifier.verified(entry, found, md5, partial_reader(file, stop), large=moved >= _LARGE)
            if note is not None:
                note(body)
            executable_if_script(file)
            if publish:
                staging.publish(partial, final)
            progress.verified_by(verified, entry.key)
            return partial, found, md5
        except BaseException:
            progress.add(-moved)
            staging.discard(partial)
            raise
        finally:
            os.close(file)

    said, pauses = "", Backoff(0.2, 10.0)
    for _ in range(1, _ATTEMPTS):
        try:
            return retry(once)
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
        except (Differs, SourceChanging) as error:
            if isinstance(error, Differs) and entry.sha256:
                if error.why == said:  # what differs twice in the same way does not change on its way
                    raise wrong_checksum(entry, said) from error
                said = error.why
            if stop.wait(pauses.next()):
                raise TransferStopped from None
    return retry(once)


def wrong_checksum(entry: Entry, found: str) -> ChecksumWrong:
    """For bytes that came twice, and have another SHA-256 than the file is said to have."""
    why = f"its SHA-256 is {found}, {entry.sha256} was announced"
    return ChecksumWrong("a file is not what its checksum is of", where=entry.key, why=why)


def partial_reader(file: int, stop: StopRequest) -> Callable[[int, int], bytes]:
    """Reads back what is in a file, for who computes its digest."""

    def read(start: int, end: int) -> bytes:
        if stop.is_set():
            raise TransferStopped
        return os.pread(file, end - start, start)

    return read


def _verify(entry: Entry, size: int, md5: str) -> None:
    if size != entry.size:
        why = f"{size} bytes came, {entry.size} were announced"
        raise Differs("a body is not as long as it should be", where=entry.key, why=why)
    if md5 and entry.md5 not in ("", md5):
        why = f"its MD5 is {md5}, the store says {entry.md5}"
        raise Differs("the bytes that came are not the object's", where=entry.key, why=why)
