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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bootstrap.storage.digests import has_digest
from bootstrap.storage.local import PARTIAL
from bootstrap.storage.store import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Collection

    from bootstrap.storage.store import Entry

State = Literal["same", "changed", "other"]
Changed = Literal["restore", "keep"]
"""What becomes of files that were changed here since they were fetched."""
Extra = Literal["keep", "delete"]
"""What becomes of files that the source does not have."""


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was when it was fetched: of which object, and what the file system said of it then."""

    etag: str
    size: int
    source_mtime: float
    mtime_ns: int
    digest: str  # of its bytes, as digests.py writes it; empty if it is not known


class Manifest:
    """Held by one process at a time; another that comes meanwhile remembers nothing and fetches everything."""

    def __init__(self, root: str, source: str) -> None:
        self.finished = False
        """Whether the last fetch brought everything, and nothing was brought since."""
        self._root = root
        self._known: dict[str, Known] = {}
        self._new: list[str] = []
        self._file = self._open(root, source) if root else -1
        if self._file >= 0:
            self._load(source)

    @classmethod
    def nowhere(cls) -> Manifest:
        """One that knows nothing and remembers nothing."""
        return cls("", "")

    def compare(self, path: str, entry: Entry) -> State:
        """How the file at ``path`` (below the root) stands to the object that is there now.

        ``same``: it was fetched from this very object and nobody touched it since. ``changed``: it was, and somebody
        did. ``other``: all else, also a file that was deleted here, and an object that is another by now.
        """
        known = self._known.get(path)
        if known is None or not _same_object(known, entry):
            return "other"
        return self._state(path, known)

    def states_of(self, etag: str) -> dict[str, State]:
        """As :meth:`compare`, for everything that came from the one object with this ETag: the members of an archive.

        Paths of directories end in a slash.
        """
        return {path: self._state(path, known) for path, known in self._known.items() if known.etag == etag}

    def begin(self) -> None:
        """Something is going to be brought: until :meth:`close` says that it is complete there may be leftovers."""
        self._new.append('"begun"')

    def note(self, path: str, entry: Entry, mtime_ns: int, digest: str = "") -> None:
        """A file has arrived. From any thread."""
        fields = [path, entry.etag.removesuffix(ENCRYPTED), entry.size, entry.mtime, mtime_ns, digest]
        self._new.append(json.dumps(fields, ensure_ascii=True))

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
                os.write(self._file, b'"complete"\n')
        except OSError:
            pass  # a full disk, say: the next fetch knows less, which is all
        finally:
            os.close(self._file)
            self._file = -1

    def _state(self, path: str, known: Known) -> State:
        place = os.path.join(self._root, path)
        try:
            found = os.lstat(place)
        except OSError:
            return "other"
        if path.endswith("/"):
            return "same"
        if found.st_size != known.size:
            return "changed"
        if found.st_mtime_ns == known.mtime_ns:
            return "same"
        return "same" if stat.S_ISREG(found.st_mode) and has_digest(place, known.digest) else "changed"

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
            file = os.open(os.path.join(parent, f"{PARTIAL}{name[:200]}-{tag}.manifest"), flags, 0o644)
        except OSError:
            return -1
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return -1
        return file

    def _load(self, source: str) -> None:
        with open(self._file, "rb", closefd=False) as lines:
            text = lines.read()
        head = json.dumps({"format": 1, "source": source})
        if not text.startswith(f"{head}\n".encode()):
            os.ftruncate(self._file, 0)
            os.write(self._file, f"{head}\n".encode())
            return
        for line in text.split(b"\n")[1:-1]:  # behind the last line end is nothing, or what a kill cut short
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            self.finished = fields == "complete"
            if isinstance(fields, list) and len(fields) == 6:
                self._known[fields[0]] = Known(*fields[1:])
        if not text.endswith(b"\n"):
            os.write(self._file, b"\n")
            self.finished = False


def _same_object(known: Known, entry: Entry) -> bool:
    same = known.etag == entry.etag and known.size == entry.size
    return same and (bool(entry.etag) or known.source_mtime == entry.mtime)


def remove_extra(root: str, wanted: Collection[str], kept: Collection[str]) -> int:
    """Delete what is in the tree and not ``wanted``; returns how many files. Empty directories that are not to be
    ``kept`` go with them."""
    count = 0
    for directory, below, files in os.walk(root, topdown=False):
        relative = os.path.relpath(directory, root)
        base = "" if relative == "." else f"{relative}/"
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links):
            if base + name not in wanted and not name.startswith(PARTIAL):
                os.unlink(os.path.join(directory, name))
                count += 1
        if base and relative not in kept and not os.listdir(directory):
            os.rmdir(directory)
    return count
