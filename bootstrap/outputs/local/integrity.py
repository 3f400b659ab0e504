"""Files that tell by themselves that they are not whole: a writer that was killed, or a disk that was full, cut them.

``torch.save`` and Keras write zip archives, whose table of contents is at the end; a safetensors file says in its head
how long it is. That is read, some kilobytes, and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...ground.json_text import load_json

_ZIP, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ZIP_TAIL = 22 + 0xFFFF  # the last record and the longest comment behind it
_LONGEST_HEAD = 100 << 20  # the format's own limit


def cut_short(path: Path, name: str) -> str:
    """How it can be told that the file is not whole, in words; "" if it cannot."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            if head.startswith(_ZIP):
                file.seek(max(0, size - _ZIP_TAIL))
                return "" if _ZIP_END in file.read(_ZIP_TAIL) else "a zip archive without its end"
            if name.endswith(".safetensors"):
                return _safetensors(file.read(min(_LONGEST_HEAD, _length(head))), _length(head), size)
            if not size and name.endswith((".pt", ".pth", ".ckpt", ".keras")):
                return "it is empty"
    except OSError:  # who sends it will say why
        pass
    return ""


def tells_its_end(path: Path) -> bool:
    """Whether a file of this kind would tell that it is not whole."""
    try:
        with path.open("rb", buffering=0) as file:
            return path.name.endswith(".safetensors") or file.read(4) == _ZIP
    except OSError:
        return False


def _length(head: bytes) -> int:
    return int.from_bytes(head, "little")


def _safetensors(text: bytes, length: int, size: int) -> str:
    try:
        tensors = load_json(text)
        wanted = (
            8
            + length
            + max((one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"), default=0)
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "a safetensors file without its head"
    return "" if size >= wanted else f"a safetensors file with {size} of {wanted} bytes"
