"""What a fetch is going to write, settled and checked before any file gets its name: paths, kinds, room."""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, pairwise

from ...errors import BootstrapError, DiskFull, NamesUnsafe, NothingThere, UsageError
from ...reporting.prose import counted
from ...values import dataclass
from ..common.file_errors import existing
from ..common.units import readable
from ..model.listing import Entries
from ..model.store import Entry, Store
from ..model.url import Location
from .files import File, Files
from .large_file import unfinished_names

_LONGEST_NAME = 255  # bytes of one path component, on every file system we meet
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """Directories and files below a root, in relative paths; each file with the object it comes from."""

    directories: tuple[str, ...]
    files: Files

    @classmethod
    def of(cls, *files: File, directories: Iterable[str] = ()) -> FetchPlan:
        """Just these."""
        return cls(tuple(directories), Files.of(files))

    @property
    def bytes(self) -> int:
        return sum(self.files.sizes)


def plan_tree(entries: Iterable[Entry], prefix: str, where: Location) -> FetchPlan:
    """Lay the objects under ``prefix`` out as a tree.

    Raises :class:`NamesUnsafe`, with every bad name, when one would leave the directory or cannot be a file here.

    Memory: 12 bytes a file beside the listing, and what the directories' names take. Paths are known by their hashes,
    and looked at again where two of these are the same.
    """
    listing = Entries.of(entries)
    start = len(prefix)
    rows, hashes = array("I"), array("q")  # of each file
    names: dict[int, str] = {}  # paths that are not what the key says, by row
    directories: set[str] = set()
    markers: set[str] = set()  # directories that a marker alone speaks of
    refused: list[tuple[int, str]] = []  # rows, with reasons
    places: dict[str, tuple[str, str]] = {}  # by what stands before a name: the path it is, and what is wrong with it
    previous, in_order = "", True
    for row, (key, size) in enumerate(zip(listing.keys, listing.sizes, strict=True)):
        written = key[start:]
        relative = written.lstrip("/") if prefix else written  # code//train.py: what puts paths together leaves empty
        cut = relative.rfind("/") + 1  # parts, here as further below
        above, name = relative[:cut], relative[cut:]
        if not name and not size:
            path, reason = _place(above, markers)
        else:
            if above not in places:
                places[above] = _place(above, directories)
            path, reason = places[above]
        if name:
            path += name
            reason = reason or _wrong_with(name)
        elif size:
            reason = reason or "its name is a directory's, and it has content"
        if reason:
            refused.append((row, reason))
        elif name:
            if path != written:
                names[row] = path
            in_order = in_order and previous < path
            previous = path
            rows.append(row)
            hashes.append(hash(path))
    files = Files(listing, start, range(len(listing)) if len(rows) == len(listing) else rows, names)
    gone = set[int]() if in_order else _listed_twice(files, hashes, refused)
    refused.sort()
    taken = {hash(path): path for path in directories}
    for row in _rows_of(files, hashes, taken):
        if row in gone:
            continue
        if listing.sizes[row]:
            refused.append((row, "a file where a directory stands: there are keys below it"))
        else:
            gone.add(row)  # a directory's marker without its slash, as some tools make it
    directories |= _without_a_file_in_the_way(markers, files, hashes, gone)
    if refused:
        raise _refusal([(listing.keys[row], reason) for row, reason in refused], where)
    if gone:
        files = files.where(row not in gone for row in rows)
    return FetchPlan(tuple(sorted(directories)), files)


def _listed_twice(files: Files, hashes: array[int], refused: list[tuple[int, str]]) -> set[int]:
    """Rows whose object is listed once more further down; two objects for one file are ``refused``."""
    again, found = set[int](), dict[str, int]()
    keys = files.listing.keys
    for row in _rows_of(files, hashes, {one for one, next_one in pairwise(sorted(hashes)) if one == next_one}):
        path = files.path(row)
        first = found.get(path)
        if first is not None and keys[first] != keys[row]:
            refused.append((row, f"the same file as {keys[first]}"))
            continue
        if first is not None:
            again.add(first)
        found[path] = row
    return again


def _rows_of(files: Files, hashes: array[int], wanted: Collection[int] | Mapping[int, str]) -> Iterator[int]:
    """The rows of the files with a hash that is ``wanted``, and with the path, where it is given."""
    if not wanted or set(wanted).isdisjoint(hashes):
        return
    for row, one in zip(files.rows, hashes, strict=True):
        if one in wanted and (not isinstance(wanted, Mapping) or wanted[one] == files.path(row)):
            yield row


def _without_a_file_in_the_way(
    markers: Collection[str], files: Files, hashes: array[int], gone: Collection[int]
) -> set[str]:
    """The directories of ``markers``, but for those that have the name of a file, or are below one: an empty marker is
    no reason to refuse that.
    """
    taken = {hash(path): path for path in markers}  # and all directories above them are among them
    in_the_way = {files.path(row) for row in _rows_of(files, hashes, taken) if row not in gone}
    if not in_the_way:
        return set(markers)
    return {path for path in markers if in_the_way.isdisjoint((path, *directories_above(path)))}


def directories_above(path: str) -> Iterator[str]:
    """Those that a path is in, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def check_name(name: str, where: Location) -> None:
    """As :func:`plan_tree` for a single object that is to become the file ``name``."""
    reason = _wrong_with(name)
    if reason:
        raise _refusal([(name, reason)], where)


def check_room(plan: FetchPlan, root: str, early: Iterable[str] = ()) -> None:
    """Compare the plan with what the file system of ``root`` has left: bytes and inodes.

    Raises :class:`DiskFull` with the arithmetic. Files that stand there already, whole or in part or ``early`` under
    another name, count for what they hold; directories, too.
    """
    room = os.statvfs(existing(root))
    free = room.f_bavail * room.f_frsize
    need = _blocks(plan.files.sizes, room)
    inodes = len(plan.files) + len(plan.directories)
    if need <= free and not _lacks_inodes(inodes, room):
        return
    unfinished = unfinished_names(plan.files, root)
    for place in chain((os.path.join(root, path) for path in plan.files.paths), unfinished, early):
        try:
            found = os.lstat(place)
        except OSError:
            continue
        need -= found.st_blocks * 512
        inodes -= 1
    inodes -= sum(os.path.lexists(os.path.join(root, path)) for path in plan.directories)
    if need > free:
        raise DiskFull(
            "what is to be fetched does not fit",
            where=root,
            why=f"{counted(len(plan.files), 'file')} need{'s' * (len(plan.files) == 1)} {readable(need)} more,"
            f" {readable(free)} are free: {readable(need - free)} too little",
        )
    if room.f_files and inodes > room.f_favail:
        raise DiskFull(
            "what is to be fetched has more files than fit",
            where=root,
            why=f"{inodes} new files and directories, {room.f_favail} inodes are free: "
            f"{inodes - room.f_favail} too few",
        )


def has_room(sizes: Iterable[int], inodes: int, root: str) -> bool:
    """Whether files of these sizes fit, whatever stands there already: then :func:`check_room` has nothing to say."""
    room = os.statvfs(existing(root))
    return _blocks(sizes, room) <= room.f_bavail * room.f_frsize and not _lacks_inodes(inodes, room)


def _blocks(sizes: Iterable[int], room: os.statvfs_result) -> int:
    """Bytes of whole blocks."""
    block = room.f_frsize or 4096
    return sum(-(-size // block) for size in sizes) * block


def _lacks_inodes(count: int, room: os.statvfs_result) -> bool:
    return bool(room.f_files) and count > room.f_favail  # file systems without a fixed number say 0


def single_object(store: Store, source: Location) -> Entry | None:
    """The one object that ``source`` is, if it is one.

    An object of no bytes beside keys below it is a directory's marker that was made without a slash.
    """
    if source.is_directory:
        return None
    entry = store.stat(source.path)
    if entry is not None and not entry.size and store.children(source.as_directory().path):
        return None
    return entry


def no_object(store: Store, source: Location) -> BootstrapError:
    """Why there is no single object ``source``: it is a directory, or nothing at all."""
    if store.children(source.as_directory().path):
        return UsageError("the source is a directory", where=str(source), remedy="add -r")
    return nothing_there(store, source)


def nothing_there(store: Store, source: Location) -> NothingThere:
    """The error for an empty prefix (a local one without its leading slash), with the nearest prefix that is not."""
    root = "" if source.is_remote else "/"
    # Without empty parts: prefix//code/ is the usual slip of who puts paths together.
    above, wanted = "/".join(part for part in source.path.split("/") if part), ""
    names: list[str] = []
    while above and not names:
        above, _, wanted = above.rpartition("/")
        above += "/" if above else ""
        names = store.children(above)
        above = above.rstrip("/")
    top = f"{above}/" if above else ""
    holder = source.bucket if source.title else f"bucket {source.bucket}"
    label = f"{holder} has no objects under" if source.is_remote else "there is nothing under"
    import difflib  # wanted for this one sentence only

    near = difflib.get_close_matches(wanted, [name.rstrip("/") for name in names], n=1, cutoff=0.5)
    if not source.path:
        why = "the bucket is empty"
    elif near:
        found = next(name for name in names if name.rstrip("/") == near[0])
        why = f"the nearest that exists is {root}{top}{found}"
    elif names:
        listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        why = f"{root + top or 'the bucket'} exists and holds {listed}"
    else:
        why = "the bucket is empty"
    what = f"{label} {root}{source.path}" if source.path else "nothing to fetch"
    return NothingThere(what, where=f"{root}{source}", why=why)


def _place(above: str, directories: set[str]) -> tuple[str, str]:
    """What the beginning of a name, up to its last slash, is as a path (put among ``directories``, with all that are
    above it), and why it cannot be one."""
    if above.startswith("/"):
        return "", "an absolute path"
    path = ""
    for part in above.split("/"):
        if part:
            reason = _wrong_with(part)
            if reason:
                return "", reason
            path += part
            directories.add(path)
            path += "/"
    return path, ""


def _wrong_with(name: str) -> str:
    """Why ``name`` cannot be that of a file or a directory, or an empty string."""
    if name in (".", ".."):
        return "leaves the directory" if name == ".." else "no name"
    if "\0" in name:
        return "a NUL byte"
    if len(name) > _LONGEST_NAME // 4 and len(os.fsencode(name)) > _LONGEST_NAME:
        return f"a name of more than {_LONGEST_NAME} bytes"
    return ""


def _refusal(refused: list[tuple[str, str]], where: Location) -> NamesUnsafe:
    listed = "; ".join(f"{key!r} ({reason})" for key, reason in refused[:_SHOWN])
    if len(refused) > _SHOWN:
        listed += f"; and {len(refused) - _SHOWN} more"
    return NamesUnsafe(
        f"{len(refused)} object name{'s' * (len(refused) != 1)} cannot be files here; nothing was written",
        where=str(where),
        why=listed,
        names=[key for key, _ in refused],
    )
