"""Texts and the ends of files -> one archive of at most :data:`MOST` bytes, secrets masked.

Every byte that goes in is counted before it is compressed, so that the bound holds whatever the texts are like.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterable

from ..ground.plain_text import plain
from ..ground.safe_files import open_own
from ..reporting.language import Lang, Words
from ..values import dataclass

MOST = 8 << 20
"""Bytes of the archive."""
_ROOM = MOST - (256 << 10)  # bytes of texts: what is left is for tar's blocks, and for what cannot be compressed
_MARGIN = 64 << 10  # bytes before those that are taken: a secret may begin there
_BLOCK = 1024  # bytes of tar for each member, its header and what fills its last block

Mask = Callable[[str], str]

_ABOUT = Words(
    "What was known when this run ended. Secrets are masked; of what is long, the end is here.",
    "本次运行结束时已知的信息。机密已脱敏；过长的内容只保留末尾。",
)
_CUT = Words("the last {taken} of {size} bytes", "{size} 字节中的末尾 {taken} 字节")
_ABSENT = Words("not here: {why}", "缺失：{why}")
_FULL = Words("the archive was full", "归档已满")


@dataclass(frozen=True, slots=True)
class GivenText:
    """Something that was written for the bundle, or said by the machine. ``about``: what it is."""

    name: str
    about: Words
    text: str


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The end of a file of this machine, ``most`` bytes of it at most."""

    name: str
    about: Words
    path: str
    most: int


def pack(items: Iterable[GivenText | FileEnd], mask: Mask, lang: Lang) -> bytes:
    """The archive, with a ``README.txt`` that tells what is in it. What comes first has its room first."""
    left = _ROOM
    members: list[tuple[str, bytes]] = []
    lines = [_ABOUT.to(lang), ""]
    for item in items:
        note = ""
        try:
            size, data = _taken(item, max(0, left - _BLOCK), mask)
        except OSError as error:
            size, data, note = 0, b"", _ABSENT.filled(why=error.strerror or str(error)).to(lang)
        if not data and not note:
            note = _ABSENT.filled(why=_FULL.to(lang)).to(lang) if size else ""
        elif len(data) < size:
            note = _CUT.filled(taken=len(data), size=size).to(lang)
        if data:
            left -= len(data) + _BLOCK
            members.append((item.name, data))
        lines.append(f"{item.name}: {item.about.to(lang)}" + (f" ({note})" if note else ""))
    members.insert(0, ("README.txt", mask("\n".join(lines) + "\n").encode("utf-8", "replace")))
    return _archive(members)


def _taken(item: GivenText | FileEnd, room: int, mask: Mask) -> tuple[int, bytes]:
    """How large it is, and of its end what there is room for, masked."""
    if isinstance(item, GivenText):
        data = mask(plain(item.text)).encode()
        return len(data), data[-room:] if room else b""
    most = min(item.most, room)
    with open(open_own(item.path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - most - _MARGIN))
        data = mask(file.read(most + _MARGIN).decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return size, data[-most:] if most else b""


def _archive(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer, now = io.BytesIO(), int(time.time())
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=now) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in members:
            member = tarfile.TarInfo(f"bundle/{name}")
            member.size, member.mtime, member.mode = len(data), now, 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
