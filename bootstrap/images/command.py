"""Whether a command could start in an image: its file, its interpreter, its loader, its machine."""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterator, Sequence

from .findings import ImageFinding, Severity
from .tree import Image, ImageEntry, loader_of, machine_of

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ID = "command"


def check(image: Image, argv: Sequence[str]) -> Iterator[ImageFinding]:
    """What would keep ``argv`` from starting."""
    search = image.environ.get("PATH") or PATH
    where = image.program(argv[0], search)
    if where is None:
        yield _missing(image, argv[0], search)
        return
    entry = image.find(where)
    assert entry is not None
    chain = [where]
    problem = yield from _follow(image, where, entry, chain)
    if not problem:
        yield ImageFinding(Severity.NOTE, ID, f"{argv[0]} is {', run by '.join(chain)}")


def _missing(image: Image, name: str, search: str) -> ImageFinding:
    base = posixpath.basename(name)
    near = sorted(f"/{path}" for path, found in image.entries.items()
                  if posixpath.basename(path) == base and not found.is_directory)  # fmt: skip
    if "/" in name:
        place = name if image.find(name) or image.is_link(name) else ""
    else:
        place = next((path for path in near if posixpath.dirname(path) in search.split(":")), "")
    if place:
        return _useless(image, place)
    if "/" in name:
        # The code comes with the job: a script below the job dir cannot be in the image.
        return ImageFinding(Severity.WARNING, ID, f"{name} is not in the image", name, "right if the job brings it")
    at = f"it is at {', '.join(near[:4])}"
    if near and not image.environ:
        return ImageFinding(
            Severity.WARNING, ID, f"{name} is in none of the usual directories", search,
            f"{at}, and the image's PATH is not known here",
            "give the file of docker save, which knows PATH, or the command's full name",
        )  # fmt: skip
    return ImageFinding(
        Severity.ERROR, ID, f"{name} is not on PATH", search,
        at if near else "no file in the image has that name",
        f"ENV PATH={posixpath.dirname(near[0])}:$PATH" if near else f"install {name}",
    )  # fmt: skip


def _useless(image: Image, path: str) -> ImageFinding:
    """Something has that name, and cannot be run."""
    entry = image.find(path)
    if entry is None:
        return ImageFinding(
            Severity.ERROR, ID, f"{path} is a link that leads nowhere", path,
            "Linux then says that the program itself does not exist", "install what it points to, or name another",
        )  # fmt: skip
    if entry.is_directory:
        return ImageFinding(
            Severity.ERROR, ID, f"{path} is a directory", path, "only a file can be run", "name the program in it"
        )
    return ImageFinding(
        Severity.ERROR, ID, f"{path} cannot be executed", path,
        f"its mode is {entry.mode & 0o7777:o}", f"RUN chmod +x {path}",
    )  # fmt: skip


def _follow(image: Image, path: str, entry: ImageEntry, chain: list[str]) -> Generator[ImageFinding, None, bool]:
    """From a script to its interpreter, and from a program to its loader. Returns whether there is a problem."""
    if entry.head.startswith(b"#!"):
        line = entry.head.split(b"\n", 1)[0][2:].decode(errors="replace")
        words = line.split()
        if line.endswith("\r"):
            yield ImageFinding(
                Severity.ERROR, ID, f"{path} has line ends of Windows", path,
                "Linux looks for an interpreter whose name ends with a carriage return", f"sed -i 's/\\r$//' {path}",
            )  # fmt: skip
            return True
        if words and posixpath.basename(words[0]) == "env" and len(words) > 1:
            search = image.environ.get("PATH") or PATH
            interpreter = image.program(next((word for word in words[1:] if not word.startswith("-")), ""), search)
        else:
            interpreter = image.program(words[0], "") if words else None
        if interpreter is None:
            yield ImageFinding(
                Severity.ERROR, ID, f"the interpreter of {path} is not in the image", f"#!{line}",
                "Linux then says that the script itself does not exist", "install it, or correct the first line",
            )  # fmt: skip
            return True
        chain.append(interpreter)
        found = image.find(interpreter)
        if found is None or found is entry or len(chain) > 5:
            return False
        return (yield from _follow(image, interpreter, found, chain))
    problems = list(foreign(image, path, entry))
    yield from problems
    return bool(problems)


def foreign(image: Image, path: str, entry: ImageEntry) -> Iterator[ImageFinding]:
    """A program for another machine than the image's, or whose loader is not there."""
    machine, wanted = machine_of(entry.head), image.config.machine if image.config else ""
    if machine and wanted and machine != wanted:
        yield ImageFinding(
            Severity.ERROR, "machine", f"{path} is a program for {machine}", path, f"the image is for {wanted}",
            f"build for one machine: docker build --platform linux/{wanted}",
        )  # fmt: skip
    loader = loader_of(entry.head)
    if loader and image.find(loader) is None:
        yield ImageFinding(
            Severity.ERROR, "loader", f"{path} needs {loader}, which is not in the image", path,
            "Linux then says that the program itself does not exist: it was made for another C library",
            "use the program of this image's distribution, or add that C library",
        )  # fmt: skip
