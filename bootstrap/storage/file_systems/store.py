"""A file system of fsspec as a store."""

from __future__ import annotations

import base64
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec

from ...errors import NothingThere, SourceChanging, UsageError
from ..common.plain_writer import PlainWriter
from ..model.light_writer import LightWriter
from ..model.scheme import Surroundings
from ..model.store import TIME_ALONE, Entry, Moved, RetryWindow, plain_etag, unheard
from ..model.url import Location
from .file_system import FileSystem
from .troubles import told

_CHUNK = 8 << 20  # bytes of one request
_PARTIAL = ".bootstrap-", ".partial"
_RANDOM = 8  # bytes of a partial name


_LIBRARIES = ("fsspec", "gcsfs", "google", "adlfs", "azure", "ossfs", "oss2", "paramiko")
"""What they log would be on our stderr, unmasked, where nobody else listens; what fails they raise as well."""
_UNHEARD = logging.NullHandler()


class FileSystemStore:
    """Keys are paths below a bucket, or absolute ones without their first slash."""

    revision = ""
    pipeline = None
    multipart = None
    tells_more = None
    long_listing = None

    def __init__(self, location: Location, kind: FileSystem, surroundings: Surroundings) -> None:
        self.url = f"{location.scheme}://{location.bucket}"
        self.retry_window = RetryWindow(surroundings.retry_window)
        self._kind = kind
        self._root = f"{location.bucket.partition('@')[0]}/" if kind.has_buckets else "/"
        self._options = kind.options(location, surroundings.environ)
        self._connected: Any = None
        for name in _LIBRARIES:
            logging.getLogger(name).addHandler(_UNHEARD)
        self._lock = threading.Lock()

    def light_writer(self) -> LightWriter:
        return PlainWriter(self)

    def entries(self, prefix: str) -> Iterator[Entry]:
        top = prefix.rpartition("/")[0]
        with told("cannot list a place", self._where(prefix)):
            try:
                found = self._system().find(self._path(top), detail=True)
            except FileNotFoundError:
                return iter(())
            entries = [entry for name, info in found.items() if (entry := self._entry(self._key(name), info))]
        wanted = (entry for entry in entries if entry.key.startswith(prefix) and not _is_partial(entry.key))
        return iter(sorted(wanted, key=lambda entry: entry.key))

    def children(self, prefix: str) -> list[str]:
        with told("cannot list a place", self._where(prefix)):
            try:
                found = self._system().ls(self._path(prefix.rstrip("/")), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            names = [(self._key(info["name"]).rstrip("/"), info["type"] == "directory") for info in found]
        below = {f"{name[len(prefix) :]}{'/' * inside}" for name, inside in names if name.startswith(prefix)}
        return sorted(below - {"", "/"})[:1000]

    def stat(self, key: str) -> Entry | None:
        if not key or key.endswith("/"):
            return None
        with told("cannot look at a file", self._where(key)):
            try:
                return self._entry(key, self._system().info(self._path(key)), follow=False)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> FileSystemBody:
        entry = self.stat(key)
        if entry is None:
            raise NothingThere("there is no such file", where=self._where(key))
        if etag and etag != entry.etag:
            raise SourceChanging("a file changed while it was read", where=self._where(key))
        last = entry.size if end is None else min(end, entry.size)
        return FileSystemBody(self._system(), self._path(key), self._where(key), entry, start, last, self._kind)

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        where = self._where(key)
        if encoding:
            why = f"it has the Content-Encoding {encoding}, which would be lost"
            raise UsageError("an object cannot be kept there as it is", where=where, why=why, remedy="fetch it instead")
        with told("cannot write a file", where):
            system, path = self._system(), self._path(key)
            if key.endswith("/"):  # a marker of an empty directory, of which stores other than S3's kind have none
                if not self._kind.has_buckets:
                    system.makedirs(path.rstrip("/"), exist_ok=True)
                return Entry(key, 0)
            if self._kind.has_buckets:
                _put(system, content, path)
            else:
                directory = path.rpartition("/")[0]
                system.makedirs(directory or "/", exist_ok=True)
                partial = f"{directory}/{_PARTIAL[0]}{os.urandom(_RANDOM).hex()}{_PARTIAL[1]}"
                try:
                    _put(system, content, partial)
                    _rename(system, partial, path)
                except BaseException:
                    with suppress(Exception):  # of what went wrong first is told
                        system.rm_file(partial)
                    raise
            system.invalidate_cache()
        entry = self.stat(key)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if entry is None or entry.size != size:
            why = f"{size} bytes were sent, {'nothing' if entry is None else entry.size} is there"
            raise SourceChanging("what was written is not what is there", where=where, why=why)
        moved(size)
        return entry

    def copy(self, source: str, key: str) -> bool:
        return False

    def delete(self, key: str) -> None:
        with told("cannot remove a file", self._where(key)):
            try:
                self._system().rm_file(self._path(key))
            except FileNotFoundError:
                pass

    def _system(self) -> Any:
        """The file system, connected. It serves any number of threads."""
        with self._lock:
            if self._connected is None:
                with told("cannot reach a place", self.url):
                    plain = {"use_listings_cache": False, "skip_instance_cache": True}
                    if self._kind.own is not None:
                        self._connected = self._kind.own()(**self._options, skip_instance_cache=True)
                    else:
                        self._connected = fsspec.filesystem(self._kind.protocol, **plain, **self._options)
            self._connected.invalidate_cache()
            return self._connected

    def _path(self, key: str) -> str:
        return f"{self._root}{key}"

    def _key(self, name: str) -> str:
        return name.lstrip("/").removeprefix(self._root.lstrip("/"))

    def _where(self, key: str) -> str:
        return f"{self.url}/{key}"

    def _entry(self, key: str, info: Mapping[str, Any], *, follow: bool = True) -> Entry | None:
        if info["type"] == "link" and follow:
            return self.stat(key)  # which says what it leads to
        if info["type"] != "file":
            return None
        size, mtime = int(info["size"] or 0), _mtime(info)
        return Entry(key, size, _version(info, size, mtime), mtime)


class FileSystemBody:
    """Bytes of a file, a request for each piece of them."""

    encoding = ""

    def __init__(
        self, system: Any, path: str, where: str, entry: Entry, start: int, end: int, kind: FileSystem
    ) -> None:
        self.entry = entry
        self._at, self._end, self._kind = start, end, kind
        self._system, self._path, self._where = system, path, where

    def __iter__(self) -> Iterator[bytes]:
        with told("cannot read a file", self._where):
            for piece in self._pieces():
                if not piece:
                    raise SourceChanging("a file became shorter while it was read", where=self._where)
                yield piece

    def _pieces(self) -> Iterator[bytes]:
        at, end = self._at, self._end
        if self._kind.has_buckets:
            for start in range(at, end, _CHUNK):
                yield self._system.cat_file(self._path, start=start, end=min(start + _CHUNK, end))
        elif hasattr(self._system, "pieces"):
            yield from self._system.pieces(self._path, at, end)
        else:
            with self._system.open(self._path, "rb") as file:
                file.seek(at)
                while at < end:
                    piece = file.read(min(_CHUNK, end - at))
                    at += len(piece)
                    yield piece

    def close(self) -> None:
        """Who stops reading asks for no more."""


def _put(system: Any, content: Path | bytes, path: str) -> None:
    if isinstance(content, bytes):
        system.pipe_file(path, content)
    else:
        system.put_file(os.fspath(content), path)


def _rename(system: Any, partial: str, path: str) -> None:
    if hasattr(system, "replace"):
        system.replace(partial, path)
        return
    if system.exists(path):  # HDFS renames over nothing: for this moment there is neither
        system.rm_file(path)
    system.mv(partial, path)


def _is_partial(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name.startswith(_PARTIAL[0]) and name.endswith(_PARTIAL[1])


def _mtime(info: Mapping[str, Any]) -> float:
    """Under the names that libraries have for it: a moment, seconds, or a text."""
    for name in ("mtime", "last_modified", "LastModified", "updated", "created"):
        found = info.get(name)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
        if isinstance(found, str):
            try:
                return datetime.fromisoformat(found.replace("Z", "+00:00")).timestamp()
            except ValueError:
                continue
    return 0.0


def _version(info: Mapping[str, Any], size: int, mtime: float) -> str:
    """The MD5 where a library tells it, else what changes with the file; made unlike any MD5."""
    md5 = info.get("md5Hash") or getattr(info.get("content_settings"), "content_md5", None)
    if isinstance(info.get("content_settings"), Mapping):
        md5 = info["content_settings"].get("content_md5")
    if isinstance(md5, str):
        md5 = base64.b64decode(md5)
    if isinstance(md5, bytes | bytearray) and len(md5) == 16:
        return md5.hex()
    etag = info.get("etag") or info.get("ETag") or info.get("generation")
    if etag:
        return f"fs:{plain_etag(str(etag))}"
    return f"{'fs:' if mtime % 1 else TIME_ALONE}{mtime!r}-{size}" if mtime else ""
