"""Files into objects: in parallel, each on its own, so that one that cannot go does not hold up the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import BootstrapError, StoreUnavailable
from ...job import StopRequest
from ..common.choice import EVERYTHING, Choice
from ..common.file_errors import explain
from ..common.progress import Progress
from ..common.rate_limit import RateLimit, Throttle
from ..common.recorded_links import LinkPolicy
from ..common.retry import Retry
from ..common.workers import TransferStopped, in_parallel
from ..model.pipeline import Made, Several
from ..model.store import Multipart, Store
from ..model.url import Location
from .exchanges import CONCERNS_ALL, LONG, Put, PutPart, Uploading
from .items import ENDLESS, Items
from .journal import Begun, UploadJournal
from .multipart import LARGE, LargeObject, give_up, part_size
from .walk import Item, Named, items_of

WIDTH = 16
_CHECKS = 4  # threads that compare what is here with what an earlier upload has brought
_GIVING_UP = 3.0  # seconds for giving up what was begun when there is no time left

NOT_BY_DEADLINE, NOT_WHEN_STOPPED = "not finished by the deadline", "not finished when asked to stop"
"""Why a file was cut, which is not a failure of its own."""


class PartSizes(NamedTuple):
    """Files of ``divided`` bytes and more go in parts of ``least`` to ``most`` bytes, side by side."""

    divided: int
    least: int
    most: int

    def of(self, size: int) -> int:
        return part_size(size, self.least, self.most)


USUAL = PartSizes(LARGE, 8 << 20, 16 << 20)
IN_HASTE = PartSizes(12 << 20, 5 << 20, 5 << 20)
"""When one file is to have all connections; a part has 5 MiB at least (S3's and OBS' rule)."""


def send_all(
    store: Store,
    source: Path,
    target: Location,
    *,
    links: LinkPolicy,
    choice: Choice = EVERYTHING,
    progress: Progress,
    stop: StopRequest,
    deadline: float | None,
) -> tuple[Named, Named]:
    """Send the file or tree ``source``; returns what failed and what was left out, names with reasons.

    Raises what concerns every file alike: bucket, credentials, endpoint, and a store that has stopped answering.

    Memory: 0.1 kB a file, and on each connection what is read and gathered at once, 400 kB at most.
    """
    failed: Named = []
    left_out: Named = []
    found = items_of(source, target, failed, left_out, links)
    items = Items.of(item for item in found if choice.takes(item.name))
    if choice.rehearse((item.name, item.size) for item in items):
        return failed, left_out
    progress.expect(len(items), items.bytes)
    journal = UploadJournal(source, str(target))
    try:
        failed += send_items(store, items, journal, progress=progress, stop=stop, deadline=deadline)
    finally:
        journal.close()
    return failed, left_out


def send_items(
    store: Store,
    items: Iterable[Item],
    journal: UploadJournal,
    *,
    progress: Progress,
    stop: StopRequest,
    deadline: float | None = None,
    throttle: Throttle | None = None,
    parts: PartSizes = USUAL,
) -> Named:
    """Send just these; returns what failed, names with reasons. Raises as :func:`send_all` does.

    ``throttle`` bounds the bytes a second; ``parts`` says from which size on a file goes over several connections.
    """
    failed: Named = []
    upload = Upload(store, progress, failed, journal, throttle or Throttle(), parts)
    items = items if isinstance(items, Items) else Items.of(items)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        if deadline is not None and time.monotonic() >= deadline:
            raise _Late
        progress.beat()

    try:
        upload.run(items, beat)
    except (_Late, TransferStopped) as reason:
        why = NOT_BY_DEADLINE if isinstance(reason, _Late) else NOT_WHEN_STOPPED
        settled = upload.settled.copy()
        failed += [(name, why) for name in sorted(items.names) if name not in settled]
    finally:
        upload.end()
    return failed


class _Late(Exception):
    """The deadline has come."""


class Upload(Uploading):
    """One upload, from its plan to its end."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        failed: Named,
        journal: UploadJournal,
        throttle: Throttle,
        parts: PartSizes,
    ) -> None:
        self.halt = threading.Event()
        self._rate_limit = RateLimit()
        retry = Retry(store.retry_window, self.halt, rate_limit=self._rate_limit, say=progress.trouble)
        super().__init__(store, progress, retry, failed, self.halt, throttle)
        self._parts = parts
        self._journal = journal
        self._large: list[LargeObject] = []
        self._unserved: StoreUnavailable | None = None  # what the store said last

    def run(self, items: Items, beat: Callable[[], None]) -> None:
        """Send them all: over the pipeline where there is one, and by the store's own methods what that leaves."""
        begun: list[Put | PutPart] = []
        large = items.of_size(self._parts.divided, ENDLESS)
        # Asked for when it is needed: how to do it has to be loaded.
        multipart = self.store.multipart if len(large) or self._journal else None
        small = items
        if multipart is not None:
            begun += self._begin_all(large, multipart, beat)
            small = items.of_size(0, self._parts.divided) if len(large) else items
        middle = [Put(self, item) for item in small.of_size(LONG, ENDLESS)]
        small = small.of_size(0, LONG) if middle else small
        parts: Several[Put | PutPart] = Made([*begun, *middle], small, lambda item: Put(self, item))
        if self.store.pipeline is not None:
            budget, heavy = self._rate_limit, len(begun)
            parts = self.store.pipeline.run(parts, heavy=heavy, budget=budget, stop=self.halt, beat=beat)

        def bring(part: Put | PutPart) -> None:
            self._rate_limit.spend(1, self.halt)
            part.bring()

        for done in in_parallel(parts, bring, width=min(WIDTH, len(parts)), beat=beat):
            if done.error is not None:
                self._trouble(done.task.item, done.error)
        if self._unserved is not None and not self.progress.files:
            raise self._unserved  # it was not this file or that

    def end(self) -> None:
        """No thread begins anything more, and no multipart upload is left behind."""
        self.halt.set()
        until = time.monotonic() + _GIVING_UP

        def in_time() -> None:
            if time.monotonic() > until:
                raise _Late

        try:
            for _ in in_parallel(self._large, LargeObject.abandon, width=min(WIDTH, len(self._large)), beat=in_time):
                pass  # a store that does not take this either has been complained about already
        except _Late:
            pass

    def _begin_all(self, large: Items, multipart: Multipart, beat: Callable[[], None]) -> list[PutPart]:
        """Begin what goes in parts, or go on where a killed process has left off; returns what is to be sent."""
        missing: list[PutPart] = []
        there: list[PutPart] = []
        for begun in in_parallel(
            large, lambda item: self._begin(item, multipart), width=min(WIDTH, len(large)), beat=beat
        ):
            if begun.error is None:
                for part in begun.value():
                    (there if part.resumed else missing).append(part)
            else:
                self._trouble(begun.task, begun.error)

        def forget(begun: Begun) -> None:
            give_up(multipart, begun.key, begun.upload, self._journal)

        leftovers = self._journal.leftovers()
        for forgotten in in_parallel(leftovers, forget, width=min(WIDTH, len(leftovers)), beat=beat):
            forgotten.value()
        for compared in in_parallel(there, PutPart.is_there, width=min(_CHECKS, len(there)), beat=beat):
            if compared.error is not None:
                self._trouble(compared.task.item, compared.error)
            elif not compared.value():
                missing.append(compared.task)
        if there:
            self.progress.tell("an earlier upload goes on", parts=len(there), missing=len(missing))
        return missing

    def _begin(self, item: Item, multipart: Multipart) -> list[PutPart]:
        assert item.path is not None
        try:
            large = LargeObject(self.store, multipart, item.key, item.path, self._journal, self.retry, self._parts.of)
        except OSError as error:
            raise explain(error, item.path, "cannot read what is to be delivered") from error
        self._large.append(large)
        if self.halt.is_set():  # who ended us meanwhile did not know of it
            large.abandon()
            raise TransferStopped
        return [PutPart(self, item, large, *part) for part in large.parts()]

    def _trouble(self, item: Item, error: BaseException) -> None:
        """Put down a file's own trouble; raise what is everybody's."""
        if not isinstance(error, BootstrapError) or isinstance(error, CONCERNS_ALL):
            raise error
        self.fail(item, str(error))
        if isinstance(error, StoreUnavailable):
            self._unserved = error
            self.silent += 1
            if self.silent >= WIDTH:
                raise error
