"""One commit of a repository as a store: keys are its paths, bytes are its blobs as they were committed."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from ...errors import BootstrapError, NothingThere, SourceChanging, SupportMissing
from ...ground.writes import write_all
from ...job import Log
from ..common.file_errors import local_trouble
from ..common.read_only import ReadOnly
from ..model.scheme import Surroundings
from ..model.store import Entry, RetryWindow
from ..model.url import Location, shown
from . import WITHOUT_SUBMODULES
from .program import Blobs, Git
from .submodules import Submodule, address_of, over_the_web, read_gitmodules, same_server, without_user
from .temporary import TemporaryDirectory
from .tree import Blob, Tree

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_WITHOUT = f"#{WITHOUT_SUBMODULES}"
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/.*\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_SKIP = "GIT_LFS_SKIP_SMUDGE"
_YES = ("1", "true", "t", "yes")
_POINTERS_SIZE = range(100, 200)  # bytes (the specification of git-lfs says: less than 1024, in fact some 130)
_CHUNK = 1 << 20
_IDLE = 5.0  # seconds without a read after which no process waits for the next


class _Module(NamedTuple):
    """A commit of a repository that files come from: the one that is wanted, or a submodule's."""

    git: Git
    address: str
    commit: str


class _Pending(NamedTuple):
    """A submodule that nobody has asked for yet."""

    path: str
    address: str
    commit: str


class _Left(NamedTuple):
    """Why something is left out, and what a link leads to as far as that is known."""

    reason: str
    target: str = ""


class GitStore(ReadOnly):
    """Fetched when it is first looked at: one commit without its history, into a temporary repository that goes with
    this process; the commits of submodules when something is asked for that may be in them. What is left out (links
    that lead out) is said when it is listed. Contents that git-lfs keeps are brought by it when the first of them is
    read.
    """

    def __init__(self, location: Location, surroundings: Surroundings, log: Log) -> None:
        super().__init__(f"{location.scheme}://{location.bucket}")
        self.retry_window = RetryWindow(surroundings.retry_window)
        bucket, self._submodules = location.bucket.removesuffix(_WITHOUT), not location.bucket.endswith(_WITHOUT)
        host, _, path = bucket.partition("/")
        path, _, self._wanted = path.rpartition("@") if "@" in path else (path, "", "")
        self._address = f"{location.scheme.removeprefix('git+')}://{host}/{path}"
        if location.userinfo:
            surroundings.mask("a URL's user", location.userinfo)
        self._userinfo, self._surroundings, self._log = location.userinfo, surroundings, log
        self._commit = ""
        self._tree: Tree | None = None
        self._modules: dict[str, _Module] = {}
        self._pending: list[_Pending] = []
        self._files: dict[str, Blob] = {}
        self._unfetched: dict[str, str] = {}  # submodules that are none of the commit's files, and why
        self._left: dict[str, _Left] = {}
        self._said: set[str] = set()
        self._temporary: TemporaryDirectory | None = None
        self._place = ""
        self._git: Git | None = None
        self._idle: list[Blobs] = []
        self._used = 0.0
        self._watched = False
        self._lock, self._pool, self._copying = threading.Lock(), threading.Lock(), threading.Lock()

    @property
    def revision(self) -> str:
        return self._commit

    def entries(self, prefix: str) -> Iterator[Entry]:
        files = self._fetched(prefix)
        for name, left in sorted(self._left.items()):
            if name.startswith(prefix) and name not in self._said:
                self._said.add(name)
                self._log.warning("left out", name=name, reason=left.reason)
        return (_entry(path, files[path]) for path in sorted(files) if path.startswith(prefix))

    def children(self, prefix: str) -> list[str]:
        below = {path[len(prefix) :].partition("/") for path in self._fetched(prefix) if path.startswith(prefix)}
        return sorted({name + slash for name, slash, _ in below})[:1000]

    def stat(self, key: str) -> Entry | None:
        blob = self._fetched(key).get(key)
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
        with self._pool:
            if self._idle:
                return self._idle.pop()
            assert self._git is not None
            return self._git.batch()

    def give_back(self, blobs: Blobs) -> None:
        with self._pool:
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
        with self._pool:
            if time.monotonic() - self._used < _IDLE:
                self._watch()
                return
            self._watched = False
        self._end_idle()

    def _end_idle(self) -> None:
        with self._pool:
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

    def _fetched(self, prefix: str) -> dict[str, Blob]:
        """The files, with all that begin with ``prefix`` among them."""
        with self._lock:
            if not self._commit:
                self._begin()
            while wanted := [one for one in self._pending if self._may_be_in(one.path, prefix)]:
                for one in wanted:
                    self._bring(one)
                    self._pending.remove(one)
                self._look_again()
            return self._files

    def _may_be_in(self, submodule: str, prefix: str) -> bool:
        """Whether something whose path begins with ``prefix`` is in it, or is a link that leads there."""
        inside = f"{submodule}/"
        if inside.startswith(prefix) or prefix.startswith(inside):
            return True
        return any(f"{one.target}/".startswith(inside) for name, one in self._left.items() if name.startswith(prefix))

    def _begin(self) -> None:
        """Bring the commit itself."""
        with local_trouble(tempfile.gettempdir(), "cannot use the temporary directory"):
            if self._temporary is not None:  # of a try that failed
                self._end_idle()  # which read what goes now
                self._temporary.remove()
                self._temporary = None
            self._temporary = TemporaryDirectory()
            self._place = self._temporary.path
            weakref.finalize(self, self._temporary.remove)
        self._git = git = Git(self._place, self._address, self._userinfo, self.url, self._surroundings)
        git.run("init", "--quiet", "--bare")
        commit = self._fetch(git, self._wanted, "refs")
        self._tree, self._modules, self._pending, self._unfetched = Tree(self._read), {}, [], {}
        self._add(_Module(git, self._address, commit), "")
        self._look_again()
        self._commit = commit

    def _bring(self, one: _Pending) -> None:
        """Bring a submodule's commit, into the same temporary repository."""
        address, userinfo = without_user(one.address)
        if userinfo:
            self._surroundings.mask("a URL's user", userinfo)
        if self._userinfo:
            address = over_the_web(address, self._address)
        if not userinfo and same_server(address, self._address):
            userinfo = self._userinfo
        where = f"{self.url}, its submodule {one.path} at {shown(address)}"
        # Who wrote a repository that is elsewhere does not send us to what is on this machine.
        protocols = "file:http:https:ssh" if self._address.startswith("file:") else "http:https:ssh"
        git = Git(self._place, address, userinfo, where, self._surroundings, protocols=protocols)
        try:
            commit = self._fetch(git, one.commit, f"refs/submodules/{len(self._modules)}")
        except BootstrapError as error:
            if error.retry:
                raise
            remedy = f"{error.remedy}; or leave all submodules out, with {_WITHOUT} behind the URL"
            raise error.replace(remedy=remedy) from error
        self._add(_Module(git, address, commit), one.path)

    def _add(self, module: _Module, at: str) -> None:
        """Put what a commit has at ``at``, and note its submodules."""
        assert self._tree is not None
        listing = module.git.run("ls-tree", "-r", "-l", "-z", "--full-tree", module.commit)
        files, submodules = self._tree.add(listing, at)
        self._tree.replace(self._pointers(files))
        self._modules[at] = module
        known: dict[str, Submodule] = {}
        if submodules and (blob := files.get(posixpath.join(at, ".gitmodules"))):
            with suppress(BootstrapError):  # it is no configuration: then nobody knows where they are
                known = read_gitmodules(module.git.run("config", "-z", "--blob", blob.name, "--list"))
        for path, commit in submodules.items():
            found = known.get(posixpath.relpath(path, at or "."))
            address = address_of(found.url, module.address) if found else ""
            if not self._submodules:
                self._unfetched[path] = f"a submodule, and the URL says {WITHOUT_SUBMODULES}"
            elif found is not None and not found.wanted:
                self._unfetched[path] = "a submodule that .gitmodules says to leave alone (update = none)"
            elif not address:
                self._unfetched[path] = "a submodule for which .gitmodules has no address"
            else:
                self._pending.append(_Pending(path, address, commit))

    def _look_again(self) -> None:
        """Follow the links anew: more of what they lead to is here."""
        assert self._tree is not None
        self._left = {path: _Left(reason) for path, reason in self._unfetched.items()}

        def left(name: str, reason: str, target: str) -> None:
            self._left[name] = _Left(reason, target)

        self._files = dict(self._tree.files(left))

    def _read(self, name: str) -> bytes:
        blobs = self.blobs()
        try:
            content = b"".join(blobs.read(name))
        except BaseException:
            blobs.close()
            raise
        self.give_back(blobs)
        return content

    def _fetch(self, git: Git, wanted: str, refs: str) -> str:
        """The commit that is ``wanted``, brought without its history where the server lets us."""
        try:
            git.fetch(wanted or "HEAD", shallow=True)
            return git.run("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").decode().strip()
        except NothingThere:
            # Part of a commit's name, or a server that gives none but the newest ones by name: all of it, then.
            if not _COMMIT.fullmatch(wanted):
                raise
            git.fetch(f"+refs/heads/*:{refs}/heads/*", f"+refs/tags/*:{refs}/tags/*", shallow=False)
            return self._among(git, wanted)

    def _among(self, git: Git, wanted: str) -> str:
        try:
            return git.run("rev-parse", "--verify", f"{wanted}^{{commit}}").decode().strip()
        except BootstrapError as error:
            why = f"no branch and no tag is called {wanted}, and no commit of any"
            raise NothingThere("there is no such revision in the repository", where=git.where, why=why) from error

    def _pointers(self, files: Mapping[str, Blob]) -> dict[str, Blob]:
        """Those whose contents git-lfs keeps: what is in the repository is a pointer to them."""
        attributes = [blob for path, blob in files.items() if path.rpartition("/")[2] == ".gitattributes"]
        if not any(b"filter=lfs" in self._read(blob.name) for blob in attributes):
            return {}
        small = [(path, blob) for path, blob in files.items() if blob.size in _POINTERS_SIZE]
        found = {path: (blob, pointer) for path, blob in small if (pointer := _POINTER.match(self._read(blob.name)))}
        if found and self._surroundings.environ.get(_SKIP, os.environ.get(_SKIP, "")).lower() in _YES:
            reason = f"git-lfs keeps their contents; with {_SKIP} pointers to them are fetched in their place"
            self._log.warning("left out", files=len(found), first=min(found), reason=reason)
            return {}
        return {
            path: Blob(blob.name, int(pointer[2]), blob.module, pointer[1].decode())
            for path, (blob, pointer) in found.items()
        }

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
            git, _, commit = self._modules[blob.module]
            git.run("update-ref", "--no-deref", "HEAD", commit)  # where git-lfs looks for .lfsconfig
            git.run("lfs", "fetch", "origin", commit)
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
