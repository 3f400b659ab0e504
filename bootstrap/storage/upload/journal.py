"""Uploads in parts that were begun and have not ended, written down: who comes after a killed process goes on.

The parts of an upload that nobody finishes are in no listing, and paid for. So each is put down in a small file beside
what is sent before its first part goes, and struck out when the object is made or the upload is given up. What a later
transfer of the same source to the same target finds there it resumes, or gives up. It never looks for uploads in the
bucket: those that it would find may be another node's, at work this very moment.

The file is not forced to the disk: a machine that goes down may take its last lines along, and what those were about is
left to the bucket's own rule for incomplete uploads.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

from ...ground.json_text import load_json
from ...ground.writes import write_all
from ..local.staging import PARTIAL


class Begun(NamedTuple):
    """One upload: of which object, of how many bytes, in parts of how many."""

    upload: str
    key: str
    size: int
    part: int


class UploadJournal:
    """Those of one source on their way to one target. Held by one process at a time, for as long as it lives; another
    that comes meanwhile sees nothing and writes nothing down. From any thread.
    """

    def __init__(self, source: Path, target: str) -> None:
        self._path = _place(os.path.abspath(source), target)
        self._lock = threading.Lock()
        self._open: dict[str, Begun] = {}
        self._file = self._opened(0)
        if self._file >= 0:
            self._load()
        self._earlier = dict(self._open)

    def __bool__(self) -> bool:
        """Whether an earlier transfer has left any."""
        return bool(self._earlier)

    def take(self, key: str, size: int, part: int) -> str:
        """The id of an earlier upload of just this, which is the caller's now, or an empty string."""
        with self._lock:
            for begun in self._earlier.values():
                if begun[1:] == (key, size, part):
                    return self._earlier.pop(begun.upload).upload
        return ""

    def leftovers(self) -> list[Begun]:
        """Earlier ones that nobody took."""
        with self._lock:
            return list(self._earlier.values())

    def begun(self, begun: Begun) -> None:
        with self._lock:
            if self._file == -1:
                self._file = self._opened(os.O_CREAT)
            self._open[begun.upload] = begun
            self._write(begun)

    def ended(self, upload: str) -> None:
        with self._lock:
            self._earlier.pop(upload, None)
            if self._open.pop(upload, None) is not None:
                self._write(upload)

    def close(self) -> None:
        """What has not ended stays written down; what is begun from now on is not."""
        with self._lock:
            file, self._file = self._file, -2
            if file < 0:
                return
            if not self._open:
                try:
                    os.unlink(self._path)
                except OSError:
                    pass  # of ended ones alone it does no harm
            os.close(file)

    def _opened(self, create: int) -> int:
        """The file's descriptor; -1 where there is none yet, -2 where it is another's or cannot be."""
        while True:
            try:
                flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                file = os.open(self._path, flags | create, 0o600)
            except FileNotFoundError:
                return -2 if create else -1
            except OSError:
                return -2
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(file)
                if found.st_nlink and found.st_uid == os.geteuid():
                    return file
            except OSError:
                os.close(file)
                return -2
            os.close(file)
            if found.st_nlink:
                return -2
            # Its last owner removed it between our two looks.

    def _load(self) -> None:
        with open(self._file, "rb", closefd=False) as lines:
            for line in lines:
                try:
                    said = load_json(line)
                except ValueError:  # cut short by a kill
                    continue
                if isinstance(said, str):
                    self._open.pop(said, None)
                elif isinstance(said, list) and len(said) == 4:
                    self._open[said[0]] = Begun(*said)

    def _write(self, said: object) -> None:
        if self._file >= 0:
            try:
                write_all(self._file, b"\n" + json.dumps(said).encode() + b"\n")
            except OSError:
                pass  # a full disk is no reason to send less; only a kill would leave something behind now


def _place(source: str, target: str) -> str:
    """Beside the source, or in it where that is all that will still be there next time; else in /tmp."""
    parent, name = os.path.split(source)
    tag = hashlib.sha256(f"{source}\0{target}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    if os.path.ismount(source) and os.access(source, os.W_OK):
        parent = source
    if not os.access(parent, os.W_OK):
        parent = source if os.path.isdir(source) and os.access(source, os.W_OK) else tempfile.gettempdir()
    return os.path.join(parent, f"{PARTIAL}{name[:50]}-{tag}.uploads")
