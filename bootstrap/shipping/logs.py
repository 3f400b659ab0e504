"""The log and the run record, to the log URL.

The newest attempt always has the plain name, since that is the one somebody looks for at 3 a.m. (the old downloader
skipped names that were taken, so that a restarted job showed its *first* log for ever). What an earlier attempt left
under that name is kept as ``NAME.attempt-N.log``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath

from ..errors import BootstrapError
from ..job import Log, StopRequest
from ..storage.open import Stores
from ..storage.transfer import deliver
from ..storage.url import Location


def keep_earlier(stores: Stores, target: Location, names: Sequence[str], scratch: Path, log: Log) -> None:
    """Copy what an earlier attempt left under ``names`` in the directory ``target`` to names of its own.

    Done before the command starts, so that it costs nothing of the time in which a stopped job must be gone. Only a
    courtesy: where the store refuses (no right to list, say) the names are simply overwritten later.
    """
    directory = target.as_directory().path
    try:
        store = stores.open(target)
        taken = set(store.children(directory))
        number = 1 + max((_attempt(name) for name in taken), default=0)
        for name in names:
            if name not in taken:
                continue
            with tempfile.NamedTemporaryFile(dir=scratch) as copy:
                for piece in store.read(directory + name):
                    copy.write(piece)
                copy.flush()
                store.write(directory + aside(name, number), Path(copy.name))
    except (BootstrapError, OSError) as error:
        log.debug(f"what an earlier attempt delivered is not kept: {error}")


def aside(name: str, attempt: int) -> str:
    """``dls-task-0.log`` of attempt 1 as ``dls-task-0.attempt-1.log``."""
    path = PurePath(name)
    return f"{path.stem}.attempt-{attempt}{path.suffix}"


def _attempt(name: str) -> int:
    found = re.search(r"\.attempt-(\d+)(\.[^.]*)?$", name)
    return int(found[1]) if found else 0


def deliver_files(
    stores: Stores, target: Location, files: Sequence[Path], *, stop: StopRequest, log: Log
) -> list[tuple[Path, str]]:
    """Write ``files`` into the directory ``target`` under their own names, replacing; what failed, and why."""
    failed = []
    for path in files:
        try:
            report = deliver(stores, path, target.child(path.name), stop=stop, log=log)
        except BootstrapError as error:
            failed.append((path, str(error)))
        else:
            failed += [(path, why) for _, why in report.failed]
    return failed
