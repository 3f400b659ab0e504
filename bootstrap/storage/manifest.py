"""What an earlier fetch of the same source left here: so that the next one costs a listing and not a download.

Boot scripts that are run again and containers restarted in place fetch the same code and data once more. One line of
JSON a file is written while the files arrive, so that a fetch that was killed goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bootstrap.storage.digests import has_digest
from bootstrap.storage.local import PARTIAL
from bootstrap.storage.store import ENCRYPTED, Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

File = tuple[str, "Entry"]
"""A path below the root, and the object that belongs there."""
Changed = Literal["restore", "keep"]
"""What becomes of files that were changed here since they were fetched."""
Extra = Literal["keep", "delete"]
"""What becomes of files that the source does not have."""

_COMPLETE = b'["", "complete"]\n'
_AT_ONCE = 4096  # lines that are read together: one by one takes three times as long, all of them twice the memory


class Standing(NamedTuple):
    """How the files here stand to the objects that are there now."""

    same: int
    """How many were fetched from this very object, and nobody touched them since."""
    changed: list[File]
    """Were fetched from it, and somebody did."""
    missing: list[File]
    """All else: also what was deleted here, and what is of an object that is another by now."""


class Manifest:
    """Held by one process at a time; another that comes meanwhile remembers nothing and fetches everything."""

    def __init__(self, root: str, source: str) -> None:
        self.finished = False
        """Whether the last fetch brought everything, and nothing was brought since."""
        self._root = root
        self._known: dict[str, list[Any]] = {}  # as note() puts them down
        self._new: list[str] = []
        self._file = self._open(root, source) if root else -1
        if self._file >= 0:
            self._load(source)

    @classmethod
    def nowhere(cls) -> Manifest:
        """One that knows nothing and remembers nothing."""
        return cls("", "")

    def stand(self, files: Iterable[File]) -> Standing:
        """Look at the files. Called once: what earlier fetches left written is forgotten with it."""
        same, changed, missing = 0, list[File](), list[File]()
        known_of, look, base = self._known.get, os.lstat, os.path.join(self._root, "")
        for file in files:
            path, entry = file
            known = known_of(path)
            if known is None or known[0] != entry.etag or known[1] != entry.size:
                missing.append(file)
                continue
            try:
                found = look(base + path)
            except OSError:
                missing.append(file)
                continue
            if found.st_mtime_ns == known[3] and found.st_size == entry.size and entry.etag:
                same += 1
            elif not entry.etag and known[2] != entry.mtime:
                missing.append(file)
            elif _is_unchanged(base + path, found, known):
                same += 1
            else:
                changed.append(file)
        self._known = {}
        return Standing(same, changed, missing)

    def members(self, etag: str) -> list[File]:
        """What came from the one object with this ETag: what was in an archive. Directories end in a slash."""
        return [(path, Entry("", known[1], etag)) for path, known in self._known.items() if known[0] == etag]

    def begin(self) -> None:
        """Something is going to be brought: until :meth:`close` says that it is complete there may be leftovers."""
        self._new.append('["", "begun"]')
        self.flush()

    def note(self, path: str, entry: Entry, mtime_ns: int, digest: str = "") -> None:
        """A file has arrived. From any thread."""
        etag = entry.etag.removesuffix(ENCRYPTED)
        fields = [etag, entry.size, entry.mtime, mtime_ns, "" if digest == etag else digest]
        self._new.append(json.dumps([path, fields], ensure_ascii=True))

    def flush(self) -> None:
        """Write down what arrived since the last time. From one thread."""
        count = len(self._new)
        if count and self._file >= 0:
            os.write(self._file, "".join(f"{line}\n" for line in self._new[:count]).encode())
            self.finished = False
            del self._new[:count]

    def close(self, complete: bool) -> None:
        """The fetch has ended; ``complete`` if everything is there."""
        if self._file < 0:
            return
        try:
            self.flush()
            if complete and not self.finished:
                os.write(self._file, _COMPLETE)
        except OSError:
            pass  # a full disk, say: the next fetch knows less, which is all
        finally:
            os.close(self._file)
            self._file = -1

    def _open(self, root: str, source: str) -> int:
        """The manifest's descriptor, or -1 where there can be none."""
        parent, name = os.path.split(os.path.abspath(root))
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError:
            return -1  # the fetch itself is about to say why
        if os.path.ismount(root) or not os.access(parent, os.W_OK):
            parent = root  # beside the tree, not in it, unless the tree is all that will still be there next time
        tag = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        try:
            os.makedirs(parent, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            file = os.open(os.path.join(parent, f"{PARTIAL}{name[:50]}-{tag}.manifest"), flags, 0o644)
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
        known: dict[str, Any] = {}
        count = 0
        with open(self._file, "rb", closefd=False) as lines:
            good = lines.readline() == head
            while good and (rows := list(islice(lines, _AT_ONCE))):
                if not rows[-1].endswith(b"\n"):  # what a kill cut short
                    os.ftruncate(self._file, os.fstat(self._file).st_size - len(rows.pop()))
                try:
                    known.update(json.loads(b"[%s]" % b",".join(rows)))
                except (ValueError, TypeError):
                    good = False
                count += len(rows)
        self.finished = good and known.pop("", "") == "complete"
        if good and all(type(fields) is list and len(fields) == 5 for fields in known.values()):
            self._known = known
        else:
            count, self.finished = _AT_ONCE + 1, False
        if count > 2 * len(self._known) + _AT_ONCE:  # garbage, or what is not true any more: begin anew
            rows = [head, *(f"{json.dumps(row)}\n".encode() for row in self._known.items())]
            os.ftruncate(self._file, 0)
            os.write(self._file, b"".join(rows) + (_COMPLETE if self.finished else b""))


def _is_unchanged(place: str, found: os.stat_result, known: list[Any]) -> bool:
    """Whether what is there is what was fetched, though perhaps touched."""
    etag, size, _, mtime_ns, digest = known
    if stat.S_ISDIR(found.st_mode):
        return place.endswith("/")
    if found.st_size != size:
        return False
    return found.st_mtime_ns == mtime_ns or (stat.S_ISREG(found.st_mode) and has_digest(place, digest or etag))


def remove_extra(root: str, wanted: Collection[str], kept: Collection[str]) -> int:
    """Delete what is in the tree and not ``wanted``; returns how many files. Empty directories that are not to be
    ``kept`` go with them."""
    count = 0
    for directory, below, files in os.walk(root, topdown=False):
        relative = os.path.relpath(directory, root)
        base = "" if relative == "." else f"{relative}/"
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links):
            path = base + name
            if path not in wanted and path not in kept and not name.startswith(PARTIAL):
                os.unlink(os.path.join(directory, name))
                count += 1
        if base and relative not in kept and not os.listdir(directory):
            os.rmdir(directory)
    return count
