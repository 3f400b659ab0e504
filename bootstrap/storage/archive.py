"""Archives of code, unpacked as if a stranger had made them: no way out, no devices, no more than there is room for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bootstrap.errors import ArchiveInvalid, DiskFull
from bootstrap.job import StopRequest
from bootstrap.storage.local import executable_if_script, explain, readable
from bootstrap.storage.workers import TransferStopped

if TYPE_CHECKING:  # most code is no archive, and its command waits for our imports
    import zipfile

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
_CHUNK = 1 << 20


def stem(name: str) -> str:
    """``name`` without its archive suffix, or an empty string if it has none."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return ""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: str  # file, directory, symlink, hardlink, or what it is in words
    size: int
    mode: int
    link: str = ""
    content: IO[bytes] | None = None


def unpack(archive: Path, root: Path, *, name: str, stop: StopRequest) -> tuple[int, int]:
    """Unpack ``archive`` (whose kind ``name`` tells) into the new directory ``root``; returns files and bytes.

    Raises :class:`ArchiveInvalid` naming the member, :class:`DiskFull` before the last free byte is used, and
    :class:`TransferStopped`. What was unpacked by then is the caller's to remove.
    """
    import tarfile
    import zipfile
    import zlib

    damaged = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
    links: list[tuple[str, str]] = []
    files = size = 0
    top = os.path.realpath(root)
    budget = os.statvfs(root.parent)
    free, inodes = budget.f_bavail * budget.f_frsize, budget.f_favail if budget.f_files else 1 << 62
    try:
        for member in _members(archive, name):
            if stop.is_set():
                raise TransferStopped
            path = _inside(root, member, name)
            size += member.size
            inodes -= 1
            if size > free or inodes < 0:
                raise DiskFull("an archive does not fit", where=name, why=f"{readable(free)} were free at {root}")
            if member.kind == "directory":
                os.makedirs(path, exist_ok=True)
            elif member.kind == "symlink":
                links.append((path, _link_inside(root, path, member, name)))
            elif member.kind == "hardlink":
                _write_copy(root, path, member, name)
                files += 1
            else:
                _write(path, member, name, stop)
                files += 1
        # Last, so that nothing is ever written through one.
        for path, target in links:
            above = os.path.dirname(path)
            os.makedirs(above, exist_ok=True)
            if os.path.realpath(above) != os.path.normpath(os.path.join(top, os.path.relpath(above, root))):
                raise ArchiveInvalid("an archive has a link below a link", where=name, why=os.path.relpath(path, root))
            os.symlink(target, path)
    except damaged as error:
        raise ArchiveInvalid("an archive cannot be read to its end", where=name, why=str(error)) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        why = os.path.relpath(error.filename or root, root)
        raise ArchiveInvalid("an archive has a file where a directory stands", where=name, why=why) from error
    except OSError as error:
        raise explain(error, error.filename or root, f"cannot unpack {name}") from error
    return files + len(links), size


def _members(archive: Path, name: str) -> Iterator[_Member]:
    import tarfile
    import zipfile

    if name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as pack:
            for item in pack.infolist():
                yield _zip_member(pack, item)
        return
    with tarfile.open(archive, "r:*") as tar:
        for entry in tar:
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
            yield _Member(entry.name, kind, entry.size if kind == "file" else 0, entry.mode, entry.linkname, content)


def _zip_member(pack: zipfile.ZipFile, item: zipfile.ZipInfo) -> _Member:
    mode = item.external_attr >> 16
    if item.is_dir():
        return _Member(item.filename, "directory", 0, mode)
    if stat.S_ISLNK(mode):
        return _Member(item.filename, "symlink", 0, mode, pack.read(item).decode(errors="surrogateescape"))
    return _Member(item.filename, "file", item.file_size, mode, content=pack.open(item))


def _inside(root: Path, member: _Member, archive: str) -> str:
    if member.kind not in ("file", "directory", "symlink", "hardlink"):
        raise ArchiveInvalid(
            "an archive holds what may not be unpacked", where=archive, why=f"{member.name!r} is a {member.kind}"
        )
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.name.startswith("/") or ".." in parts or "\0" in member.name:
        raise ArchiveInvalid("an archive's member leaves the directory", where=archive, why=repr(member.name))
    return os.path.join(root, *parts)


def _link_inside(root: Path, path: str, member: _Member, archive: str) -> str:
    """The target of a symbolic link, if it stays in the tree whatever other links there are on the way.

    Links are made when all files are there, so no member is written through one; but what the command later reads
    must not be outside either. Lexical depth tells, and a target that goes through another link's name is refused
    with it, since ``..`` behind a link leads elsewhere.
    """
    depth = len(os.path.relpath(path, root).split("/")) - 1
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
        raise ArchiveInvalid("an archive's link leads out of the directory", where=archive, why=why)
    return member.link


def _write(path: str, member: _Member, archive: str, stop: StopRequest) -> None:
    assert member.content is not None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    left = member.size
    with member.content as source, open(path, "wb+") as sink:
        while piece := source.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                raise ArchiveInvalid("an archive's member is longer than it says", where=archive, why=repr(member.name))
            sink.write(piece)
            if stop.is_set():
                raise TransferStopped
        sink.flush()
        if left:
            raise ArchiveInvalid("an archive's member is cut short", where=archive, why=repr(member.name))
        _set_mode(sink.fileno(), member.mode)


def _write_copy(root: Path, path: str, member: _Member, archive: str) -> None:
    source = _inside(root, _Member(member.link, "file", 0, 0), archive)
    if not os.path.isfile(source):
        why = f"{member.name!r} -> {member.link!r}"
        raise ArchiveInvalid("an archive's hard link leads to nothing before it", where=archive, why=why)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    os.link(source, path)


def _set_mode(file: int, mode: int) -> None:
    """The archive's permission bits on top of what the umask gave; never setuid or setgid, never unreadable to us."""
    given = stat.S_IMODE(os.fstat(file).st_mode)
    if mode & 0o111:
        os.fchmod(file, given | (given & 0o444) >> 2)
    executable_if_script(file)
