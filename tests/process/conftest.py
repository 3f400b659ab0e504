"""The supervisor as a real process, in every mode it has to work in."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534


class Boot:
    """One run of the driver. ``pid`` is the supervisor's own, seen from here even when it is PID 1 of its namespace."""

    def __init__(self, directory: Path, mode: str, argv: list[str], **options: Any) -> None:
        self.log = directory / "task.log"
        self._report = directory / "report.json"
        popen = {key: options.pop(key) for key in ("stdin", "stdout", "start_new_session", "env") if key in options}
        wrap = options.pop("wrap", [])
        options = {"argv": argv, "report": str(self._report), "log_path": str(self.log), **options}
        if "nonroot" in mode:
            os.chown(directory, NOBODY, NOBODY)
            options["uid"] = NOBODY
        command = [sys.executable, "-m", "tests.process.driver", json.dumps(options)]
        command = [*wrap, *command]
        if "pid1" in mode:
            command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *command]
        popen.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("start_new_session", "session" in mode)
        self.process = subprocess.Popen(command, cwd=directory, **popen)
        self._nested = "pid1" in mode
        self._seen = b""

    @property
    def pid(self) -> int:
        return children(self.process.pid)[0] if self._nested else self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def expect(self, text: bytes, timeout: float = 20.0) -> bytes:
        """Read the console until ``text`` has come; all that was seen so far."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        fd = self.process.stdout.fileno()
        while text not in self._seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come; seen: {self._seen[-2000:]!r}"
            if select.select([fd], [], [], left)[0]:
                data = os.read(fd, 65536)
                assert data, f"the output ended without {text!r}: {self._seen[-2000:]!r}"
                self._seen += data
        return self._seen

    def wait(self, timeout: float = 30.0) -> int:
        """Drain the console; the supervisor's exit status."""
        if self.process.stdout is not None:
            rest, _ = self.process.communicate(timeout=timeout)
            self._seen += rest
        return self.process.wait(timeout)

    @property
    def output(self) -> bytes:
        return self._seen

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._report.read_text())
        return found


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


Start = Callable[..., Boot]

MODES = ["plain", "session", "nonroot", "pid1", "pid1-nonroot"]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that any user may enter."""
    made = Path(tempfile.mkdtemp(prefix="supervisor-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _starter(directory: Path, mode: str) -> Iterator[Start]:
    if mode != "plain" and os.geteuid() != 0:
        pytest.skip(f"the mode {mode} needs root")
    booted: list[Boot] = []

    def start(*argv: str, **options: Any) -> Boot:
        booted.append(Boot(directory, mode, list(argv), **options))
        return booted[-1]

    yield start
    for boot in booted:
        if boot.process.poll() is None:
            boot.process.send_signal(signal.SIGKILL)
            boot.process.wait()
        if boot.process.stdout is not None:
            boot.process.stdout.close()


@pytest.fixture
def boot(directory: Path) -> Iterator[Start]:
    """Start the supervisor as a plain child of the test."""
    yield from _starter(directory, "plain")


@pytest.fixture(params=MODES)
def boot_in_every_mode(directory: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """PID 1 or not, leader of a session or not, root or not."""
    yield from _starter(directory, request.param)


@pytest.fixture(params=["session leader", "pid 1"])
def inside(request: pytest.FixtureRequest) -> list[str]:
    """What goes before a bootstrap on a terminal: nothing, or what makes it process 1 of a container."""
    if request.param == "session leader":
        return []
    if os.geteuid() != 0:
        pytest.skip("a PID namespace needs root")
    return ["unshare", "--pid", "--fork", "--mount-proc"]
