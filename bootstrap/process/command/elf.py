"""What a program says of itself in its ELF headers: the loader that it asks for, and the libraries."""

from __future__ import annotations

import os
import struct

from ...values import dataclass

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 1, 5, 10
_MOST = 1 << 20  # bytes of any table that are read


@dataclass(frozen=True, slots=True)
class Program:
    """``loader`` is empty for a program that is linked statically."""

    loader: str
    libraries: tuple[str, ...]


def read(file: str) -> Program | None:
    """None for what is no ELF file of this machine's word size and byte order, or is damaged."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(handle)
    except (OSError, struct.error, ValueError, OverflowError):
        return None
    finally:
        os.close(handle)


def _read(handle: int) -> Program | None:
    head = os.pread(handle, 64, 0)
    if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
        return None
    table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    headers = os.pread(handle, min(size * count, _MOST), table)
    # type, flags, offset, address, physical address, bytes in the file, bytes in memory, alignment
    segments = [struct.unpack_from("<IIQQQQQQ", headers, at) for at in range(0, size * count, size)]
    loader, needed, strings, length = "", [], 0, 0
    for kind, _, offset, _, _, bytes_, _, _ in segments:
        if kind == _PT_INTERP:
            loader = os.fsdecode(os.pread(handle, min(bytes_, 4096), offset).rstrip(b"\0"))
        elif kind == _PT_DYNAMIC:
            entries = os.pread(handle, min(bytes_, _MOST) & ~15, offset)
            for tag, value in struct.iter_unpack("<QQ", entries):
                if tag == _DT_NEEDED:
                    needed.append(value)
                elif tag == _DT_STRTAB:
                    strings = value
                elif tag == _DT_STRSZ:
                    length = value
    for kind, _, offset, address, _, bytes_, _, _ in segments:
        if kind == _PT_LOAD and address <= strings < address + bytes_:
            text = os.pread(handle, min(length, _MOST), offset + strings - address)
            return Program(loader, tuple(os.fsdecode(text[at : text.index(b"\0", at)]) for at in needed))
    return Program(loader, ())
