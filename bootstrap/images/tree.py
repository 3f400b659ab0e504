"""An image's files as a value: what every rule needs to know of them, and nothing that needs a second look."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Mapping

from ..values import dataclass, field

HEAD = 4096  # bytes kept of a program: its #! line or its ELF header with the name of its loader
TEXTS = ("etc/passwd", "etc/group")  # kept whole
LINKS = 40  # symbolic links to follow before calling it a loop, as Linux does
ELF_MACHINES = {3: "386", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64"}  # as engines name them


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One file. ``mode`` has the type bits; ``target`` is a link's; ``digest`` is empty where it was not asked for."""

    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str = ""
    head: bytes = b""
    digest: str = ""

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Config:
    """What an archive says besides the files; None in its place for a running root or an exported tar."""

    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """One line of ``/etc/passwd``."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True)
class Image:
    """``entries`` are by path without a leading slash; ``size`` is in bytes, all layers unpacked. ``environ`` is what a
    command would have, as far as that is known; ``unread`` are directories that were closed to us.
    """

    source: str
    kind: str
    entries: Mapping[str, ImageEntry]
    size: int
    config: Config | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def resolve(self, path: str) -> str | None:
        """The path without links, as the kernel would walk it inside the image; None if it leads nowhere."""
        walked, todo, followed = "", [part for part in path.split("/") if part not in ("", ".")], 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                walked = posixpath.dirname(walked)
                continue
            here = f"{walked}/{part}" if walked else part
            entry = self.entries.get(here)
            if entry is None:
                return None
            if entry.is_link:
                followed += 1
                if followed > LINKS:
                    return None
                if entry.target.startswith("/"):
                    walked = ""
                todo = [step for step in entry.target.split("/") if step not in ("", ".")] + todo
            else:
                walked = here
        return walked

    def find(self, path: str) -> ImageEntry | None:
        """What is at ``path``, links followed."""
        resolved = self.resolve(path)
        if resolved == "":
            return ImageEntry(stat.S_IFDIR | 0o755)
        return self.entries.get(resolved) if resolved is not None else None

    def is_link(self, path: str) -> bool:
        """Whether ``path`` itself is a symbolic link, wherever that leads."""
        above = self.resolve(posixpath.dirname(path))
        entry = self.entries.get(posixpath.join(above, posixpath.basename(path))) if above is not None else None
        return entry is not None and entry.is_link

    def program(self, name: str, search: str) -> str | None:
        """Where a shell would find ``name`` on a PATH: the first executable file."""
        places = [name] if "/" in name else [posixpath.join(directory, name) for directory in search.split(":")]
        for place in places:
            entry = self.find(place)
            if entry is not None and entry.is_file and entry.mode & 0o111:
                return place
        return None

    def text(self, path: str) -> str:
        """A small file that is kept whole (:data:`TEXTS`), or nothing."""
        entry = self.find(path)
        return entry.head.decode(errors="replace") if entry else ""

    def accounts(self) -> list[Account]:
        found = []
        for line in self.text("etc/passwd").splitlines():
            fields = line.split(":")
            if len(fields) == 7 and fields[2].isdigit() and fields[3].isdigit():
                found.append(Account(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6]))
        return found

    def groups(self) -> dict[int, str]:
        """The names in ``/etc/group``, by gid."""
        lines = (line.split(":") for line in self.text("etc/group").splitlines())
        return {int(fields[2]): fields[0] for fields in lines if len(fields) == 4 and fields[2].isdigit()}

    def below(self, *directories: str) -> Iterator[tuple[str, ImageEntry]]:
        """Everything below these directories, in the order of the paths' names."""
        starts = tuple(f"{directory}/" for directory in directories)
        return ((path, self.entries[path]) for path in sorted(self.entries) if path.startswith(starts))


def may_write(entry: ImageEntry, uid: int, gid: int) -> bool:
    """Whether this user may create files in that directory, by its mode alone."""
    if uid == 0:
        return True
    wanted = 0o3
    shift = 6 if entry.uid == uid else 3 if entry.gid == gid else 0
    return entry.mode >> shift & wanted == wanted


def machine_of(head: bytes) -> str:
    """The machine that an ELF file is for, or nothing for other files."""
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return ""
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return ELF_MACHINES.get(number, f"machine {number}")


def loader_of(head: bytes) -> str:
    """The loader that a dynamic ELF program names (its PT_INTERP segment), or nothing."""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return ""
    order = "little" if head[5] == 1 else "big"

    def number(at: int, length: int) -> int:
        return int.from_bytes(head[at : at + length], order)  # type: ignore[arg-type]

    wide = head[4] == 2
    table, each, count = (
        (number(32, 8), number(54, 2), number(56, 2)) if wide else (number(28, 4), number(42, 2), number(44, 2))
    )
    for at in range(table, table + each * count, each or 1):
        if number(at, 4) == 3:  # PT_INTERP
            start, length = (number(at + 8, 8), number(at + 32, 8)) if wide else (number(at + 4, 4), number(at + 16, 4))
            return head[start : start + length].rstrip(b"\0").decode(errors="replace")
    return ""
