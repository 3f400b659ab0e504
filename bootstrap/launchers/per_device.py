"""One process for each accelerator of this node, as the positional form of ModelArts v1's Ascend ``run_train.sh`` ran.

    python -m bootstrap.launchers.per_device [--deadline SECONDS] [--workspace DIR] -- COMMAND [ARG...]

Waits for the platform's rank table, writes its 1.0 form, and starts COMMAND once a device, each in
``<workspace>/device<i>`` with its ``RANK_ID``, ``DEVICE_ID`` and their kin. What a process prints goes to our stdout,
line by line, and to ``<workspace>/logs/<job>-proc-rank-<r>-device-<d>.txt`` (``.txt``, since the platform collects
every ``.log`` once more). The first process that fails ends the others; its exit code is ours.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ..errors import BootstrapError
from ..ground.argv import as_python
from ..ground.safe_files import open_own, replace_own
from .rank_table import (
    Device,
    Table,
    convert,
    devices,
    job_name,
    location,
    own_devices,
    process_environment,
    wait_for_table,
)

_LAST_WORDS = 1.0  # seconds for the output of a process that has ended
_GRACE = 10.0  # seconds for the other processes to end after TERM, then KILL


class _Stderr:
    """The least of a log: words on stderr."""

    def _say(self, event: str, **facts: object) -> None:
        sys.stderr.write(f"{event} {' '.join(f'{name}={value}' for name, value in facts.items())}\n")

    debug = info = warning = error = _say


def run(command: Sequence[str], *, workspace: Path, deadline_s: float, environ: Mapping[str, str]) -> int:
    """Start the processes and return the exit code of the first that failed, or 0.

    Raises what :func:`wait_for_table` and :func:`own_devices` raise, and ``OSError`` when the command cannot start.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    table = wait_for_table(location(environ), deadline_s=deadline_s, stop=stop, log=_Stderr())
    mine, size = own_devices(table, environ), len(devices(convert(table)))
    converted = _written(convert(table), workspace / "rank_table/jobstart_hccl.json")
    logs = workspace / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    crew = _Crew(stop)
    try:
        for device in mine:
            own = {**environ, **process_environment(device, size, converted, environ)}
            crew.start(_from_anywhere(command), device, own, workspace, logs / _log_name(device, environ))
    except OSError:
        stop.set()
        crew.wait()
        raise
    return crew.wait()


def failed_first(rank: int, exit_code: int) -> str:
    """The line that tells of the first failing rank; :mod:`bootstrap.diagnosis.engines` reads it."""
    return f"rank {rank} failed first, with {exit_code}; ending the others"


class _Crew:
    """The processes of this node: ended together when one fails or somebody asks."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._running: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._first_failure: int | None = None
        self._lock = threading.Lock()

    def start(
        self, command: Sequence[str], device: Device, environ: Mapping[str, str], workspace: Path, log: Path
    ) -> None:
        directory = workspace / f"device{device.index}"
        directory.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._running.append(process)
        index = device.index
        copied = threading.Thread(target=self._copy, args=(process, log), name=f"log-{index}", daemon=True)
        ended = (process, device, copied)
        watched = threading.Thread(target=self._watch, args=ended, name=f"device-{index}", daemon=True)
        for thread in (copied, watched):
            thread.start()
            self._threads.append(thread)

    def wait(self) -> int:
        """Until all have ended; the others get TERM, then KILL, once one has failed or a stop was asked for."""
        while any(process.poll() is None for process in self._running) and not self._stop.wait(0.1):
            pass
        self._signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        for thread in self._threads:
            thread.join(_GRACE)  # a grandchild may keep the pipe open for ever
        return self._first_failure or 0

    def _signal(self, number: int) -> None:
        for process in self._running:
            if process.poll() is None:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    pass  # it ended between the two lines

    def _copy(self, process: subprocess.Popen[bytes], log: Path) -> None:
        assert process.stdout is not None
        with ExitStack() as stack:
            file: IO[bytes] | None = None
            try:
                own = open_own(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                file = stack.enter_context(open(own, "ab", buffering=0))
            except OSError as error:  # its words go on to the console and the log of all
                _Stderr().warning(f"{log} is not written: {error.strerror}")
            for line in process.stdout:
                if file is not None:
                    file.write(line)
                _put(line)

    def _watch(self, process: subprocess.Popen[bytes], device: Device, copied: threading.Thread) -> None:
        code = process.wait()
        if code != 0:
            with self._lock:
                first = self._first_failure is None
                if first:
                    self._first_failure = code if code > 0 else 128 - code
            if first and not self._stop.is_set():
                copied.join(_LAST_WORDS)  # what it said itself comes before what is said of it
                _Stderr().error(failed_first(device.rank, code))
            self._stop.set()


def _put(line: bytes) -> None:
    """One line in one write, so that lines of several processes do not mix."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _from_anywhere(command: Sequence[str]) -> list[str]:
    """``command`` with its script's path made absolute, since every process has a directory of its own."""
    python = as_python(tuple(command))
    words = [python.interpreter, *python.program] if python else list(command)
    place = 1 if python and not python.is_module else 0
    if "/" in words[place] or (place == 1 and os.path.exists(words[place])):
        words[place] = os.path.abspath(words[place])
    return words


def _written(table: Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_own(path, json.dumps(table, indent=1).encode())
    return path


def _log_name(device: Device, environ: Mapping[str, str]) -> str:
    return f"{job_name(environ)}-proc-rank-{device.rank}-device-{device.index}.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="per_device", description="One process for each accelerator of this node.")
    parser.add_argument("--deadline", type=float, default=1800.0, help="seconds to wait for the rank table")
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args(arguments)
    try:
        return run(
            chosen.command,
            workspace=chosen.workspace.absolute(),
            deadline_s=chosen.deadline,
            environ=dict(os.environ),
        )
    except BootstrapError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except OSError as error:
        sys.stderr.write(f"{chosen.command[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main())
