"""Reading an image into an :class:`~bootstrap.images.tree.Image`, in one pass and without unpacking anything.

A directory is a root (``/`` in a running container), or an OCI layout that nobody has packed. A tar is told from its
content: an OCI archive has ``index.json``, a docker archive ``manifest.json``, and anything else is the tar of a root,
as ``docker export`` writes it. Half an archive is never taken for a whole one.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, cast

from ..errors import ArchiveInvalid, NothingThere, PathUnusable
from ..ground.tars import StrictHeader
from ..values import replace
from . import bounds, zstd
from .tree import HEAD, TEXTS, Config, Image, ImageEntry

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"  # OCI image layer specification, "Whiteouts"
TYPES = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}
DIGESTS_BELOW = ("bin/", "sbin/", "usr/", "lib/", "lib64/", "etc/")
DIGESTS_IN = ("home/work",)  # the tools of the platform's own base images, not all that a user keeps there
SAVE = "save it again, as in: docker save -o image.tar IMAGE"

Kind = TypeVar("Kind")


def read(source: str, *, digests: bool = False, environ: Mapping[str, str] | None = None) -> Image:
    """The image at a path. ``digests``: of the system's files, for comparing two images (reads all their bytes).
    ``environ``: of this process, which in its own container is what the image's command would have.

    Raises NothingThere, PathUnusable for what cannot be read, and ArchiveInvalid for what is no image.
    """
    path = Path(source)
    try:
        if path.is_dir():
            if (path / "oci-layout").is_file() and (path / "index.json").is_file():
                return _oci(_Layout(path), source, "OCI layout", digests)
            image = _root(path, source, digests)
            return replace(image, environ=environ or {}) if os.path.realpath(path) == "/" else image
        if not path.exists():
            raise NothingThere(
                "there is no image to check",
                where=source,
                remedy="give a directory (/ for this container), or a file of docker save or docker export",
            )
        with tarfile.open(path, tarinfo=StrictHeader) as tar:
            archive = _Archive(tar)
            _to_the_end(tar.fileobj)
            if archive.has("index.json"):
                return _oci(archive, source, "OCI archive", digests)
            if archive.has("manifest.json"):
                return _docker(archive, source, digests)
            layers = _Layers(digests)
            layers.add(tar)
            return layers.image(source, "exported tar")
    except _signs_of_damage() as error:
        raise ArchiveInvalid(
            "this is not an image that can be read", where=source, why=str(error).strip("\"'"), remedy=SAVE
        ) from error
    except OSError as error:
        if error.errno is None:  # gzip's and bz2's own
            raise ArchiveInvalid("the image is damaged", where=source, why=str(error), remedy=SAVE) from error
        raise PathUnusable(
            "the image cannot be read",
            where=str(error.filename or source),
            why=error.strerror or str(error),
            remedy="read it as a user who may",
        ) from error


def _signs_of_damage() -> tuple[type[Exception], ...]:
    kinds = (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError)  # the last: a link to what is not there
    try:
        from lzma import LZMAError
    except ImportError:  # tarfile says that this Python was built without it
        return kinds
    return (*kinds, LZMAError)


# --- a root


def _root(root: Path, source: str, digests: bool) -> Image:
    """Every file of the root's own file system: what is mounted into a container is no part of its image."""
    entries: dict[str, ImageEntry] = {}
    unread: list[str] = []
    seen: set[tuple[int, int]] = set()
    device, size, mounted = root.stat().st_dev, 0, _mount_points(os.path.realpath(root))
    for directory, names, files in os.walk(root, onerror=lambda error: unread.append(error.filename)):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            try:
                found = os.lstat(path)
                if stat.S_ISDIR(found.st_mode) and (found.st_dev != device or relative in mounted):
                    names.remove(name)
                entry = _of_file(path, relative, found, digests)
            except OSError:  # it has gone, or may not be read by us: as if it were not there
                continue
            if relative in mounted and entry.is_file:  # the image has an empty file there, for engines to mount upon
                entry = replace(entry, size=0)
            entries[relative] = entry
            if entry.is_file and (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += entry.size
    inside = tuple(os.path.relpath(path, root) for path in sorted(unread))
    return Image(source, "root", entries, size, unread=inside)


def _mount_points(root: str) -> set[str]:
    """What is mounted below it, relative to it; files too: engines bring the machine's driver file by file."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    points = {re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4]) for line in lines}
    return {os.path.relpath(point, root) for point in points if point.startswith(root.rstrip("/") + "/")}


def _of_file(path: str, relative: str, found: os.stat_result, digests: bool) -> ImageEntry:
    entry = ImageEntry(found.st_mode, found.st_uid, found.st_gid, found.st_size)
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


def _to_the_end(stream: Any) -> None:
    """Behind the end mark: padding, and the compression's own checksum, which is looked at there."""
    while stream.read(1 << 20):
        pass


class _Files(Protocol):
    """What an archive and a directory have in common."""

    def has(self, name: str) -> bool: ...
    def open(self, name: str) -> IO[bytes]: ...


class _Archive:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        found = bounds.members(tar, bounds.Kept())
        self._members = {posixpath.normpath(member.name): member for member in found}  # some begin with ./

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        stream = self._tar.extractfile(self._members[name]) if self.has(name) else None
        if stream is None:
            raise ValueError(f"{name} is not in the archive")
        return stream


class _Layout:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def has(self, name: str) -> bool:
        return (self._directory / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        return (self._directory / name).open("rb")


def _oci(archive: _Files, source: str, kind: str, digests: bool) -> Image:
    images = list(_manifests(archive, "index.json", set()))
    if not images:
        raise ValueError("none of the images of its index.json is in it")
    manifest = images[0]
    names = [_blob(layer) for layer in _part(manifest, "layers", list)[: bounds.MOST_LAYERS + 1]]
    config = _json(archive, _blob(_part(manifest, "config", dict)), dict)
    return _layered(archive, source, _first(kind, len(images)), config, names, digests)


def _manifests(archive: _Files, name: str, seen: set[str], deep: int = 0) -> Iterator[dict[str, Any]]:
    """The images that an index names. It may name another index, with an image for each machine, of which an engine
    saves only those that it has; and statements about images (attestations), which are none.
    """
    if name in seen or not archive.has(name):
        return
    seen.add(name)
    if len(seen) > bounds.MOST_INDEXES or deep > bounds.DEEPEST_INDEX:
        raise ValueError("its index leads to too many others")
    document = _json(archive, name, dict)
    if "manifests" not in document:
        yield document
        return
    for named in _part(document, "manifests", list):
        if "vnd.docker.reference.type" not in _part(named, "annotations", dict, {}):
            yield from _manifests(archive, _blob(named), seen, deep + 1)


def _docker(archive: _Files, source: str, digests: bool) -> Image:
    images = _json(archive, "manifest.json", list)
    if not images:
        raise ValueError("its manifest.json names no image")
    config = _json(archive, _part(images[0], "Config", str), dict)
    kind = _first("docker archive", len(images))
    return _layered(archive, source, kind, config, _part(images[0], "Layers", list), digests)


def _first(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}, the first of {count} images"


def _layered(
    archive: _Files, source: str, kind: str, told: Mapping[str, Any], names: list[str], digests: bool
) -> Image:
    if len(bounds.words(names, "layers")) > bounds.MOST_LAYERS:
        raise ValueError(f"it has more than {bounds.MOST_LAYERS} layers")
    layers = _Layers(digests)
    for name in names:
        with archive.open(name) as stream:
            magic = stream.read(4)
            stream.seek(0)
            plain: IO[bytes] = stream
            if magic == zstd.MAGIC:
                plain = zstd.opened(stream, name)
            elif magic.startswith(b"\x1f\x8b"):  # gzip itself says when its file is cut off; tarfile's own does not
                plain = cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
            with tarfile.open(fileobj=plain, mode="r|*", tarinfo=StrictHeader) as layer:
                layers.add(layer)
            _to_the_end(plain)
    config = _config(told)
    return replace(layers.image(source, kind), config=config, environ=config.env)


def _config(told: Mapping[str, Any]) -> Config:
    inner = _part(told, "config", dict, {})
    return Config(
        user=_part(inner, "User", str, ""),
        env=dict(item.split("=", 1) for item in bounds.words(_part(inner, "Env", list, []), "Env") if "=" in item),
        entrypoint=tuple(bounds.words(_part(inner, "Entrypoint", list, []), "Entrypoint")),
        command=tuple(bounds.words(_part(inner, "Cmd", list, []), "Cmd")),
        machine=_part(told, "architecture", str, ""),
    )


class _Layers:
    """Layers put on each other: a later one replaces files, and its whiteouts remove them."""

    def __init__(self, digests: bool) -> None:
        self.entries: dict[str, ImageEntry] = {}
        self.size = 0
        self._digests = digests
        self._kept = bounds.Kept()

    def add(self, tar: tarfile.TarFile) -> None:
        fresh: dict[str, ImageEntry] = {}
        gone, emptied = set[str](), set[str]()
        for member in bounds.members(tar, self._kept):
            path = posixpath.normpath(member.name).lstrip("/")
            directory, name = posixpath.split(path)
            if name == OPAQUE:
                emptied.add(directory)
            elif name.startswith(WHITEOUT):
                gone.add(posixpath.join(directory, name[len(WHITEOUT) :]))
            elif path not in ("", "."):
                fresh[path] = self._entry(tar, member, path, fresh)
                self._kept.add(len(fresh[path].head), entries=0)
                self.size += member.size
            tar.members = []  # type: ignore[attr-defined]  # a stream needs no memory of what has passed
        for path, entry in fresh.items():
            old = self.entries.get(path)
            if old is not None and old.is_directory and not entry.is_directory:
                emptied.add(path)
        self._remove(gone, emptied)
        self.entries.update(fresh)

    def image(self, source: str, kind: str) -> Image:
        if not self.entries:
            raise ValueError("there is no file in it")
        implied = ImageEntry(stat.S_IFDIR | 0o755)
        for path in list(self.entries):
            while (path := posixpath.dirname(path)) and path not in self.entries:
                self._kept.add(len(path))
                self.entries[path] = implied  # some builders leave them out
        return Image(source, kind, self.entries, self.size)

    def _entry(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, fresh: Mapping[str, ImageEntry]
    ) -> ImageEntry:
        if member.islnk():  # a second name of a file that came before
            first = posixpath.normpath(member.linkname).lstrip("/")
            return fresh.get(first) or self.entries.get(first) or ImageEntry(stat.S_IFREG | member.mode)
        kind = TYPES.get(member.type, stat.S_IFREG)
        target = member.linkname if member.issym() else ""
        entry = ImageEntry(kind | member.mode, member.uid, member.gid, member.size, target)
        if entry.is_file and _wanted(path, entry, self._digests):
            stream = tar.extractfile(member)
            if stream is not None:
                return _with_content(entry, path, stream, self._digests)
        return entry

    def _remove(self, gone: set[str], emptied: set[str]) -> None:
        """What whiteouts name, with all below: once a layer, since an archive may have as many of them as files."""
        if not gone and not emptied:
            return
        without = gone | emptied
        for path in list(self.entries):
            above = path
            while above and (above := posixpath.dirname(above)) not in without:
                pass
            if path in gone or above in without:
                del self.entries[path]


# --- content


def _wanted(path: str, entry: ImageEntry, digests: bool) -> bool:
    return bool(entry.mode & 0o111) or path in TEXTS or (digests and _compared(path))


def _compared(path: str) -> bool:
    return path.startswith(DIGESTS_BELOW) or posixpath.dirname(path) in DIGESTS_IN


def _with_content(entry: ImageEntry, path: str, stream: IO[bytes], digests: bool) -> ImageEntry:
    head = stream.read(bounds.MOST_TEXT) if path in TEXTS else stream.read(HEAD)
    digest = ""
    if digests and _compared(path):
        running = hashlib.sha256(head)
        while block := stream.read(1 << 20):
            running.update(block)
        digest = running.hexdigest()
    return replace(entry, head=head if entry.mode & 0o111 or path in TEXTS else b"", digest=digest)


# --- JSON that anybody may have written


def _json(archive: _Files, name: str, kind: type[Kind]) -> Kind:
    with archive.open(name) as stream:
        document = bounds.json_document(stream, name)
    if not isinstance(document, kind):
        raise ValueError(f"{name} is not what it should be")
    return document


def _part(document: object, key: str, kind: type[Kind], default: Kind | None = None) -> Kind:
    found = document.get(key) if isinstance(document, dict) else None
    if found is None and default is not None:
        return default
    if not isinstance(found, kind):
        raise ValueError(f"its description has no usable {key}")
    return found


def _blob(described: object) -> str:
    algorithm, _, value = _part(described, "digest", str).partition(":")
    if not algorithm.isalnum() or not value.isalnum():  # as a path it might lead out of the layout
        raise ValueError("its description has no usable digest")
    return f"blobs/{algorithm}/{value}"
