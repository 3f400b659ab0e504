"""A file with holes, of which it is known where they are: nothing is fetched for them, and they stay holes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from ...errors import SourceChanging
from ...ground.writes import write_all_at
from ...job import StopRequest
from ..common.file_errors import local_trouble
from ..common.progress import Progress
from ..common.retry import Retry
from ..common.workers import TransferStopped, in_parallel
from ..model.store import Store

_PIECE = 16 << 20
_WIDTH = 8  # pieces at once


def bring_stretches(
    store: Store,
    key: str,
    size: int,
    stretches: Iterable[tuple[int, int]],
    path: str,
    *,
    retry: Retry,
    progress: Progress,
    stop: StopRequest,
) -> None:
    """Make the new file ``path``, ``size`` bytes long, with what the object holds in the ``stretches`` (where each
    starts and ends, not included) and zeros elsewhere. That these are the object's bytes is for the caller to verify.

    Raises :class:`SourceChanging` when the object is shorter, what the store says, and :class:`TransferStopped`.
    """
    with local_trouble(path, "cannot write what is fetched"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.truncate(size)
    places = [(at, min(at + _PIECE, end)) for start, end in stretches for at in range(start, end, _PIECE)]

    def bring(place: tuple[int, int]) -> None:
        retry(partial(_bring, store, key, path, *place))
        progress.add(place[1] - place[0])

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    for done in in_parallel(places, bring, width=min(_WIDTH, len(places)), beat=beat):
        done.value()
    progress.finish()


def _bring(store: Store, key: str, path: str, start: int, end: int) -> None:
    """With a descriptor of its own: who hangs here is left behind, and must not write to what has its number then."""
    body = store.read(key, start=start, end=end)
    with local_trouble(path, "cannot write what is fetched"):
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for data in body:
                write_all_at(file, memoryview(data)[: end - start], start)
                start += len(data)
        finally:
            os.close(file)
    if start < end:
        raise SourceChanging("an object is shorter than it was", where=key)
