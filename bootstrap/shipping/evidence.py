"""Evidence: files beside the log that tell more of a run's end than the log does. Stacks, the logs of single
processes, recordings of collectives.

They are the user's and the engines' files, written by whoever could write there: only regular files of our own are
taken, so much of each and of all together, and secrets are masked in them as in the log. Nothing of it may fail a job:
what cannot be delivered is told with its reason, and stays where it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import BootstrapError
from ..ground import log_names
from ..ground.abandonable import unless
from ..ground.safe_files import open_own
from ..job import StopRequest
from ..storage.model.url import Location
from ..storage.open import Stores
from ..values import dataclass

LARGEST = 8 << 20
"""Bytes of one file; of a longer text its end."""
ALL = 64 << 20
"""Bytes of all files of a run."""
MOST = 64
"""Files of a run; what comes first counts."""
_MARGIN = 64 << 10  # bytes before those that are taken: a secret may begin there


T = TypeVar("T")


class PutAs(Protocol):
    """Has ``write`` write what is to be called ``name``; what it is called in the end, and what that returned."""

    def __call__(self, name: str, write: Callable[[str], T], /) -> tuple[str, T]: ...


def as_called(name: str, write: Callable[[str], T]) -> tuple[str, T]:
    """The :class:`PutAs` of who has the names to himself."""
    return name, write(name)


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file on this machine and its name beside the log (no directories in it). ``whole``: it is worth nothing in
    parts, and no text, so that a secret in it cannot be masked.
    """

    path: Path
    name: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one file: where it is, and how many bytes; or why it is not there."""

    path: Path
    to: str = ""
    bytes: int = 0
    why: str = ""


class TooMuch(Exception):
    """It does not fit, and a part of it is worth nothing."""


def deliver(
    stores: Stores,
    target: Location,
    log_file: str,
    files: Sequence[EvidenceFile],
    *,
    put: PutAs = as_called,
    mask: Callable[[str], str],
    stop: StopRequest,
) -> list[Delivered]:
    """Write ``files`` below the directory ``target``, beside the log that is called like ``log_file``; never raises.
    ``put`` knows what a name is there, where a later attempt may have the plain one.
    """
    told: list[Delivered] = []
    if files:
        unless(stop, lambda: told.extend(_each(stores, target, log_file, files[:MOST], put, mask, stop)))
    known = {one.path for one in told}
    return told + [
        Delivered(one.path, why=_left_out(place)) for place, one in enumerate(files) if one.path not in known
    ]


def place_of(target: Location, log_file: str, name: str, named: Callable[[str], str] = str) -> Location:
    """Where the evidence of this name is delivered."""
    return target.child(named(log_names.evidence(os.path.basename(log_file), name)))


def _left_out(place: int) -> str:
    return f"there are more than {MOST} files" if place >= MOST else "the time was up"


def _each(
    stores: Stores,
    target: Location,
    log_file: str,
    files: Sequence[EvidenceFile],
    put: PutAs,
    mask: Callable[[str], str],
    stop: StopRequest,
) -> Iterator[Delivered]:
    left = ALL
    for one in files:
        if stop.is_set():
            return
        try:
            data = content(one, min(left, LARGEST), mask)
            name = log_names.evidence(os.path.basename(log_file), one.name)
            there, _ = put(name, partial(_write, stores, target, data))
        except (BootstrapError, OSError, TooMuch) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            yield Delivered(one.path, why=why)
        else:
            left -= len(data)
            yield Delivered(one.path, str(target.child(there)), len(data))


def _write(stores: Stores, target: Location, data: bytes, name: str) -> None:
    stores.open(target).write(target.child(name).path, data)


def content(one: EvidenceFile, most: int, mask: Callable[[str], str]) -> bytes:
    """At most ``most`` bytes of a file, masked. Raises :class:`TooMuch`, and :class:`OSError` for what is not ours."""
    with open(open_own(one.path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if one.whole and size > most:
            raise TooMuch(f"{size} bytes are more than {most}")
        file.seek(max(0, size - most - _MARGIN))
        data = file.read(min(size, most + _MARGIN))
    masked = _masked(data, mask)
    if one.whole:
        if masked != data:
            raise TooMuch("it holds a secret, and is no text in which that could be masked")
        return data
    if size <= most and len(masked) <= most:
        return masked
    mark = f"[bootstrap] the end of {size} bytes\n".encode()
    return mark + masked[-max(0, most - len(mark)) :].partition(b"\n")[2]


def _masked(data: bytes, mask: Callable[[str], str]) -> bytes:
    return mask(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
