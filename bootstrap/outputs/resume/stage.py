"""The stage: a directory of its own, in which everything is verified before it moves to its place.

A mark says meanwhile what is on its way, so that the next attempt ends what one that was killed in between had begun,
whatever it is told about resuming.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...ground.json_text import load_json
from ...ground.safe_files import replace_own
from ...job import Log
from ...storage.common.file_errors import local_trouble
from ..local import units
from ..remote.manifest import File

_MARK = ".bootstrap/resuming"
_STAGE = ".bootstrap/resume"
"""Below the directory that the files are for: a rename moves them."""


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """An empty stage for files of ``root``, of which nothing stays but what :func:`finish_interrupted` needs."""
    try:
        yield emptied(root / _STAGE)
    finally:
        _clear(root)


def emptied(stage: Path) -> Path:
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    return stage


def finish_interrupted(root: Path, log: Log) -> None:
    """End what somebody who was killed while he brought files into ``root`` had begun: what was verified gets its
    place. Where that is no longer possible, what has come of it goes again: half of it would pass for a whole.

    Raises :class:`PathUnusable` and its kin.
    """
    if not (root / ".bootstrap").is_dir():
        return
    with local_trouble(str(root), "cannot end what an earlier attempt was bringing back"):
        files = _marked(root)
        if files:
            moved = [file for file in files if not os.path.lexists(root / _STAGE / file.path)]
            lost = [file.path for file in moved if not looks_like(root, file)]
            if not lost:
                log.warning("an earlier attempt was killed while it brought its files back: that is ended now")
                put_in_place(files, root)
            else:
                log.warning(
                    "an earlier attempt was killed while it brought its files back, and not all are there any more: "
                    "what there is of them goes",
                    output=str(root),
                    files=len(moved) - len(lost),
                )
                for file in moved:
                    if looks_like(root, file):
                        (root / file.path).unlink()
        (root / _MARK).unlink(missing_ok=True)
        _clear(root)


def _marked(root: Path) -> list[File]:
    """What was on its way to its place when its bringer was killed."""
    try:
        found = load_json((root / _MARK).read_bytes())
        files = [File(one["path"], one["path"], one["size"], "", one["modified"]) for one in found]
        return [file for file in files if not os.path.isabs(file.path) and ".." not in file.path.split("/")]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def put_in_place(files: Sequence[File], root: Path) -> None:
    """From the stage to their places, with a mark that tells which meanwhile."""
    mark = [{"path": file.path, "size": file.size, "modified": file.modified} for file in files]
    replace_own(root / _MARK, json.dumps(mark).encode())
    _move([file for file in files if os.path.lexists(root / _STAGE / file.path)], root / _STAGE, root)
    (root / _MARK).unlink()


def _move(files: Sequence[File], stage: Path, root: Path) -> None:
    """Pointers last, so that they never name what is not there."""
    for file in sorted(files, key=lambda file: (units.is_pointer(file.path, file.size), file.path)):
        place = root / file.path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        for above in list(place.relative_to(root).parents)[-2::-1]:  # the first below root comes first
            if (root / above).is_file():
                (root / above).unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.modified:
            os.utime(stage / file.path, (file.modified, file.modified))
        os.replace(stage / file.path, place)


def _clear(root: Path) -> None:
    """Nothing of ours stays, but for what :func:`finish_interrupted` needs."""
    if not (root / _MARK).exists():
        shutil.rmtree(root / _STAGE, ignore_errors=True)
    try:
        (root / ".bootstrap").rmdir()
    except OSError:
        pass


def looks_like(root: Path, file: File) -> bool:
    """Whether a file is there that has its size and its time."""
    try:
        found = (root / file.path).stat()
    except OSError:
        return False
    return found.st_size == file.size and (not file.modified or abs(found.st_mtime - file.modified) < 0.002)
