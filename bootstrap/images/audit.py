"""What a platform looks at before it admits an image: files that give rights or were changed, size, drivers."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator

from ..reporting.prose import counted
from .contracts import GB
from .findings import ImageFinding, Question, Severity, listed
from .tree import Image, ImageEntry

SYSTEM = ("bin", "sbin", "usr", "lib", "lib64")
OF_EVERY_IMAGE = re.compile(  # of /etc: users, what is made of other files, and what engines write into a container
    r"etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|ld\.so\.cache|\.pwd\.lock|hosts|hostname|resolv\.conf|mtab)"
)
DRIVER = re.compile(
    r"(^|/)(lib(cuda|nvidia-ml|nvidia-ptxjitcompiler|nvcuvid)\.so[.0-9]*|nvidia-smi|libascend_hal\.so)$"
)
NOT_A_DRIVER = re.compile(r"/(compat|stubs|cuda-compat[^/]*|devlib)/")  # for older drivers, and for linking


def setuid(asked: Question) -> Iterator[ImageFinding]:
    known = asked.base.entries if asked.base else {}
    found = [
        path
        for path, entry in sorted(asked.image.entries.items())
        if entry.is_file
        and entry.mode & (stat.S_ISUID | stat.S_ISGID)
        and not (path in known and known[path].mode & (stat.S_ISUID | stat.S_ISGID))
        and (entry.uid == 0 or not asked.contract.audited)
    ]
    if not found:
        return
    what = f"{len(found)} setuid or setgid files"
    if asked.contract.audited and asked.base:
        what += " that the base image does not have"
        remedy = f"RUN chmod a-s {' '.join(f'/{path}' for path in found)}"
        yield ImageFinding(
            Severity.ERROR, "setuid", what, listed(found), "the platform's audit refuses the image", remedy
        )
    elif asked.contract.audited:
        why = "the platform's audit refuses new ones; without --base, new and old cannot be told apart"
        remedy = "give --base; RUN chmod a-s for those that it does not have, and only for those"
        yield ImageFinding(Severity.WARNING, "setuid", what, listed(found), why, remedy)
    else:
        why = "hardened clusters refuse them, and they do nothing under no-new-privileges"
        remedy = "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +"
        yield ImageFinding(Severity.NOTE, "setuid", what, listed(found), why, remedy)


def system_files(asked: Question) -> Iterator[ImageFinding]:
    base, audited = asked.base, asked.contract.audited
    if base is None:
        return
    remedy = "put what you add below /opt or the user's home, and leave packages of the system as they are"
    changed, removed = _differences(asked.image, base.below(*SYSTEM))
    for id, word, paths in (("system-changed", "changed", changed), ("system-removed", "removed", removed)):
        if paths:
            yield ImageFinding(
                Severity.ERROR if audited else Severity.NOTE,
                id,
                f"{len(paths)} system files were {word}, compared with {base.source}",
                listed(paths),
                "the audit of ModelArts v1 compares /bin, /sbin, /usr and /lib with its base image"
                if audited
                else "what the base was tested with is no longer what runs",
                remedy,
            )
    if not audited:
        return
    etc = [(path, entry) for path, entry in base.below("etc") if not OF_EVERY_IMAGE.fullmatch(path)]
    tools = [(path, entry) for path, entry in base.below(asked.contract.home.lstrip("/")) if entry.digest]
    changed, removed = _differences(asked.image, [*etc, *tools])
    paths = sorted(changed + removed)
    if paths:
        yield ImageFinding(
            Severity.WARNING,
            "configuration-changed",
            f"{counted(len(paths), 'changed file')} of /etc and of {asked.contract.home}, compared with {base.source}",
            listed(paths),
            "the audit of ModelArts v1 also compares important files of /etc and its tools in the home; which ones is "
            "not documented",
            remedy,
        )


def _differences(image: Image, old: Iterable[tuple[str, ImageEntry]]) -> tuple[list[str], list[str]]:
    """What is no longer as it was, and what is gone."""
    changed, removed = [], []
    for path, entry in old:
        new = image.entries.get(path)
        if new is None:
            removed.append(path)
        elif new.is_directory and entry.is_directory:
            continue  # a package that adds a file changes its directory
        elif _identity(new) != _identity(entry) or (new.digest and entry.digest and new.digest != entry.digest):
            changed.append(path)
    return changed, removed


def _identity(entry: ImageEntry) -> tuple[object, ...]:
    """Without the digest, which is missing where a file was closed to us."""
    return entry.mode, entry.uid, entry.gid, entry.size if entry.is_file else 0, entry.target


def size(asked: Question) -> Iterator[ImageFinding]:
    image, contract = asked.image, asked.contract
    told = f"{image.size / GB:.2f} GB unpacked"
    big = listed(_largest(image))
    remedy = "use a runtime image instead of a devel one, clean caches in the same RUN, copy from a build stage"
    if contract.largest and image.size > contract.largest:
        why = f"{contract.title} admits {contract.largest / GB:g} GB"
        yield ImageFinding(
            Severity.ERROR, "size", f"the image is too large: {told}", f"the largest: {big}", why, remedy
        )
    elif contract.advised and image.size > contract.advised:
        why = f"{contract.title} advises at most {contract.advised / GB:g} GB: starting takes long otherwise"
        yield ImageFinding(Severity.WARNING, "size", f"the image is large: {told}", f"the largest: {big}", why, remedy)
    else:
        yield ImageFinding(Severity.NOTE, "size", told)


def _largest(image: Image) -> list[str]:
    files = [(entry.size, path) for path, entry in image.entries.items() if entry.is_file]
    return [path for _, path in sorted(files, reverse=True)[:4]]


def driver(asked: Question) -> Iterator[ImageFinding]:
    found = [
        path
        for path, entry in sorted(asked.image.entries.items())
        # Container engines leave empty files behind, onto which they mount the machine's driver.
        if entry.is_file and entry.size and DRIVER.search(path) and not NOT_A_DRIVER.search(f"/{path}")
    ]
    if found:
        yield ImageFinding(
            Severity.ERROR,
            "driver",
            "files of an accelerator's driver are in the image",
            listed(found),
            "the platform brings the driver of its own machines, and a second one of another version breaks it",
            "remove the driver packages (nvidia-driver-*, libnvidia-*, /usr/local/Ascend/driver); CUDA itself may stay",
        )
