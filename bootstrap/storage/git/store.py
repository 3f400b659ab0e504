"""One commit of a repository as a store: keys are its paths, bytes are its blobs as they were committed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from ...errors import BootstrapError, NothingThere, SourceChanging, SupportMissing
from ...ground.writes import write_all
from ...job import Log
from ..common.file_errors import local_trouble
from ..common.read_only import ReadOnly
from ..model.scheme import Surroundings
from ..model.store import Entry, RetryWindow
from ..model.url import Location
from .program import Blobs, Git
from .temporary import TemporaryDirectory
from .tree import Blob, Tree

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/.*\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_SKIP = "GIT_LFS_SKIP_SMUDGE"
_YES = ("1", "true", "t", "yes")
_POINTERS_SIZE = range(100, 200)  # bytes (the specification of git-lfs says: less than 1024, in fact some 130)
_CHUNK = 1 << 20
_IDLE = 5.0  # seconds without a read after which no process waits for the next


class GitStore(ReadOnly):
    """Fetched when it is first looked at: one commit without its history, into a temporary repository that goes with
    this process. What is left out (submodules, links that lead out) is said then. Contents that git-lfs keeps are
    brought by it when the first of them is read.
    """

    def __init__(self, location: Location, surroundings: Surroundings, log: Log) -> None:
        super().__init__(f"{location.scheme}://{location.bucket}")
        self.retry_window = RetryWindow(surroundings.retry_window)
        host, _, path = location.bucket.partition("/")
        path, _, self._wanted = path.rpartition("@") if "@" in path else (path, "", "")
        self._address = f"{location.scheme.removeprefix('git+')}://{host}/{path}"
        if location.userinfo:
            surroundings.mask("a URL's user", location.userinfo)
        self._userinfo, self._surroundings, self._log = location.userinfo, surroundings, log
        self._commit = ""
        self._files: dict[str, Blob] = {}
        self._temporary: TemporaryDirectory | None = None
        self._place = ""
        self._git: Git | None = None
        self._idle: list[Blobs] = []
        self._used = 0.0
        self._watched = False
        self._lock, self._copying = threading.Lock(), threading.Lock()

    @property
    def revision(self) -> str:
        return self._commit

    def entries(self, prefix: str) -> Iterator[Entry]:
        files = self._fetched()
        return (_entry(path, files[path]) for path in sorted(files) if path.startswith(prefix))

    def children(self, prefix: str) -> list[str]:
        below = {path[len(prefix) :].partition("/") for path in self._fetched() if path.startswith(prefix)}
        return sorted({name + slash for name, slash, _ in below})[:1000]

    def stat(self, key: str) -> Entry | None:
        blob = self._fetched().get(key)
        return None if blob is None else _entry(key, blob)

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> BlobBody | SpooledBody:
        entry = self.stat(key)
        if entry is None:
            raise NothingThere("there is no such file in the repository", where=f"{self.url}, {key}")
        if etag and etag != entry.etag:
            raise SourceChanging("a file is another one by now", where=f"{self.url}, {key}")
        blob, last = self._files[key], entry.size if end is None else min(end, entry.size)
        if blob.lfs:
            return SpooledBody(entry, self._kept_elsewhere(key, blob), start, last)
        return SpooledBody(entry, self._copied(blob), start, last) if start else BlobBody(self, entry, blob.name, last)

    def blobs(self) -> Blobs:
        """A process to read with; :meth:`give_back` it once an object has been read to its end."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            assert self._git is not None
            return self._git.batch()

    def give_back(self, blobs: Blobs) -> None:
        with self._lock:
            self._idle.append(blobs)
            self._used = time.monotonic()
            if not self._watched:
                self._watched = True
                self._watch()

    def _watch(self) -> None:
        timer = threading.Timer(_IDLE, self._rest)
        timer.daemon = True
        timer.start()

    def _rest(self) -> None:
        """End what waits to be asked, once nobody has for a while: a job goes on for days."""
        with self._lock:
            if time.monotonic() - self._used < _IDLE:
                self._watch()
                return
            self._watched = False
            idle, self._idle = self._idle, []
        for blobs in idle:
            blobs.close()

    def _copied(self, blob: Blob) -> str:
        """The blob in a file of its own: git gives an object from its beginning only."""
        path = os.path.join(self._place, f"{blob.name}.blob")
        with self._copying, local_trouble(path, "cannot use the temporary directory"):
            if not os.path.exists(path):
                with open(f"{path}.part", "wb", buffering=0) as file:
                    for piece in BlobBody(self, _entry("", blob), blob.name, blob.size):
                        write_all(file.fileno(), piece)
                os.rename(f"{path}.part", path)
        return path

    def _fetched(self) -> dict[str, Blob]:
        with self._lock:
            if self._commit:
                return self._files
            with local_trouble(tempfile.gettempdir(), "cannot use the temporary directory"):
                if self._temporary is not None:  # of a try that failed
                    self._temporary.remove()
                    self._temporary = None
                self._temporary = TemporaryDirectory()
                self._place = self._temporary.path
                weakref.finalize(self, self._temporary.remove)
            self._git = git = Git(self._place, self._address, self._userinfo, self.url, self._surroundings)
            git.run("init", "--quiet", "--bare")
            commit = self._fetch(git)
            blobs = git.batch()
            try:

                def read(name: str) -> bytes:
                    return b"".join(blobs.read(name))

                listing = git.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
                self._files = dict(Tree(listing, read, self._left).files())
                self._find_pointers(read)
            finally:
                blobs.close()
            self._commit = commit
            return self._files

    def _fetch(self, git: Git) -> str:
        """The commit that is wanted, brought without its history where the server lets us."""
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            git.run(*fetch, "--depth=1", self._address, self._wanted or "HEAD")
            return git.run("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").decode().strip()
        except NothingThere:
            # Part of a commit's name, or a server that gives none but the newest ones by name: all of it, then.
            if not _COMMIT.fullmatch(self._wanted):
                raise
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            git.run(*fetch, self._address, *refs)
            return self._among(git)

    def _among(self, git: Git) -> str:
        try:
            return git.run("rev-parse", "--verify", f"{self._wanted}^{{commit}}").decode().strip()
        except BootstrapError as error:
            why = f"no branch, no tag and no commit is called {self._wanted}"
            raise NothingThere("there is no such revision in the repository", where=self.url, why=why) from error

    def _left(self, name: str, reason: str) -> None:
        self._log.warning("left out", name=name, reason=reason)

    def _find_pointers(self, read: Callable[[str], bytes]) -> None:
        """Contents that are elsewhere: git-lfs keeps them, and what is in the repository is a pointer to them."""
        attributes = [blob for path, blob in self._files.items() if path.rpartition("/")[2] == ".gitattributes"]
        if not any(b"filter=lfs" in read(blob.name) for blob in attributes):
            return
        small = [(path, blob) for path, blob in self._files.items() if blob.size in _POINTERS_SIZE]
        found = {path: (blob, pointer) for path, blob in small if (pointer := _POINTER.match(read(blob.name)))}
        if found and self._surroundings.environ.get(_SKIP, os.environ.get(_SKIP, "")).lower() in _YES:
            reason = f"git-lfs keeps their contents; with {_SKIP} pointers to them are fetched in their place"
            self._log.warning("left out", files=len(found), first=min(found), reason=reason)
            return
        for path, (blob, pointer) in found.items():
            self._files[path] = Blob(blob.name, int(pointer[2]), pointer[1].decode())

    def _kept_elsewhere(self, key: str, blob: Blob) -> str:
        """The file with a content that git-lfs keeps: all of the commit's come with the first."""
        path = os.path.join(self._place, "lfs", "objects", blob.lfs[:2], blob.lfs[2:4], blob.lfs)
        with self._copying:
            if os.path.exists(path):
                return path
            if shutil.which("git-lfs") is None:
                remedy = f"install git-lfs in the image, or set {_SKIP}=1 to take the pointers in their place"
                why = "git-lfs keeps its content, and the program is not in PATH"
                raise SupportMissing("a file of the repository needs git-lfs", where=key, why=why, remedy=remedy)
            assert self._git is not None
            self._git.run("update-ref", "--no-deref", "HEAD", self._commit)  # where git-lfs looks for .lfsconfig
            self._git.run("lfs", "fetch", "origin", self._commit)
        if not os.path.exists(path):
            raise NothingThere("git-lfs does not have the content of a file", where=f"{self.url}, {key}", why=blob.lfs)
        return path


class BlobBody:
    """The bytes of one blob, up to ``end``."""

    encoding = ""

    def __init__(self, store: GitStore, entry: Entry, name: str, end: int) -> None:
        self.entry = entry
        self._store, self._name, self._end = store, name, end

    def __iter__(self) -> Iterator[bytes]:
        blobs, left, whole = self._store.blobs(), self._end, False
        try:
            for piece in blobs.read(self._name):
                if left < len(piece):
                    yield piece[:left]
                    return
                left -= len(piece)
                yield piece
            whole = True
        finally:
            if whole:
                self._store.give_back(blobs)
            else:
                blobs.close()

    def close(self) -> None:
        """Who stops reading ends the generator, and that the process."""


class SpooledBody:
    """Bytes from the middle of a blob."""

    encoding = ""

    def __init__(self, entry: Entry, path: str, start: int, end: int) -> None:
        self.entry = entry
        self._path, self._start, self._end = path, start, end

    def __iter__(self) -> Iterator[bytes]:
        with local_trouble(self._path, "cannot read what git gave"), open(self._path, "rb", buffering=0) as file:
            file.seek(self._start)
            left = self._end - self._start
            while left > 0 and (piece := file.read(min(_CHUNK, left))):
                left -= len(piece)
                yield piece

    def close(self) -> None:
        """Who stops reading ends the generator, and that closes the file."""


def _entry(path: str, blob: Blob) -> Entry:
    return Entry(path, blob.size, f"git:{blob.name}", sha256=blob.lfs)
