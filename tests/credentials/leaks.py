"""Search everything that a run left for its secrets, in every form a program may have given them.

``hunt(secrets, directories, texts)`` looks into each file below the directories (file names, link targets and the
insides of gzip and zip files too) and into each given text, and tells what it found where, never the value.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus


@dataclass(frozen=True)
class Leak:
    secret: str
    form: str
    where: str


def forms(value: str) -> dict[str, bytes]:
    """Each form of ``value``, by name. Apart from the redactor's own list, so that neither hides the other's gap."""
    raw = os.fsencode(value)
    found = {
        "plain": raw,
        "URL": quote(raw, safe="").encode(),
        "URL with slashes": quote(raw, safe="/").encode(),
        "form": quote_plus(raw).encode(),
        "JSON": json.dumps(value)[1:-1].encode(),
        "JSON with characters": json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape"),
        "repr": repr(value)[1:-1].encode("utf-8", "backslashreplace"),
        "hex": raw.hex().encode(),
    }
    found["small URL"] = (
        found["URL"].replace(b"%", b"\0").lower().replace(b"\0", b"%") if raw.islower() else found["URL"]
    )
    for shift in range(3):
        # Within a longer text every three bytes become four characters; only whole groups are the secret's alone.
        whole = raw[(3 - shift) % 3 :]
        whole = whole[: len(whole) - len(whole) % 3]
        if len(whole) >= 6:
            found[f"base64 at {shift}"] = base64.b64encode(whole)
            found[f"base64url at {shift}"] = base64.urlsafe_b64encode(whole)
    return found


def hunt(
    secrets: Mapping[str, str], directories: Iterable[str | Path] = (), texts: Mapping[str, bytes] | None = None
) -> list[Leak]:
    """What leaked. ``secrets`` by name; ``texts`` (outputs, argument lists, stored objects) by where they are from."""
    needles = [(name, form, needle) for name, value in secrets.items() for form, needle in forms(value).items()]
    leaks = {}
    for where, content in _everything(directories, texts or {}):
        for name, form, needle in needles:
            if needle in content:
                leaks.setdefault((name, where), Leak(name, form, where))
    return list(leaks.values())


def processes(ancestor: int) -> dict[str, bytes]:
    """The argument lists of a process and of all that come from it, for ``texts``."""
    import psutil

    first = psutil.Process(ancestor)
    found = {}
    for process in (first, *first.children(recursive=True)):
        try:
            found[f"argv of {process.pid}"] = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:  # it has just ended
            pass
    return found


def _everything(directories: Iterable[str | Path], texts: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for where, content in texts.items():
        yield from _opened(where, content)
    for directory in directories:
        for path in sorted(Path(directory).rglob("*")):
            yield f"name of {path}", os.fsencode(path.name)
            if path.is_symlink():
                yield f"target of {path}", os.fsencode(os.readlink(path))
            elif path.is_file():
                yield from _opened(str(path), path.read_bytes())


def _opened(where: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """``content``, and what is inside it when it is packed."""
    yield where, content
    if content.startswith(b"\x1f\x8b"):
        try:
            yield f"{where} (unpacked)", gzip.decompress(content)
        except (OSError, EOFError, zlib.error):  # cut off: the beginning may say enough
            yield f"{where} (its beginning)", zlib.decompressobj(31).decompress(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield f"{where}:{name}", archive.read(name)
