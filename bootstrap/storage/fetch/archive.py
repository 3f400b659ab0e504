"""Archives of code, unpacked as if a stranger had made them: no way out, no devices, no more than there is room for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from typing import IO, TYPE_CHECKING, Any
from zlib import crc32

from ...errors import ArchiveInvalid, DiskFull
from ...ground.writes import write_all
from ...job import StopRequest
from ...values import dataclass
from ..common.file_errors import explain
from ..common.units import readable
from ..common.workers import TransferStopped
from ..local.attributes import set_mode
from ..local.digests import plain_digest
from ..local.staging import executable_if_script

if TYPE_CHECKING:  # most code is no archive, and its command waits for our imports
    import tarfile
    import zipfile

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")
_CHUNK = 1 << 20
_LONGEST_LINK = 4095  # bytes of a link's target (Linux)
_BLOCK = 64 << 10  # bytes that tarfile reads at once: more are copied for every header, fewer asked for too often


def stem(name: str) -> str:
    """``name`` without its archive suffix, or an empty string if it has none, or if nothing could be called so."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and name[: -len(suffix)] not in ("", ".", ".."):
            return name[: -len(suffix)]
    return ""


def is_stream(name: str) -> bool:
    """Whether the archive can be read from its beginning to its end. The table of a zip stands at its end."""
    return not name.lower().endswith(".zip")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a member became: its size, what the file system says of it, and a file's digest."""

    size: int
    mtime_ns: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: str  # file, directory, symlink, hardlink, or what it is in words
    size: int
    mode: int
    link: str = ""
    content: IO[bytes] | None = None


@dataclass(frozen=True, slots=True)
class UnpackedArchive:
    """``made`` by its path below ``root`` (directories end in a slash), and how many bytes. Where ``code.tgz`` holds a
    directory ``code`` alone, that one is the root.
    """

    root: str
    made: dict[str, Unpacked]
    size: int


def unpack(source: BufferedReader[Any], root: str, *, name: str, stop: StopRequest) -> UnpackedArchive:
    """Unpack ``source`` (whose kind ``name`` tells) into the new directory ``root``, reading it to its end.

    A tar, compressed or not, is read as it comes; a zip must be a file.

    Raises :class:`ArchiveInvalid` naming the member, :class:`DiskFull` before the last free byte is used,
    :class:`TransferStopped`, and what reading raises. What was unpacked by then is the caller's to remove.
    """
    try:
        return _Unpacking(root, name, stop).run(_members(source, name, stop))
    except _signs_of_damage() as error:
        raise ArchiveInvalid("an archive cannot be read to its end", where=name, why=str(error)) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        why = os.path.relpath(error.filename2 or error.filename or root, root)
        raise ArchiveInvalid("an archive has a file where a directory stands", where=name, why=why) from error
    except OSError as error:
        if error.errno is None:  # how gzip and bz2 say it
            raise ArchiveInvalid("an archive cannot be read to its end", where=name, why=str(error)) from error
        raise explain(error, error.filename or root, f"cannot unpack {name}") from error


class _Unpacking:
    """One archive's members on their way into ``root``."""

    def __init__(self, root: str, archive: str, stop: StopRequest) -> None:
        self._root, self._archive, self._stop = root, archive, stop
        self._directories = {root}
        self._made: dict[str, Unpacked] = {}
        self._links: dict[str, str] = {}
        self._size = 0
        room = os.statvfs(root)
        self._free, self._inodes = room.f_bavail * room.f_frsize, room.f_favail if room.f_files else 1 << 62
        self._room = readable(self._free) + (f" and {room.f_favail} inodes" if room.f_files else "")

    def run(self, members: Iterator[_Member]) -> UnpackedArchive:
        for member in members:
            if self._stop.is_set():
                raise TransferStopped
            relative = self._inside(member)
            path = os.path.join(self._root, relative)
            self._claim(member.size)
            if member.kind == "directory":
                self._directory(path)
                if relative:
                    self._made[f"{relative}/"] = Unpacked(0, 0)
            elif member.kind == "symlink":
                self._links[relative] = self._link_inside(relative, member)
                continue
            elif member.kind == "hardlink":
                self._made[relative] = self._write_copy(path, member)
            else:
                self._made[relative] = self._write(path, member)
            self._links.pop(relative, None)  # the later of two members of one name counts
        top = self._single_top()
        for relative, target in self._links.items():  # last, so that nothing is ever written through one
            self._link_inside(relative.removeprefix(top), _Member(relative, "symlink", 0, 0, target))
            self._made[relative] = self._write_link(relative, target)
        made = {path[len(top) :]: file for path, file in self._made.items() if path != top}
        return UnpackedArchive(os.path.join(self._root, top).rstrip("/"), made, self._size)

    def _single_top(self) -> str:
        """``code/`` where ``code.tgz`` holds that directory alone: the tree then begins below it, and so must the
        links. Names tell, since a directory that holds links alone is not there yet.
        """
        below = f"{os.path.basename(self._root)}/"
        paths = [*self._made, *self._links]
        return below if paths and all(path.startswith(below) for path in paths) else ""

    def _claim(self, size: int) -> None:
        """So much more and one inode, if there is room."""
        self._size += size
        self._inodes -= 1
        if self._size > self._free or self._inodes < 0:
            why = f"{self._room} were free at {self._root}"
            raise DiskFull("an archive does not fit", where=self._archive, why=why)

    def _inside(self, member: _Member) -> str:
        if member.kind not in ("file", "directory", "symlink", "hardlink"):
            why = f"{member.name!r} is a {member.kind}"
            raise ArchiveInvalid("an archive holds what may not be unpacked", where=self._archive, why=why)
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if member.name.startswith("/") or ".." in parts or "\0" in member.name:
            why = repr(member.name)
            raise ArchiveInvalid("an archive's member leaves the directory", where=self._archive, why=why)
        return "/".join(parts)

    def _link_inside(self, relative: str, member: _Member) -> str:
        """The target of a symbolic link, if it stays in the tree whatever other links there are on the way.

        Links are made when all files are there, so no member is written through one; but what the command later reads
        must not be outside either. Lexical depth tells, and a target that goes through another link's name is refused
        with it, since ``..`` behind a link leads elsewhere.
        """
        depth = relative.count("/")
        climbing = True
        for part in member.link.split("/"):
            if part == "..":
                depth -= 1
            elif part not in ("", "."):
                depth += 1
                climbing = False
            if depth < 0 or (part == ".." and not climbing):
                depth = -1
                break
        if depth < 0 or member.link.startswith("/") or "\0" in member.link:
            why = f"{member.name!r} -> {member.link!r}"
            raise ArchiveInvalid("an archive's link leads out of the directory", where=self._archive, why=why)
        return member.link

    def _directory(self, path: str) -> None:
        if path not in self._directories:
            os.makedirs(path, exist_ok=True)
            self._directories.add(path)

    def _write(self, path: str, member: _Member) -> Unpacked:
        assert member.content is not None
        self._directory(os.path.dirname(path))
        left, crc = member.size, 0
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            file = os.open(path, flags, 0o666)
        except FileExistsError:  # the later of two members of one name; never into what others are hard links to
            os.unlink(path)
            file = os.open(path, flags, 0o666)
        with member.content as source, open(file, "wb", buffering=0) as sink:
            while piece := source.read(_CHUNK):
                left -= len(piece)
                if left < 0:
                    why = repr(member.name)
                    raise ArchiveInvalid("an archive's member is longer than it says", where=self._archive, why=why)
                crc = crc32(piece, crc)
                write_all(file, piece)
                if self._stop.is_set():
                    raise TransferStopped
            if left:
                raise ArchiveInvalid("an archive's member is cut short", where=self._archive, why=repr(member.name))
            _set_mode(sink.fileno(), member.mode)
            return Unpacked(member.size, os.fstat(file).st_mtime_ns, plain_digest(crc))

    def _write_copy(self, path: str, member: _Member) -> Unpacked:
        relative = self._inside(_Member(member.link, "file", 0, 0))
        source = os.path.join(self._root, relative)
        if relative not in self._made:
            why = f"{member.name!r} -> {member.link!r}"
            raise ArchiveInvalid("an archive's hard link leads to nothing before it", where=self._archive, why=why)
        self._directory(os.path.dirname(path))
        if path != source:
            if os.path.lexists(path):
                os.unlink(path)
            os.link(source, path)
        return self._made[relative]

    def _write_link(self, relative: str, target: str) -> Unpacked:
        path = os.path.join(self._root, relative)
        above = os.path.dirname(path)
        os.makedirs(above, exist_ok=True)
        top = os.path.realpath(self._root)
        if os.path.realpath(above) != os.path.normpath(os.path.join(top, os.path.dirname(relative))):
            raise ArchiveInvalid("an archive has a link below a link", where=self._archive, why=relative)
        if relative in self._made:
            os.unlink(path)
        os.symlink(target, path)
        found = os.lstat(path)
        return Unpacked(found.st_size, found.st_mtime_ns)


def _members(source: BufferedReader[Any], name: str, stop: StopRequest) -> Iterator[_Member]:
    import tarfile
    import zipfile

    from ...ground.tars import StrictHeader

    if not is_stream(name):
        with zipfile.ZipFile(source) as pack:
            for item in pack.infolist():
                yield _zip_member(pack, item, name)
        return
    plain = _decompressed(source, name)
    with tarfile.open(fileobj=plain, mode="r|", bufsize=_BLOCK, tarinfo=StrictHeader) as tar:
        for entry in tar:
            yield _tar_member(tar, entry)
            tar.members.clear()  # type: ignore[attr-defined]  # kept for who wants to go back: a kilobyte each
    for rest in (plain, source):  # behind the end mark: padding, the compression's own checksum
        while rest.read(_CHUNK):
            if stop.is_set():
                raise TransferStopped


def _decompressed(source: BufferedReader[Any], name: str) -> IO[bytes]:
    """The bytes of the tar, whatever it is compressed with; also where several compressed files stand in a row."""
    magic = source.peek(6)[:6]
    try:
        if magic.startswith(b"\x1f\x8b"):
            import gzip

            return gzip.GzipFile(fileobj=source)  # type: ignore[return-value]  # it has what is used of IO
        if magic.startswith(b"BZh"):
            import bz2

            return bz2.BZ2File(source)
        if magic == b"\xfd7zXZ\0":
            import lzma

            return lzma.LZMAFile(source)
    except ImportError as error:
        why = f"this Python was built without {error.name}"
        raise ArchiveInvalid("an archive cannot be decompressed", where=name, why=why) from error
    return source


def _tar_member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> _Member:
    kind = "something special"
    if entry.isreg():
        kind = "file"
    elif entry.isdir():
        kind = "directory"
    elif entry.issym():
        kind = "symlink"
    elif entry.islnk():
        kind = "hardlink"
    elif entry.ischr() or entry.isblk():
        kind = "device"
    elif entry.isfifo():
        kind = "named pipe"
    content = tar.extractfile(entry) if kind == "file" else None
    return _Member(entry.name, kind, entry.size if kind == "file" else 0, entry.mode, entry.linkname, content)


def _zip_member(pack: zipfile.ZipFile, item: zipfile.ZipInfo, archive: str) -> _Member:
    mode = item.external_attr >> 16
    if item.is_dir():
        return _Member(item.filename, "directory", 0, mode)
    if stat.S_ISLNK(mode):
        with pack.open(item) as content:  # no further than a link can go: it may be a bomb
            link = content.read(_LONGEST_LINK + 1)
        if len(link) > _LONGEST_LINK:
            why = f"{item.filename!r} is a link to a name of more than {_LONGEST_LINK} bytes"
            raise ArchiveInvalid("an archive holds what may not be unpacked", where=archive, why=why)
        return _Member(item.filename, "symlink", 0, mode, link.decode(errors="surrogateescape"))
    return _Member(item.filename, "file", item.file_size, mode, content=pack.open(item))


def _signs_of_damage() -> tuple[type[Exception], ...]:
    import struct
    import tarfile
    import zipfile
    import zlib

    # zipfile raises two of them for a compression that it does not know and for a member that has a password; the last
    # three are what both say of numbers and lengths in a header that make no sense (a sparse file's map)
    kinds = (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
        *(ValueError, struct.error, OverflowError),
    )
    try:
        from lzma import LZMAError
    except ImportError:
        return kinds
    return (*kinds, LZMAError)


def _set_mode(file: int, mode: int) -> None:
    """The archive's permission bits on top of what the umask gave; never setuid or setgid, never unreadable to us."""
    given = stat.S_IMODE(os.fstat(file).st_mode)
    if mode & 0o111:
        set_mode(file, given | (given & 0o444) >> 2)
    executable_if_script(file)
