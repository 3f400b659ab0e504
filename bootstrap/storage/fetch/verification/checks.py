"""What an object's bytes can be compared with: digests of the whole, and digests of the digests of its parts.

An upload in parts has an ETag ``HEX-N``, the MD5 of the MD5s of N parts. The parts' size is in no listing. Stores that
know it answer ``?partNumber=1`` (AWS, Ceph, MinIO, SeaweedFS). Elsewhere it is guessed: of the sizes that programs
use, few make N parts of an object. Bytes that do not fit a guess are not known to be wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

from ....ground.patterns import pattern
from ...model.store import ENCRYPTED, Entry, Told

_MIB = 1 << 20
_IN_PARTS = pattern(r"([0-9a-fA-F]{32})-([1-9][0-9]{0,4})")
_CRT = {"crc32c": "crc32c", "crc64nvme": "crc64nvme"}  # functions of awscrt.checksums
_BYTES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}

USUAL = (
    8 * _MIB,  # AWS CLI, boto3, the AWS CRT
    16 * _MIB,  # we, mc, the AWS console
    5 * _MIB,  # rclone, the AWS SDK for Java
    9 * _MIB,  # OBS' SDKs
    50 * _MIB,  # s5cmd, s3fs of fsspec
    10 * _MIB,  # pyarrow, OSS, COS, s3fs-fuse
    64 * _MIB,  # Hadoop's s3a
    100 * _MIB,  # obsa
    15 * _MIB,  # s3cmd
    *(count * _MIB for count in (6, 12, 20, 25, 32, 40, 48, 80, 96, 128, 200, 250, 256, 500, 512, 1024)),
    17_179_870,  # the AWS console, once
    *(count * 10**6 for count in (5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128)),
)
"""Sizes of parts in bytes, the most frequent first."""


class Digest(Protocol):
    """As those of :mod:`hashlib`."""

    def update(self, data: bytes | memoryview, /) -> object: ...
    def digest(self) -> bytes: ...


class DigestCheck(NamedTuple):
    """``digest``, in small hexadecimal digits, is of the bytes, or of the digests of their parts of ``part`` bytes. As
    long as the object has this ``etag``. ``certain``: bytes that do not fit are wrong.
    """

    kind: str
    digest: str
    etag: str
    part: int = 0
    certain: bool = True

    @property
    def name(self) -> str:
        """As records say it."""
        return f"{self.kind} of parts" if self.part else self.kind

    def spans(self, size: int) -> list[tuple[int, int]]:
        """What each digest is of: where it starts and ends (not included)."""
        part = self.part or max(1, size)
        return [(start, min(start + part, size)) for start in range(0, size, part)] or [(0, 0)]

    def fits(self, digests: Sequence[bytes]) -> bool:
        """Whether these, of the spans in their order, are those of the object."""
        found = digests[0]
        if self.part:
            whole = new(self.kind)
            whole.update(b"".join(digests))
            found = whole.digest()
        return found.hex() == self.digest


def new(kind: str) -> Digest:
    return _Crc(kind) if kind in _BYTES else hashlib.new(kind, usedforsecurity=False)


def needs_awscrt(kind: str) -> bool:
    """Whether the package ``awscrt``, of our extra ``checksums``, is what lacks to compute it."""
    return kind in _CRT and not can_compute(kind)


def can_compute(kind: str) -> bool:
    """CRC-32C and CRC-64/NVME at the speed of a network need the package ``awscrt``."""
    if kind not in _CRT:
        return kind in ("md5", "sha1", "sha256", "crc32")
    from importlib.util import find_spec  # for those alone who meet such an object

    return find_spec("awscrt") is not None


def of_etag(etag: str) -> tuple[str, int]:
    """The digest of the parts' digests and their number, or nothing and 0."""
    found = _IN_PARTS.fullmatch(etag)
    return (found[1].lower(), int(found[2])) if found else ("", 0)


def told(entry: Entry, found: Told) -> DigestCheck | None:
    """What the store lets us check for certain, beside an ETag that is an MD5."""
    digest, count = of_etag(entry.etag)
    part = found.part_size if found.part_size and -(-entry.size // found.part_size) == count else 0
    for kind, value in found.checksums.items():
        if can_compute(kind) and (part or not found.of_parts):
            return DigestCheck(kind, value, entry.etag, part if found.of_parts else 0)
    if part and not found.encrypted:
        return DigestCheck("md5", digest, entry.etag, part)
    return None


def guessed(entry: Entry) -> list[DigestCheck]:
    """What an ETag ``HEX-N`` may mean, the most probable first."""
    digest, count = of_etag(entry.etag)
    if count == 1 and entry.size:
        return [DigestCheck("md5", digest, entry.etag, entry.size, certain=False)]
    equal = -(-entry.size // count) if count else 0  # as many bytes in each
    sizes = [size for size in dict.fromkeys((*USUAL, equal)) if size and -(-entry.size // size) == count]
    return [DigestCheck("md5", digest, entry.etag, size, certain=False) for size in sizes]


def is_of(check: DigestCheck, found: Entry) -> bool:
    """Whether the check is of the object as it was ``found`` when it was read."""
    if found.etag.endswith(ENCRYPTED) and check.kind == "md5":
        return False
    return found.etag.removesuffix(ENCRYPTED) == check.etag.removesuffix(ENCRYPTED)


class InOrder:
    """For who has the bytes in order, and only once."""

    def __init__(self, check: DigestCheck, size: int) -> None:
        self._check = check
        self._ends = [end for _, end in check.spans(size)]
        self._digests = [new(check.kind)]
        self._at = 0

    def update(self, data: memoryview) -> None:
        while data:
            end = self._ends[len(self._digests) - 1]
            if self._at == end and len(self._digests) < len(self._ends):
                self._digests.append(new(self._check.kind))
                continue
            now = data[: end - self._at] if self._at < end else data
            self._digests[-1].update(now)
            self._at += len(now)
            data = data[len(now) :]

    def whole(self) -> str:
        """The digest of all bytes, where it is not one of parts."""
        return self._digests[0].digest().hex()

    def fits(self) -> bool:
        return self._check.fits([digest.digest() for digest in self._digests])


class _Crc:
    def __init__(self, kind: str) -> None:
        self._size, self._value = _BYTES[kind], 0
        self._add = crc32
        if kind in _CRT:
            from awscrt import checksums

            self._add = getattr(checksums, _CRT[kind])

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._add(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")
