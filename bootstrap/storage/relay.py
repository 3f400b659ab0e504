"""From store to store, each object through a file of ours that is verified on the way in and gone afterwards."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from bootstrap.errors import BootstrapError
from bootstrap.job import StopRequest
from bootstrap.storage.download import bring
from bootstrap.storage.local import Staging, local_trouble
from bootstrap.storage.outage import Outlast
from bootstrap.storage.pace import Pace
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.tree import Named
from bootstrap.storage.upload import EVERYBODYS
from bootstrap.storage.workers import TransferStopped, in_parallel

_WIDTH = 8


def relay_all(
    origin: Store, files: list[tuple[str, Entry]], target: Store, *, progress: Progress, stop: StopRequest
) -> Named:
    """Put each entry of ``origin`` at its key in ``target``; returns what failed, keys with reasons.

    Needs room in the temporary directory for as many of the objects as are under way (eight).
    """
    failed: Named = []
    staging = Staging()
    halt = threading.Event()
    pace = Pace()
    from_origin = Outlast(origin.patience, halt, pace=pace, say=progress.trouble)
    to_target = Outlast(target.patience, halt, pace=pace, say=progress.trouble)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    with local_trouble(tempfile.gettempdir(), "cannot use the temporary directory"):
        place = tempfile.mkdtemp(prefix="bootstrap-relay-")

    def move(task: tuple[str, Entry]) -> None:
        key, entry = task
        if entry.is_marker:
            to_target(lambda: target.write(key, b""))
            return
        with local_trouble(place):
            partial, _, _ = bring(
                origin,
                entry,
                os.path.join(place, "object"),
                staging,
                outlast=from_origin,
                progress=progress,
                stop=halt,
            )
        try:
            to_target(lambda: target.write(key, Path(partial)))
        finally:
            staging.discard(partial)
        progress.finish()

    try:
        for done in in_parallel(files, move, width=min(_WIDTH, len(files)), beat=beat):
            if isinstance(done.error, BootstrapError) and not isinstance(done.error, EVERYBODYS):
                failed.append((done.task[1].key, str(done.error)))
            else:
                done.value()
    finally:
        halt.set()
        staging.close()
        os.rmdir(place)
    return failed
