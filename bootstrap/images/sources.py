"""Reading an image into an :class:`~bootstrap.images.tree.Image`, in one pass and without unpacking anything.

A directory is a root (``/`` in a running container). A tar is told from its content: an OCI archive has ``index.json``,
a docker archive ``manifest.json``, and anything else is the tar of a root, as ``docker export`` writes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ..errors import ArchiveInvalid, NothingThere, PathUnusable
from .tree import HEAD, TEXTS, Config, Entry, Image

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"  # OCI image layer specification, "Whiteouts"
TYPES = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}
DIGESTS_BELOW = ("bin/", "sbin/", "usr/", "lib/", "lib64/", "lib32/", "etc/")


def read(source: str, *, digests: bool = False) -> Image:
    """The image at a path. ``digests``: of the system's files, for comparing two images (reads all their bytes).

    Raises NothingThere, PathUnusable for what cannot be read, and ArchiveInvalid for what is no image.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return _root(path, source, digests)
        if not path.exists():
            raise NothingThere(
                "there is no image to check",
                where=source,
                remedy="give a directory (/ for this container), or a file of docker save or docker export",
            )
        with tarfile.open(path) as tar:
            if _member(tar, "index.json"):
                return _oci(tar, source, digests)
            if _member(tar, "manifest.json"):
                return _docker(tar, source, digests)
        with tarfile.open(path, "r|*") as tar:
            layers = _Layers(digests)
            layers.add(tar)
            return layers.image(source, "exported tar")
    except (tarfile.TarError, EOFError, KeyError, ValueError) as error:
        raise ArchiveInvalid("this is not an image that can be read", where=source, why=str(error)) from error
    except OSError as error:
        raise PathUnusable(
            "the image cannot be read", where=str(error.filename or source), why=error.strerror or str(error)
        ) from error


# --- a root


def _root(root: Path, source: str, digests: bool) -> Image:
    """Every file of the root's own file system: what is mounted into a container is no part of its image."""
    entries: dict[str, Entry] = {}
    seen: set[tuple[int, int]] = set()
    device, size = root.stat().st_dev, 0
    for directory, names, files in os.walk(root):
        inside = posixpath.relpath(directory, root).removeprefix(".").lstrip("/")
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            relative = posixpath.join(inside, name)
            try:
                found = os.lstat(path)
                if stat.S_ISDIR(found.st_mode) and found.st_dev != device:
                    names.remove(name)
                entries[relative] = _of_file(path, relative, found, digests)
            except OSError:  # it has gone, or may not be read by us: as if it were not there
                continue
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += found.st_size
    return Image(source, "root", entries, size)


def _of_file(path: str, relative: str, found: os.stat_result, digests: bool) -> Entry:
    entry = Entry(found.st_mode, found.st_uid, found.st_gid, found.st_size)
    if entry.is_link:
        return replace(entry, target=os.readlink(path))
    if entry.is_file and _wanted(relative, entry, digests):
        try:
            with open(path, "rb") as stream:
                return _with_content(entry, relative, stream, digests)
        except OSError:
            return entry
    return entry


# --- archives


def _oci(tar: tarfile.TarFile, source: str, digests: bool) -> Image:
    index = _json(tar, "index.json")
    while "manifests" in index:  # an index may name another one: one for each machine
        index = _json(tar, _blob(index["manifests"][0]["digest"]))
    names = [_blob(layer["digest"]) for layer in index["layers"]]
    return _layered(tar, source, "OCI archive", _json(tar, _blob(index["config"]["digest"])), names, digests)


def _docker(tar: tarfile.TarFile, source: str, digests: bool) -> Image:
    manifest = _json(tar, "manifest.json")[0]
    return _layered(tar, source, "docker archive", _json(tar, manifest["Config"]), manifest["Layers"], digests)


def _layered(
    outer: tarfile.TarFile, source: str, kind: str, config: Mapping[str, Any], names: list[str], digests: bool
) -> Image:
    layers = _Layers(digests)
    for name in names:
        stream = outer.extractfile(name)
        if stream is None:
            raise ValueError(f"layer {name} is not in the archive")
        if stream.read(4) == b"\x28\xb5\x2f\xfd":
            raise ValueError(f"layer {name} is compressed with zstd: give the tar of docker export instead")
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r|*") as layer:
            layers.add(layer)
    return replace(layers.image(source, kind), config=_config(config))


def _config(told: Mapping[str, Any]) -> Config:
    inner = told.get("config") or {}
    return Config(
        user=inner.get("User") or "",
        env=dict(item.split("=", 1) for item in inner.get("Env") or [] if "=" in item),
        entrypoint=tuple(inner.get("Entrypoint") or ()),
        command=tuple(inner.get("Cmd") or ()),
        work_dir=inner.get("WorkingDir") or "",
        machine=told.get("architecture") or "",
    )


class _Layers:
    """Layers put on each other: a later one replaces files, and its whiteouts remove them."""

    def __init__(self, digests: bool) -> None:
        self.entries: dict[str, Entry] = {}
        self.size = 0
        self._digests = digests

    def add(self, tar: tarfile.TarFile) -> None:
        fresh: dict[str, Entry] = {}
        for member in tar:
            path = posixpath.normpath(member.name).lstrip("/")
            directory, name = posixpath.split(path)
            if name == OPAQUE:
                self._remove(directory, itself=False)
            elif name.startswith(WHITEOUT):
                self._remove(posixpath.join(directory, name[len(WHITEOUT) :]), itself=True)
            elif path not in ("", "."):
                fresh[path] = self._entry(tar, member, path, fresh)
                self.size += member.size
            tar.members = []  # type: ignore[attr-defined]  # a stream needs no memory of what has passed
        for path, entry in fresh.items():
            old = self.entries.get(path)
            if old is not None and old.is_directory and not entry.is_directory:
                self._remove(path, itself=True)
            self.entries[path] = entry

    def image(self, source: str, kind: str) -> Image:
        if not self.entries:
            raise ValueError("there is no file in it")
        for path in list(self.entries):
            while (path := posixpath.dirname(path)) and path not in self.entries:
                self.entries[path] = Entry(stat.S_IFDIR | 0o755)  # some builders leave them out
        return Image(source, kind, self.entries, self.size)

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, fresh: Mapping[str, Entry]) -> Entry:
        if member.islnk():  # a second name of a file that came before
            first = posixpath.normpath(member.linkname).lstrip("/")
            return fresh.get(first) or self.entries.get(first) or Entry(stat.S_IFREG | member.mode)
        kind = TYPES.get(member.type, stat.S_IFREG)
        target = member.linkname if member.issym() else ""
        entry = Entry(kind | member.mode, member.uid, member.gid, member.size, target)
        if entry.is_file and _wanted(path, entry, self._digests):
            stream = tar.extractfile(member)
            if stream is not None:
                return _with_content(entry, path, stream, self._digests)
        return entry

    def _remove(self, path: str, *, itself: bool) -> None:
        inside = f"{path}/" if path else ""
        for gone in [name for name in self.entries if name.startswith(inside)]:
            del self.entries[gone]
        if itself:
            self.entries.pop(path, None)


# --- content


def _wanted(path: str, entry: Entry, digests: bool) -> bool:
    return bool(entry.mode & 0o111) or path in TEXTS or (digests and path.startswith(DIGESTS_BELOW))


def _with_content(entry: Entry, path: str, stream: IO[bytes], digests: bool) -> Entry:
    head = stream.read() if path in TEXTS else stream.read(HEAD)
    digest = ""
    if digests and path.startswith(DIGESTS_BELOW):
        running = hashlib.sha256(head)
        while block := stream.read(1 << 20):
            running.update(block)
        digest = running.hexdigest()
    return replace(entry, head=head if entry.mode & 0o111 or path in TEXTS else b"", digest=digest)


def _member(tar: tarfile.TarFile, name: str) -> bool:
    try:
        return tar.getmember(name).isfile()
    except KeyError:
        return False


def _json(tar: tarfile.TarFile, name: str) -> Any:
    stream = tar.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is not in the archive")
    return json.load(stream)


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"
