"""A large object read from its beginning to its end, while the next pieces of it are on their way already."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from ...errors import NothingThere, SourceChanging
from ...job import StopRequest
from ..common.progress import Progress
from ..common.rate_limit import RateLimit
from ..common.retry import Retry
from ..common.workers import TransferStopped
from ..model.pipeline import Connection, NeedsFallback, Pipeline
from ..model.store import ENCRYPTED, Entry, Store
from .verification.checks import InOrder
from .verification.verifier import Verifier

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 4 << 20  # bytes of one ranged GET
_WINDOW = 4  # pieces on their way or waiting to be read: with the one in use, 20 MiB at most, however long the object
_LOST_IN_A_ROW = 3  # pieces that a thread lost on the fast path before it leaves the fast path
_BEAT = 0.1  # seconds between two looks at the clock while nothing comes


class _OwnConnection:
    """A thread's connection on the fast path, if it has one, and how many it lost in a row."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.lost = 0

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class _Piece:
    """Bytes ``start`` to ``end`` (not included) of the object, as far as they have come."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.have = 0
        self.data = memoryview(bytearray(end - start))  # of its size at once: what grows leaves holes in the heap

    @property
    def is_whole(self) -> bool:
        return self.have == len(self.data)

    def take(self, data: bytes | memoryview) -> None:
        self.data[self.have : self.have + len(data)] = data
        self.have += len(data)


class ObjectReader(io.RawIOBase):
    """One object's bytes, in order. A piece that breaks off is gone on with where it broke, if it is the same object.

    Reading raises :class:`SourceChanging`, the store's refusals, and :class:`TransferStopped`. Close it to end the
    threads. What came is the object's only once :meth:`is_right` has said so.
    """

    def __init__(
        self,
        store: Store,
        entry: Entry,
        *,
        verifier: Verifier,
        rate_limit: RateLimit,
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        super().__init__()
        self._store, self._entry, self._rate_limit, self._progress, self._stop = (
            store,
            entry,
            rate_limit,
            progress,
            stop,
        )
        self._etag = entry.etag.removesuffix(ENCRYPTED)
        self._encrypted = False  # only the answers tell
        self._pieces = -(-entry.size // _PIECE)
        self._lock = threading.Condition()
        self._ready: dict[int, _Piece | BaseException] = {}
        self._asked = self._taken = 0
        self._closing = threading.Event()
        self._retry = Retry(store.retry_window, self._closing, rate_limit=rate_limit, say=progress.trouble)
        self._rest = memoryview(b"")
        self.wrong_sha256 = ""  # what came has, where it is not what was announced
        self.moved = 0  # bytes that have come and been asked for
        at_once = verifier.at_once(entry)
        self._check = at_once or next(iter(verifier.more(entry, large=True)), None)
        self._digest = InOrder(self._check, entry.size) if self._check is not None else None
        self.verified = "size"  # by what the bytes are, once they are right
        for number in range(min(_WINDOW, self._pieces)):
            threading.Thread(target=self._work, name=f"ahead-{number}", daemon=True).start()

    def readable(self) -> bool:
        return True

    def readinto(self, place: WriteableBuffer) -> int:
        if not self._rest:
            self._rest = self._next()
        view = memoryview(place).cast("B")
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def is_right(self) -> bool:
        """Read what nobody wanted; whether what came in all is the object, as far as the store lets us tell."""
        while self._next():
            pass
        if self._check is None or self._digest is None or (self._encrypted and self._check.kind == "md5"):
            return True
        if self._digest.fits():
            self.verified = self._check.name
            return True
        if self._entry.sha256:
            self.wrong_sha256 = self._digest.whole()
        return not self._check.certain

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            self._ready.clear()
            self._lock.notify_all()
        super().close()

    def _next(self) -> memoryview:
        """The next piece, or nothing at the end."""
        if self._taken == self._pieces:
            return memoryview(b"")
        with self._lock:
            while self._taken not in self._ready:
                self._beat()
                self._lock.wait(_BEAT)
            piece = self._ready.pop(self._taken)
            self._taken += 1
            self._lock.notify_all()
        self._beat()
        if isinstance(piece, BaseException):
            raise piece
        if self._digest is not None:
            self._digest.update(piece.data)
        self.moved += piece.have
        self._progress.add(piece.have)
        return piece.data

    def _beat(self) -> None:
        if self._stop.is_set():
            raise TransferStopped
        self._progress.beat()

    # --- in threads of their own ---

    def _work(self) -> None:
        own = _OwnConnection()
        while (number := self._turn()) < self._pieces:
            try:
                result: _Piece | BaseException = self._bring(number, own)
            except BaseException as error:  # noqa: BLE001 (carried to the reading thread, which raises it)
                result = error
            with self._lock:
                if not self._closing.is_set():
                    self._ready[number] = result
                self._lock.notify_all()
        own.close()

    def _turn(self) -> int:
        """The number of the piece to bring, when there is room for it; one beyond the last when there is no more."""
        with self._lock:
            while self._asked < self._pieces and self._asked >= self._taken + _WINDOW and not self._closing.is_set():
                self._lock.wait()
            if self._closing.is_set():
                return self._pieces
            self._asked += 1
            return self._asked - 1

    def _bring(self, number: int, own: _OwnConnection) -> _Piece:
        piece = _Piece(number * _PIECE, min((number + 1) * _PIECE, self._entry.size))
        self._rate_limit.spend(1, self._closing)
        if self._store.pipeline is not None and own.lost < _LOST_IN_A_ROW:
            self._over_the_pipeline(self._store.pipeline, own, piece)
        if not piece.is_whole:
            self._retry(lambda: self._over_the_store(piece))
        return piece

    def _over_the_pipeline(self, pipeline: Pipeline, own: _OwnConnection, piece: _Piece) -> None:
        """Bring what comes."""
        size = piece.end - piece.start
        try:
            if own.connection is None:
                own.connection = pipeline.connect()
            own.connection.get(self._entry.key, piece.start, piece.end)
            answer = own.connection.answer()
            answer.expect(206, size)
            if not self._is_same(answer.etag):
                raise NeedsFallback("another object than before")
            own.connection.pour(size, piece.take)
            pipeline.accepted()
            own.lost = 0
            if answer.is_last:
                own.close()
        except (NeedsFallback, OSError) as trouble:  # the store's own methods go on from there
            own.lost += 1
            own.close()
            if isinstance(trouble, NeedsFallback) and trouble.busy:
                self._rate_limit.complaint()

    def _over_the_store(self, piece: _Piece) -> None:
        """Bring what is missing of the piece."""
        try:
            body = self._store.read(self._entry.key, start=piece.start + piece.have, end=piece.end)
        except NothingThere as error:
            raise SourceChanging("an object was there, and gone when it was read", where=error.where) from error
        try:
            if not self._is_same(body.entry.etag):
                raise SourceChanging("an object changed while it was read", where=self._entry.key)
            for data in body:
                if self._closing.is_set():
                    raise TransferStopped
                if piece.have + len(data) > len(piece.data):
                    raise SourceChanging("more of an object came than was asked for", where=self._entry.key)
                piece.take(data)
        finally:
            body.close()
        if not piece.is_whole:
            raise SourceChanging("an object has another size than listed", where=self._entry.key)

    def _is_same(self, etag: str) -> bool:
        self._encrypted |= etag.endswith(ENCRYPTED)
        return etag.removesuffix(ENCRYPTED) == self._etag
