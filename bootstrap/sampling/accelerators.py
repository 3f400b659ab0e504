"""What the accelerators do, as a process beside us says it: :mod:`.device_helper`, which talks to drivers.

A driver whose device has fallen off the bus holds whoever asks it in the kernel, for ever. So a helper asks, its lines
are taken when they are there, and one that has been silent for too long is ended; after :data:`_TRIES` of them nobody
is asked any more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any

from ..ground.json_text import load_json

_TRIES = 3
_SILENT = 90.0  # seconds (and three intervals) without a line: tools take long on machines that are busy
_LONGEST = 1 << 20  # bytes of what has no line's end
_NODES = re.compile(r"nvidia\d+|davinci\d+")
_HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device_helper.py")


class Accelerators:
    """``search``: a ``PATH`` for the vendors' tools. Nothing is started where neither a device nor a tool is."""

    def __init__(self, interval: float, search: str, *, dev: str = "/dev", silent: float = _SILENT) -> None:
        self._interval, self._search, self._silent = interval, search, max(silent, 3 * interval)
        self._left = _TRIES
        self._child: subprocess.Popen[bytes] | None = None
        self._begun, self._heard = b"", 0.0
        self._devices: list[dict[str, Any]] = []
        self._sources = _sources(search, dev)
        if self._sources:
            self._start()

    @property
    def source(self) -> str:
        """Who is asked: ``nvml``, ``nvidia-smi``, ``npu-smi``, or nobody."""
        return self._sources[0][0] if self._sources else ""

    def newest(self) -> list[dict[str, Any]]:
        """What the helper has said since the last call, a value a device; empty where it has said nothing new."""
        if self._child is None:
            return []
        self._devices = []
        ended = self._take() or self._child.poll() is not None
        if ended or time.monotonic() - self._heard > self._silent:
            self._again()
        return self._devices

    def close(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        assert self._child.stdout is not None
        self._child.stdout.close()
        try:
            self._child.wait(0.5)
        except subprocess.TimeoutExpired:  # in the kernel, where no signal reaches it
            pass
        self._child = None

    def _take(self) -> bool:
        """Whether the helper has closed its end."""
        assert self._child is not None and self._child.stdout is not None
        while True:
            try:
                data = os.read(self._child.stdout.fileno(), 1 << 16)
            except BlockingIOError:
                return False
            if not data:
                return True
            *lines, self._begun = (self._begun + data).split(b"\n")
            if len(self._begun) > _LONGEST:
                self._begun = b""
            for line in lines:
                try:
                    found = load_json(line)
                except ValueError:
                    continue
                if isinstance(found, list):
                    self._heard = time.monotonic()
                    self._devices = [one for one in found if isinstance(one, dict)]

    def _again(self) -> None:
        """The next try, with the next source where this one has never answered."""
        self.close()
        self._left -= 1
        if self._left <= 0 and len(self._sources) > 1:
            self._sources, self._left = self._sources[1:], _TRIES
        if self._left > 0:
            self._start()

    def _start(self) -> None:
        source, tool = self._sources[0]
        self._begun, self._heard = b"", time.monotonic()
        # Our own keys are no business of a driver's tools.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "HOME", "TMPDIR") if name in os.environ}
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", _HELPER, source, tool, str(self._interval)],
                env={**kept, "PATH": self._search or os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._left = 0
            return
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)


def _sources(search: str, dev: str) -> list[tuple[str, str]]:
    """Who can be asked, the cheapest first, each with its tool."""
    try:
        nodes = [name for name in os.listdir(dev) if _NODES.fullmatch(name)]
    except OSError:
        nodes = []
    found = []
    if any(name.startswith("nvidia") for name in nodes) and find_spec("pynvml") is not None:
        found.append(("nvml", ""))
    for name in ("nvidia-smi", "npu-smi"):
        if tool := shutil.which(name, path=search or None):
            found.append((name, tool))
    return found
