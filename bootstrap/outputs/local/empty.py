"""Outputs in which nothing was left, and where somebody may find what he meant."""

from __future__ import annotations

import os

from ...errors import NothingThere
from ...job import Output
from ...values import replace
from ..delivery import Delivery, Empty


def noted(delivery: Delivery, work_dir: str, empty: Empty) -> Delivery:
    """``delivery``, with a note or an error if there was nothing and that matters: many a job fails before it writes
    any, and of several nodes often one alone does.
    """
    output = delivery.output
    # One with a name is the platform's, which may be empty.
    wanted = empty == "failure" or (empty == "note" and not output.name)
    if delivery.error is not None or not wanted or not _is_empty(output.directory):
        return delivery
    note = _about_nothing(output, work_dir)
    if empty == "note":
        return replace(delivery, note=note)
    what, remedy = "an output is empty", "have the command leave its results there, or --no-require-outputs"
    error = NothingThere(what, where=output.directory, why=note.partition(": ")[2], remedy=remedy)
    return replace(delivery, error=error)


def _is_empty(directory: str) -> bool:
    """Whether there is no file in it, at any depth: a pipe or a link to nothing is none, a file in its place is."""
    there = (os.path.join(place, name) for place, _, files in os.walk(directory) for name in files)
    return not os.path.isfile(directory) and not any(map(os.path.isfile, there))


def _about_nothing(output: Output, work_dir: str) -> str:
    near = names_like(output.directory, work_dir)
    found = f"what looks like it and is not empty: {', '.join(near)}" if near else "no directory has a similar name"
    return f"nothing was left in {output.directory}, which was to be delivered: {found}"


def names_like(directory: str, work_dir: str) -> list[str]:
    """Up to five directories with files in them that somebody may have meant by ``directory``: of a similar name beside
    it, or of its own name where a program that changes its directory would have made it.
    """
    import difflib  # wanted by the unlucky only

    parent, name = os.path.split(directory)
    beside = [entry for entry in _directories(parent) if entry != name]
    alike = difflib.get_close_matches(name.lower(), [other.lower() for other in beside], n=5, cutoff=0.6)
    found = [os.path.join(parent, other) for other in beside if other.lower() in alike or _extends(name, other)]
    for below in _directories(work_dir):
        found += [os.path.join(work_dir, below, inner, name) for inner in ("", *_directories(f"{work_dir}/{below}"))]
    found = [os.path.normpath(place) for place in found if place != directory]
    return [place for place in dict.fromkeys(found) if os.path.isdir(place) and not _is_empty(place)][:5]


def _extends(name: str, other: str) -> bool:
    """``out`` and ``output``, ``model`` and ``models_v2``."""
    short, long = sorted((name.lower(), other.lower()), key=len)
    return len(short) > 2 and long.startswith(short)


def _directories(parent: str) -> list[str]:
    try:
        with os.scandir(parent) as found:
            return sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))[:200]
    except OSError:
        return []
