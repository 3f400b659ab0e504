"""A growing log in a store that cannot append: as objects named by their range, few, and each byte sent about twice.

The arithmetic, for a log of ``n`` bytes of which new ones come every interval. Every byte is sent once when it is
new: 1.0 n. The one object of a clean end would cost a second time: 2.0 n, and only 0.2 n are left for keeping the
number of objects small. A store that only takes whole objects cannot have few of them: what may be lost is one
interval, so a byte's first object holds one interval's bytes; a fifth of the bytes may be sent again, so four fifths
stay in their first objects; that is an object for four of five intervals at least, whatever is merged. So there it
is one for each that brings bytes: 8,640 a day at most, at 10 s, and gone at a clean end. But most stores copy objects
as pieces of another one (multipart upload, ``UploadPartCopy``; OBS API reference, "Copying Parts"; rclone's server is
one that does not), and then the last object costs next to nothing. So:

- **chunks** have at least 5 MiB, which is what such a piece must have. They come first. What is not in a chunk yet is
  in **small** parts behind them, less than 5 MiB together.
- New bytes that fill a chunk go as a chunk, *with* the small parts before them, which are then removed: what was
  small has been sent twice, what was not, once.
- More than :data:`MOST_SMALL` small parts are joined to the last chunk, inside the store: sent twice as well.
- The end is joined of the chunks and what is behind them (less than 5 MiB): sent twice at most. In sum 2.0 n.
- Before the first chunk there is nothing to join to: small parts are then merged by sending them again, as long as
  all that was sent in this way is below :data:`ALLOWANCE` + 0.2 n. So it stays for the whole log in a store that does
  not copy pieces (it is asked before the first chunk, with a part that is there): the whole log is sent at the
  end, 2.2 n + 4 MiB in all, and once the allowance is used up every interval that brings bytes leaves an object.

The objects are then at most ``MOST_SMALL`` and one for each 5 MiB of log. Heartbeats, of some 200 bytes, come on top.

Nothing is ever removed before what replaces it is there, so that readers always find every byte that was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BootstrapError, PermissionDenied, StoreUnavailable
from ..ground.log_names import LIVE, PROBE, LogPart
from ..job import StopRequest
from ..storage.common.workers import TransferStopped
from ..storage.model.light_writer import SMALLEST_PIECE, Content, Inline, LightWriter
from ..storage.model.store import Store
from .source import Joined, Source, Span

CHUNK = SMALLEST_PIECE
LARGEST = 16 << 20
"""Bytes of one upload: what a broken connection costs at most. A chunk may grow beyond it by joining."""

MOST_SMALL = 256
ALLOWANCE = 4 << 20


class Segments:
    """Writes the parts of one log below ``directory`` (a key that ends in ``/``); remembers what it has written."""

    def __init__(self, store: Store, writer: LightWriter, directory: str, source: Source) -> None:
        self.directory = directory
        self.source = source
        self.shipped = 0
        """The output up to here is in the store (but for what was removed here before it could be sent)."""
        self.parts: list[LogPart] = []
        self._store = store
        self._writer = writer
        self._again = 0  # bytes sent again to keep the number of objects small
        self._joins: bool | None = None  # whether the store copies pieces; None: not asked yet

    def ship(self, stop: StopRequest) -> None:
        """Send what is new. Raises what the store says; everything that was sent until then stays counted.

        Looks at ``stop`` between objects, and returns.
        """
        end = self.source.look()
        while self.shipped < end and not stop.is_set():
            begin = self.source.available(self.shipped)
            if begin > self.shipped:  # more than a log's limit came faster than the store took it
                self.shipped = begin
            self._send_next(end)
            self._drop_what_the_limit_cut()
        if len(self._small()) > MOST_SMALL:
            self._thin_out()

    def join(self, key: str, size: int, behind: bytes, stop: StopRequest) -> bool:
        """Make the object ``key`` of the whole log, whose file has ``size`` bytes by now, with little to send.

        ``behind`` it comes what its disk did not take. False if it cannot be done so; then it has to be sent
        as a whole.
        """
        self.source.look()
        same = size if self.source.head is None else self.source.head  # up to here the file is the output
        copies: list[LogPart] = []
        for part in self.parts:
            if part.start != sum(copy.size for copy in copies) or part.size < CHUNK or part.end > same:
                break
            copies.append(part)
        if not copies or self._joins is False:
            return False
        at = copies[-1].end
        path = str(self.source.path)
        rest: list[Content] = [Span(((path, start, min(size - start, LARGEST)),)) for start in range(at, size, LARGEST)]
        if behind:
            rest[-1:] = [Joined((*rest[-1:], Inline(behind)))]
        names = [self.directory + part.name for part in copies]
        if stop.is_set():
            raise TransferStopped
        if not self._writer.join(key, names, rest):
            return False
        found = self._store.stat(key)
        return found is not None and found.size == size + len(behind)

    def clear(self) -> None:
        """Remove all parts, also those whose writing was answered by a broken connection."""
        try:
            found = [entry.key for entry in self._store.entries(self.directory)]
        except PermissionDenied:  # no right to list: then those that we know of
            found = [self.directory + part.name for part in self.parts]
        self._writer.delete(key for key in found if key.rpartition("/")[2] not in LIVE)
        self.parts.clear()

    def _send_next(self, end: int) -> None:
        small = self._small()
        begin = small[0].start if small and small[-1].end == self.shipped else self.shipped
        if end - begin >= CHUNK and (begin == self.shipped or self._can_join()):
            # An end that leaves less than a chunk behind would leave small bytes in the middle of a fast log.
            until = end if end - begin < LARGEST else begin + LARGEST - CHUNK
        else:
            begin, small = self.shipped, []
            until = min(end, self.shipped + LARGEST)
        span = self.source.span(begin, until)
        if not span.size:
            raise StoreUnavailable("a part of the log cannot be read", where=str(self.source.path))
        part = LogPart(begin, begin + span.size, 1 if small else 0)
        self._writer.put(self.directory + part.name, span)
        self._again += self.shipped - begin if self._joins is not True else 0
        self.shipped = part.end
        self._replace(small, part)

    def _thin_out(self) -> None:
        small = self._small()
        chunk = self.parts[-len(small) - 1] if len(small) < len(self.parts) else None
        if chunk is not None and chunk.end == small[0].start and self._can_join():
            whole = LogPart(chunk.start, small[-1].end, chunk.merges + 1)
            behind = [self.source.span(small[0].start, small[-1].end)]
            if behind[0].size == whole.end - chunk.end and self._writer.join(
                self.directory + whole.name, [self.directory + chunk.name], behind
            ):
                self._replace([chunk, *small], whole)
                return
        # The newest ones alone as long as there are enough of them, so that a byte is sent again but a few times.
        fresh = [part for part in small if not part.merges]
        run = fresh if len(fresh) > MOST_SMALL // 2 else small
        size = run[-1].end - run[0].start
        if self._again + size > ALLOWANCE + self.shipped // 5:
            return
        span = self.source.span(run[0].start, run[-1].end)
        if span.size != size:
            return
        whole = LogPart(run[0].start, run[-1].end, run[-1].merges + 1)
        self._writer.put(self.directory + whole.name, span)
        self._again += size
        self._replace(run, whole)

    def _small(self) -> list[LogPart]:
        """The parts behind the last chunk, without a gap between them."""
        small: list[LogPart] = []
        for part in reversed(self.parts):
            if part.size >= CHUNK or (small and part.end != small[0].start):
                break
            small.insert(0, part)
        return small

    def _can_join(self) -> bool:
        """Whether the store copies objects as pieces of others; asked once, with a part that is there."""
        if self._joins is None and self.parts:
            probe = self.directory + PROBE
            self._joins = self._writer.join(probe, [self.directory + self.parts[-1].name], [])
            if self._joins:
                found = self._store.stat(probe)
                self._joins = found is not None and found.size == self.parts[-1].size
                self._writer.delete([probe])
        return bool(self._joins)

    def _replace(self, old: Sequence[LogPart], new: LogPart) -> None:
        self.parts = [part for part in self.parts if part not in old] + [new]
        self._remove([part for part in old if part != new])

    def _drop_what_the_limit_cut(self) -> None:
        """What is cut out of the log here has no place there either: the store is not to outgrow the limit."""
        tail, head = self.source.oldest_tail(), self.source.head
        if tail is None or head is None:
            return
        cut = [part for part in self.parts if part.start >= head and part.end <= tail]
        self.parts = [part for part in self.parts if part not in cut]
        self._remove(cut)

    def _remove(self, parts: Sequence[LogPart]) -> None:
        try:
            self._writer.delete(self.directory + part.name for part in parts)
        except BootstrapError:  # only untidy: readers know the overlap, and :meth:`clear` finds what is left
            pass
