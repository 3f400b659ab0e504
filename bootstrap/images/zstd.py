"""Layers compressed with zstd, as new builders make them: read with Python's own module (3.14), the package zstandard,
or the program zstd, whichever is there.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from importlib import import_module
from typing import IO, Any, cast

MAGIC = b"\x28\xb5\x2f\xfd"


def opened(stream: IO[bytes], name: str) -> IO[bytes]:
    """The plain bytes of ``stream``. Raises ValueError, with what to install, where nothing here can read it; its
    ``read`` raises OSError for a damaged or cut stream.
    """
    for module, call in (("compression.zstd", "ZstdFile"), ("zstandard", "ZstdDecompressor")):
        try:
            found = import_module(module)
        except ImportError:
            continue
        made: Any = getattr(found, call)
        reader = made(stream) if call == "ZstdFile" else made().stream_reader(stream, read_across_frames=True)
        return cast("IO[bytes]", _Plain(reader, found.ZstdError))
    if shutil.which("zstd"):
        return cast("IO[bytes]", _Program(stream))
    raise ValueError(
        f"layer {name} is compressed with zstd, which nothing here can read: install the program zstd,"
        " or give the tar of docker export"
    )


class _Plain(io.RawIOBase):
    """A reader whose own errors, of the class ``damaged``, become OSError, as those of gzip are."""

    def __init__(self, reader: Any, damaged: type[Exception]) -> None:
        self._reader, self._damaged = reader, damaged

    def read(self, size: int = -1, /) -> bytes:
        try:
            return bytes(self._reader.read(size))
        except self._damaged as error:
            raise OSError(f"zstd: {error}") from error


class _Program(io.RawIOBase):
    """``zstd -dc``, fed by a thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            ["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        threading.Thread(target=self._feed, args=(stream,), name="zstd", daemon=True).start()

    def _feed(self, stream: IO[bytes]) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as entry:
                shutil.copyfileobj(stream, entry)
        except OSError:  # it has given up, and says why
            pass

    def read(self, size: int = -1, /) -> bytes:
        assert self._process.stdout is not None and self._process.stderr is not None
        data = self._process.stdout.read(size)
        if not data and size and self._process.wait():
            raise OSError(f"zstd: {self._process.stderr.read().decode(errors='replace').strip()}")
        return data
