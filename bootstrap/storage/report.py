"""What a transfer did, and the line that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..job import Log
from ..values import dataclass, field
from .common.progress import Progress
from .common.units import readable
from .model.store import Verify
from .model.url import Location


@dataclass(frozen=True, slots=True)
class Report:
    """What a transfer did. ``bytes`` and ``seconds`` are of what moved; ``skipped`` files did not have to.

    ``root`` is where it landed: a directory, or the file that a single object became. ``failed`` pairs names with
    reasons and is never empty when something is missing; ``left_out`` is what was not meant to go (a named pipe, a
    link that leads out of the tree), with reasons. ``revision`` is what a source's URL meant: a commit. ``verified``:
    by what objects were verified that moved, and how many: "md5", "md5 of parts", "size".
    """

    root: str
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    revision: str = ""
    verified: Mapping[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.failed


def fetched(
    root: Path, files: int, progress: Progress, skipped: int, kept: Sequence[str], revision: str = ""
) -> Report:
    """Of a fetch; ``kept`` are paths that somebody changed here."""
    left_out = tuple((path, "changed here since it was fetched, and kept") for path in kept)
    return Report(
        str(root),
        files,
        progress.bytes,
        skipped,
        progress.seconds,
        (),
        left_out,
        revision,
        verified=dict(progress.verified),
    )


def name_unverified(mode: Verify, progress: Progress, log: Log, lacking: Collection[str]) -> None:
    """Where all was to be verified that can be. ``lacking``: kinds of checksums that a package would compute."""
    if mode == "always" and progress.by_size:
        event, facts = "verified by their size only: the store tells no more that we can compute", dict[str, object]()
        if lacking:
            facts["remedy"] = f"install our wheel with its extra checksums, which computes {', '.join(sorted(lacking))}"
        log.warning(event, files=progress.verified["size"], first=progress.by_size[0], **facts)


def said(report: Report, verb: str, place: Location, log: Log) -> Report:
    """One line about what was done; "delivered" and its kin are said of what is complete only."""
    rate = f"{report.bytes / 1e6 / report.seconds:.1f} MB/s" if report.seconds > 0 else ""
    facts: dict[str, object] = {
        "to" if verb == "delivered" else "from": str(place),
        "files": report.files,
        "size": readable(report.bytes),
        "seconds": round(report.seconds, 2),
        "rate": rate,
        **({"unchanged": report.skipped} if report.skipped else {}),
        **({"revision": report.revision} if report.revision else {}),
    }
    if report.complete:
        log.info(verb, **facts)
    else:
        log.warning(f"not everything was {verb}", **facts, failed=len(report.failed))
    return report
