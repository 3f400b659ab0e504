"""What is to be fetched: listed, laid out as the fetch will lay it out, and compared with the room there is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ..errors import DiskFull, NothingThere
from ..ground.argv import named_in
from ..job import Job
from ..reporting.prose import counted
from ..settings import Settings
from ..storage.common.file_errors import existing, explain, local_trouble
from ..storage.common.units import readable
from ..storage.fetch.archive import stem
from ..storage.fetch.files import Files
from ..storage.fetch.plan import FetchPlan, check_room, nothing_there, plan_tree
from ..storage.model.listing import Entries
from ..storage.model.store import Entry
from ..storage.model.url import Location
from ..storage.open import Stores
from ..storage.schemes import parse
from ..values import dataclass
from .findings import Finding, ok

_LOCAL_FILES = 200_000  # at most, of a local source


@dataclass(frozen=True, slots=True)
class SourceToCheck:
    """One thing to be fetched: ``name`` as the job calls it, where from, and the directory it goes below.

    ``direct``: its content goes into ``directory`` itself, and not below its own name.
    """

    name: str
    url: Location
    directory: str
    direct: bool
    unpack: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds. ``archive``: a single object that is unpacked, whose content is not known. ``in_place``: it
    is where it is to go, and nothing is fetched.
    """

    source: SourceToCheck
    plan: FetchPlan
    archive: bool
    root: str
    in_place: bool = False

    def files(self) -> Iterator[tuple[str, Entry]]:
        """Each file under the local path that it is going to have."""
        return ((os.path.join(self.root, path), entry) for path, entry in self.plan.files)


def of_job(job: Job, chosen: Settings) -> list[SourceToCheck]:
    """Code and inputs, as the fetch step takes them."""
    found = []
    if job.code:
        found.append(SourceToCheck("code", parse(job.code), job.job_dir, chosen.code_direct, chosen.unpack))
    for item in job.inputs:
        directory = os.path.join(job.job_dir, item.directory)
        found.append(SourceToCheck(f"input {item.name}", parse(item.url), directory, True, False))
    return found


def look(source: SourceToCheck, stores: Stores, *, command: Sequence[str] = (), meant: bool = False) -> Listing:
    """List one source and read the first bytes of one object. ``meant``: ``direct`` was given by a person; otherwise
    code that the ``command`` names in the directory itself goes there, as the fetch has it.

    Raises what the store says, :class:`NothingThere` and :class:`NamesUnsafe`.
    """
    url = source.url
    if not url.is_remote:
        return _look_here(source)
    store = stores.open(url)
    single = None if url.is_directory else store.stat(url.path)
    if single is not None:
        plan = FetchPlan.of((url.name, single))
        archive = source.unpack and bool(stem(url.name))
        return _proved(stores, Listing(source, plan, archive, source.directory))
    prefix = url.as_directory().path if url.path else ""
    entries = Entries.of(store.entries(prefix))
    if not len(entries):
        raise nothing_there(store, url)
    plan = plan_tree(entries, prefix, url)
    direct = source.direct
    if not direct and not meant and (wanted := named_in(command, source.directory)):
        direct = wanted.split("/")[0] != url.name and wanted in plan.files.paths
    root = source.directory if direct else os.path.join(source.directory, url.name)
    return _proved(stores, Listing(source, plan, False, root))


def _proved(stores: Stores, listing: Listing) -> Listing:
    """Listing and reading are two rights: read a byte of the smallest object."""
    smallest = min((entry for _, entry in listing.plan.files if entry.size), key=lambda entry: entry.size, default=None)
    if smallest is not None:
        body = stores.open(listing.source.url).read(smallest.key, end=1)
        try:
            for _ in body:
                break
        finally:
            body.close()
    return listing


def _look_here(source: SourceToCheck) -> Listing:
    place = os.path.abspath(source.url.path)
    if os.path.isfile(place):
        with local_trouble(place, "cannot read what is to be fetched"), open(place, "rb") as file:
            file.read(1)
        plan = FetchPlan.of((os.path.basename(place), Entry(place, os.path.getsize(place))))
        return Listing(source, plan, source.unpack and bool(stem(place)), source.directory)
    if not os.path.isdir(place):
        raise NothingThere("there is no such file or directory", where=place)
    try:
        os.listdir(place)
    except OSError as error:
        raise explain(error, place, "cannot read what is to be fetched") from error
    root = source.directory if source.direct else os.path.join(source.directory, os.path.basename(place))
    if os.path.exists(root) and os.path.samefile(place, root):
        return Listing(source, FetchPlan.of(), False, root, in_place=True)
    return Listing(source, FetchPlan.of(*islice(_walk(place), _LOCAL_FILES)), False, root)


def _walk(top: str) -> Iterator[tuple[str, Entry]]:
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            try:
                size = os.stat(path).st_size
            except OSError:  # a link that leads nowhere
                continue
            yield os.path.relpath(path, top), Entry(path, size)


def told(listing: Listing) -> Finding:
    """One source that can be read."""
    files, size = len(listing.plan.files), readable(listing.plan.bytes)
    where = f"{listing.source.name} {listing.source.url} -> {listing.root}"
    if listing.in_place:
        return ok("source", f"{where}: in place already", f"{where}：已在目标位置")
    return ok("source", f"{where}: {counted(files, 'file')}, {size}", f"{where}：{files} 个文件，{size}")


def check_space(listings: Sequence[Listing]) -> Sequence[Finding]:
    """Bytes and inodes of all that is to be fetched, against each file system that it goes to.

    Raises :class:`DiskFull` with the arithmetic.
    """
    together: dict[int, list[Listing]] = {}
    for listing in listings:
        together.setdefault(os.stat(existing(listing.root)).st_dev, []).append(listing)
    found = []
    for there in together.values():
        plan = FetchPlan(
            tuple(name for listing in there for name in listing.plan.directories),
            Files.of(file for listing in there for file in listing.files()),
        )
        root = there[0].source.directory
        check_room(plan, root)
        room = os.statvfs(existing(root))
        free, need = room.f_bavail * room.f_frsize, plan.bytes
        en = f"{existing(root)}: {readable(need)} to fetch, {readable(free)} free"
        found.append(ok("space", en, f"{existing(root)}：需取 {readable(need)}，可用 {readable(free)}"))
    return found


def check_outputs_space(sizes: Mapping[str, int]) -> Sequence[Finding]:
    """Room for what an earlier attempt has left to go on from: bytes by output directory. Raises :class:`DiskFull`."""
    found = []
    for directory, size in sizes.items():
        room = os.statvfs(existing(directory))
        free = room.f_bavail * room.f_frsize
        if size > free:
            raise DiskFull(
                "the checkpoint to go on from does not fit",
                where=directory,
                why=f"it has {readable(size)}, {readable(free)} are free",
                remedy="put the output on a larger disk, or say --resume never",
            )
        en = f"output {directory}: {readable(free)} free, the newest checkpoint has {readable(size)}"
        zh = f"输出 {directory}：可用 {readable(free)}，最新检查点 {readable(size)}"
        found.append(ok("output-space", en, zh))
    return found
