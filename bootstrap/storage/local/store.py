"""A local directory as a store: a NAS mount, a volume given with ``docker run -v``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ...errors import SourceChanging
from ...ground.writes import write_all, write_all_at
from ..common.file_errors import explain
from ..common.plain_writer import PlainWriter
from ..common.sparse import stretches
from ..model.light_writer import LightWriter
from ..model.store import Entry, Moved, RetryWindow, unheard
from .attributes import set_mode
from .staging import PARTIAL, Staging, is_unfinished

_CHUNK = 1 << 20


class FileStore:
    """Keys are paths below ``root`` with ``/`` between the parts. Objects are regular files."""

    revision = ""
    pipeline = None
    retry_window = RetryWindow(0)
    multipart = None
    tells_more = None
    long_listing = None

    def __init__(self, root: Path) -> None:
        self.root = root

    def light_writer(self) -> LightWriter:
        return PlainWriter(self)

    def entries(self, prefix: str) -> Iterator[Entry]:
        top = self._path(prefix.rpartition("/")[0])
        try:
            for directory, below, files in os.walk(top, onerror=_raise_unless_gone):
                below.sort()
                for name in sorted(files):
                    path = os.path.join(directory, name)
                    key = os.path.relpath(path, self.root).replace(os.sep, "/")
                    if key.startswith(prefix) and not is_unfinished(name):
                        found = self.stat(key)
                        if found is not None:  # else a pipe, a link to nothing, or gone meanwhile
                            yield found
        except OSError as error:
            raise explain(error, error.filename or top, "cannot list a directory") from error

    def children(self, prefix: str) -> list[str]:
        try:
            with os.scandir(self._path(prefix)) as found:
                return sorted(entry.name + "/" * entry.is_dir() for entry in found)[:1000]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise explain(error, self._path(prefix), "cannot list a directory") from error

    def stat(self, key: str) -> Entry | None:
        try:
            found = os.stat(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explain(error, self._path(key), "cannot look at a file") from error
        return _entry(key, found) if stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> FileBody:
        path = self._path(key)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise explain(error, path, "cannot read a file") from error
        body = FileBody(path, file, _entry(key, os.fstat(file)), start, end)
        if etag and etag != body.entry.etag:
            body.close()
            raise SourceChanging("a file changed while it was read", where=path)
        return body

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        path = self._path(key)
        staging = Staging()
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if path.endswith("/"):  # a marker of an empty directory
                return _entry(key, os.stat(path))
            file, partial = staging.create(path)
            with os.fdopen(file, "wb", buffering=0) as sink:
                if isinstance(content, bytes):
                    write_all(sink.fileno(), content)
                else:
                    with open(content, "rb", buffering=0) as source:
                        _copy(source.fileno(), sink.fileno(), moved)
                        set_mode(sink.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))
                found = os.fstat(sink.fileno())
                staging.publish(partial, path)
        except OSError as error:
            raise explain(error, error.filename2 or error.filename or path, "cannot write a file") from error
        finally:
            staging.close()
        return _entry(key, found)

    def copy(self, source: str, key: str) -> bool:
        """A second name for the file, where the file system has such; nothing is read or written then."""
        path, origin = self._path(key), self._path(source)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            name = os.path.join(os.path.dirname(path), f"{PARTIAL}{os.urandom(4).hex()}-{os.urandom(8).hex()}.partial")
            try:
                os.link(origin, name)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without hard links
                self.write(key, Path(origin))
                return True
            os.replace(name, path)
        except OSError as error:
            raise explain(error, error.filename2 or error.filename or path, "cannot copy a file") from error
        return True

    def delete(self, key: str) -> None:
        try:
            os.unlink(self._path(key))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise explain(error, self._path(key), "cannot remove a file") from error

    def _path(self, key: str) -> str:
        return os.path.join(self.root, key)


class FileBody:
    """The bytes of one file, read as they are asked for."""

    def __init__(self, path: str, file: int, entry: Entry, start: int, end: int | None) -> None:
        self.entry = entry
        self.encoding = ""
        self._path = path
        self._file = file
        self._at = start
        self._end = entry.size if end is None else end

    def __iter__(self) -> Iterator[bytes]:
        try:
            while self._at < self._end:
                piece = os.pread(self._file, min(_CHUNK, self._end - self._at), self._at)
                if not piece:
                    raise SourceChanging("a file became shorter while it was read", where=self._path)
                self._at += len(piece)
                yield piece
        except OSError as error:
            raise explain(error, self._path, "cannot read a file") from error
        finally:
            self.close()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _copy(source: int, sink: int, moved: Moved) -> None:
    """Holes stay holes. Raises ``OSError``, and what ``moved`` raises."""
    size = os.fstat(source).st_size
    for start, end, is_data in stretches(source, 0, size):
        at = start
        while at < end:
            if not is_data:
                moved(end - at)
                break
            piece = os.pread(source, min(_CHUNK, end - at), at)
            if not piece:  # it became shorter; who asked for the copy sees that it changed
                size = at
                break
            write_all_at(sink, piece, at)
            moved(len(piece))
            at += len(piece)
    os.ftruncate(sink, size)


def _entry(key: str, found: os.stat_result) -> Entry:
    # Not an MD5, and it does not look like one: what tells one state of a file from the next.
    return Entry(key, found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}", found.st_mtime)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
