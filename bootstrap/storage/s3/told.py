"""What a store tells of an object beside what a listing has: its checksums, and the size of the parts it was made of.

AWS keeps the checksum that came with an upload, or makes a CRC-64/NVME, and tells it who asks by
``x-amz-checksum-mode`` ("Checking object integrity", 2025). ``?partNumber=N`` is answered with the length of that part
and ``x-amz-mp-parts-count``: by AWS, Ceph, MinIO and SeaweedFS; rclone and OBS do not know it and answer with the whole
object, Swift refuses it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterator
from typing import Protocol

from ..model.pipeline import Answer, NeedsFallback
from ..model.store import ENCRYPTED, Entry, Told

_KINDS = ("crc32", "crc64nvme", "crc32c", "sha256", "sha1")  # the cheapest first
_COUNT = re.compile(r"-(\d+)")
_LOOKS = 4  # at parts of one object, and at the last


class AnswersHeads(Protocol):
    """What is needed of a bucket's fast client."""

    def heads(self, key: str, queries: Collection[str]) -> Iterator[Answer]: ...


def told(client: AnswersHeads, entry: Entry) -> Told:
    """Nothing where the store cannot be asked, or speaks of another object by now."""
    count = int(found[1]) if (found := _COUNT.search(entry.etag)) else 0
    numbers = _numbers(count)
    checksums: dict[str, str] = {}
    of_parts = encrypted = False
    sizes: list[int] = []
    try:
        for answer in client.heads(entry.key, ["", *(f"partNumber={number}" for number in numbers)]):
            parts = answer.header("x-amz-mp-parts-count")
            if answer.etag.removesuffix(ENCRYPTED) != entry.etag.removesuffix(ENCRYPTED):
                break
            if parts == str(count):
                sizes.append(answer.size)
            elif not parts and answer.size == entry.size:
                encrypted = answer.etag.endswith(ENCRYPTED)
                checksums, of_parts = _checksums(answer)
    except (NeedsFallback, OSError):
        pass
    part = sizes[0] if sizes else 0
    even = [part] * (len(numbers) - 1) + [entry.size - part * (count - 1)]
    return Told(checksums, of_parts, part if sizes == even else 0, encrypted)


def _numbers(count: int) -> list[int]:
    """The parts to look at: parts may differ in size, and then nothing is known."""
    if count < 2:
        return []
    step = max(1, -(-count // _LOOKS))
    return [*range(1, count, step), count]


def _checksums(answer: Answer) -> tuple[dict[str, str], bool]:
    of_parts = answer.header("x-amz-checksum-type").upper() == "COMPOSITE"
    found: dict[str, str] = {}
    for kind in _KINDS:
        text, _, parts = answer.header(f"x-amz-checksum-{kind}").partition("-")
        try:
            if text:
                found[kind] = base64.b64decode(text, validate=True).hex()
                of_parts = of_parts or bool(parts)
        except binascii.Error:
            continue
    return found, of_parts
