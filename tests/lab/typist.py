"""Somebody at a real terminal, for what nobody sees through pipes: prompts, job control, sizes of windows."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Typist:
    """Somebody at a terminal: types keys, reads the screen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.master, self._slave = os.openpty()
        self.screen = b""  # what was not expected yet
        self.shown = b""
        self.process: subprocess.Popen[bytes]  # once started

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def attributes(self) -> list[object]:
        """How the terminal is set: the same before and after a program that behaves."""
        return termios.tcgetattr(self._slave)

    def driver(self, *argv: str, **options: Any) -> list[str]:
        options = {
            "argv": argv,
            "report": str(self.directory / "report"),
            "log_path": str(self.directory / "log"),
            **options,
        }
        return [sys.executable, "-m", "tests.process.driver", json.dumps(options)]

    def start(self, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        slave = self._slave
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
            env={**os.environ, "PYTHONPATH": str(ROOT), "PS1": "prompt> ", "TERM": "dumb", **(environ or {})},
            cwd=self.directory,
        )

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, text: bytes, timeout: float = 20.0) -> None:
        """Wait until ``text`` is on the screen, behind what was expected before."""
        deadline = time.monotonic() + timeout
        while text not in self.screen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come; the screen: {self.screen!r}"
            if select.select([self.master], [], [], left)[0]:
                self._take()
        self.screen = self.screen.partition(text)[2]

    def read(self) -> bytes:
        """All that was shown so far, from the beginning."""
        while select.select([self.master], [], [], 0.1)[0]:
            self._take()
        return self.shown

    def _take(self) -> None:
        data = os.read(self.master, 65536)
        self.screen += data
        self.shown += data

    def hang_up(self) -> None:
        """The line is cut: ssh has lost its connection, somebody has closed the window."""
        os.close(self.master)
        self.master = os.open(os.devnull, os.O_RDWR)

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "report").read_text())
        return found

    def close(self) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)
