"""What an earlier fetch of the same source left here: so that the next one costs a listing and not a download.

Boot scripts that are run again and containers restarted in place fetch the same code and data once more. One line of
JSON a file is written while the files arrive, so that a fetch that was killed goes on where it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from array import array
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ...ground.json_text import load_json
from ...ground.safe_files import open_own
from ...ground.writes import write_all
from ..local.digests import has_digest
from ..local.staging import PARTIAL, is_unfinished
from ..model.store import ENCRYPTED, Entry
from .files import Files
from .known import Noted, Notes

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

Changed = Literal["restore", "keep"]
"""What becomes of files that were changed here since they were fetched."""
Extra = Literal["keep", "delete"]
"""What becomes of files that the source does not have."""

_COMPLETE = b'["", "complete"]\n'
_AT_ONCE = 4096  # lines that are read together: one by one takes three times as long


class Standing(NamedTuple):
    """How the files here stand to the objects that are there now."""

    same: int
    """How many were fetched from this very object, and nobody touched them since."""
    changed: Files
    """Were fetched from it, and somebody did."""
    missing: Files
    """All else: also what was deleted here, and what is of an object that is another by now."""

    def wanted(self, changed: Changed) -> Files:
        """What is to be brought."""
        again = self.changed.rows if changed == "restore" else ()
        return self.missing.only(array("I", chain(self.missing.rows, again)))


class FetchIndex:
    """Held by one process at a time; another that comes meanwhile remembers nothing and fetches everything."""

    def __init__(self, root: str, source: str) -> None:
        self.finished = False
        """Whether the last fetch brought everything, and nothing was brought since."""
        self._began = time.time()
        self._root = root
        self._known = Notes()
        self._new: list[str] = []
        self._file = self._open(root, source) if root else -1
        if self._file >= 0:
            self._load(source)

    @classmethod
    def nowhere(cls) -> FetchIndex:
        """One that knows nothing and remembers nothing."""
        return cls("", "")

    def stand(self, files: Files) -> Standing:
        """Look at the files. Called once: what earlier fetches left written is forgotten with it."""
        same, changed, missing = 0, array("I"), array("I")
        known, look, base = self._known, os.lstat, os.path.join(self._root, "")
        for row, path, etag, size in zip(files.rows, files.paths, files.etags, files.sizes, strict=True):
            at = known.row(path)
            if at < 0 or known.etags[at] != etag or known.sizes[at] != size:
                missing.append(row)
                continue
            try:
                found = look(base + path)
            except OSError:
                missing.append(row)
                continue
            if found.st_mtime_ns == known.mtimes_ns[at] and found.st_size == size and etag:
                same += 1
            elif not etag and known[at].mtime != files.listing.mtimes[row]:
                missing.append(row)
            elif _is_unchanged(base + path, found, known[at]):
                same += 1
            else:
                changed.append(row)
        self._known = Notes()
        return Standing(same, files.only(changed), files.only(missing))

    def members(self, etag: str) -> Files:
        """What came from the one object with this ETag: what was in an archive. Directories end in a slash."""
        return Files.of(
            (path, Entry("", noted.size, etag))
            for path, row, _ in self._paths()
            if self._known.row(path) == row and (noted := self._known[row]).etag == etag
        )

    def begin(self) -> None:
        """Something is going to be brought: until :meth:`close` says that it is complete there may be leftovers."""
        self._new.append('["", "begun"]')
        self.flush()

    def note(self, path: str, entry: Entry, mtime_ns: int, digest: str = "") -> None:
        """A file has arrived. From any thread. The next fetch knows nothing of what could have become another since
        this one began, and look the same.
        """
        if entry.may_change_unseen(self._began):
            return
        etag = entry.etag.removesuffix(ENCRYPTED)
        fields = [etag, entry.size, entry.mtime, mtime_ns, "" if digest == etag else digest]
        self._new.append(json.dumps([path, fields], ensure_ascii=True))

    def flush(self) -> None:
        """Write down what arrived since the last time. From one thread."""
        count = len(self._new)
        if count and self._file >= 0:
            write_all(self._file, "".join(f"{line}\n" for line in self._new[:count]).encode())
            self.finished = False
            del self._new[:count]

    def close(self, complete: bool) -> None:
        """The fetch has ended; ``complete`` if everything is there."""
        if self._file < 0:
            return
        try:
            self.flush()
            if complete and not self.finished:
                write_all(self._file, _COMPLETE)
        except OSError:
            pass  # a full disk, say: the next fetch knows less, which is all
        finally:
            os.close(self._file)
            self._file = -1

    def _open(self, root: str, source: str) -> int:
        """The index file's descriptor, or -1 where there can be none."""
        parent, name = os.path.split(os.path.abspath(root))
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError:
            return -1  # the fetch itself is about to say why
        if os.path.ismount(root) or not os.access(parent, os.W_OK):
            parent = root  # beside the tree, not in it, unless the tree is all that will still be there next time
        import hashlib  # a local tree has no index, and the library behind it takes its time

        tag = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        try:
            os.makedirs(parent, exist_ok=True)
            path = os.path.join(parent, f"{PARTIAL}{name[:50]}-{tag}.manifest")
            file = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)  # no link, no pipe, nobody else's word
        except OSError:
            return -1
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return -1
        return file

    def _load(self, source: str) -> None:
        head = f"{json.dumps({'format': 2, 'source': source})}\n".encode()
        known, state, count = Notes(), "", 0
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            good = file.readline() == head
        try:
            for _, rows in self._batches() if good else ():
                count += len(rows)
                state = next((said for path, said in reversed(rows) if not path), state)
                files = [row for row in rows if row[0]]
                if files:
                    known.extend(*zip(*files, strict=True))
        except (ValueError, TypeError, LookupError, OverflowError):
            good = False
        if good:
            known.sort()
            self._known = known
        self.finished = good and state == "complete"
        if not good or (count > _AT_ONCE and count > 2 * known.count() + _AT_ONCE):
            self._begin_anew(head)

    def _begin_anew(self, head: bytes) -> None:
        """Garbage, or what is not true any more, has become too much: write down what holds, and nothing else."""
        if not len(self._known):
            os.ftruncate(self._file, 0)
            write_all(self._file, head + (_COMPLETE if self.finished else b""))
            return
        import tempfile  # for those alone who need it

        with suppress(OSError), tempfile.TemporaryFile() as kept:  # where there is no room for it, it stays as it is
            kept.write(head)
            kept.writelines(line for path, row, line in self._paths() if self._known.row(path) == row)
            kept.write(_COMPLETE if self.finished else b"")
            kept.seek(0)
            os.ftruncate(self._file, 0)
            while some := kept.read(1 << 20):
                write_all(self._file, some)

    def _paths(self) -> Iterator[tuple[str, int, bytes]]:
        """Each path that was noted, its row, and the line."""
        row = 0
        for lines, rows in self._batches():
            for line, (path, _) in zip(lines, rows, strict=True):
                if path:
                    yield path, row, line
                    row += 1

    def _batches(self) -> Iterator[tuple[list[bytes], list[Any]]]:
        """Lines behind the first one, some at a time, and what they say. Raises ``ValueError`` for no JSON."""
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            file.readline()
            while lines := list(islice(file, _AT_ONCE)):
                if not lines[-1].endswith(b"\n"):  # what a kill cut short
                    os.ftruncate(self._file, os.fstat(self._file).st_size - len(lines.pop()))
                yield lines, load_json(b"[%s]" % b",".join(lines))


def _is_unchanged(place: str, found: os.stat_result, noted: Noted) -> bool:
    """Whether what is there is what was fetched, though perhaps touched."""
    if stat.S_ISDIR(found.st_mode):
        return place.endswith("/")
    if found.st_size != noted.size:
        return False
    unchanged = found.st_mtime_ns == noted.mtime_ns
    return unchanged or (stat.S_ISREG(found.st_mode) and has_digest(place, noted.digest or noted.etag))


def remove_extra(root: str, wanted: Container[str], kept: Container[str]) -> int:
    """Delete what is in the tree and not ``wanted``; returns how many files. Empty directories that are not to be
    ``kept`` go with them."""
    count = 0
    for directory, below, files in os.walk(root, topdown=False):
        relative = os.path.relpath(directory, root)
        base = "" if relative == "." else f"{relative}/"
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links):
            path = base + name
            if path not in wanted and path not in kept and not is_unfinished(name):
                os.unlink(os.path.join(directory, name))
                count += 1
        if base and relative not in kept and not os.listdir(directory):
            os.rmdir(directory)
    return count
