"""Running the installed command as a user's container does: a real process with an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.processes import end
from tests.lab.waiting import until

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
SCRIPTS = Path(__file__).parents[2] / "scripts"
LIMIT = 120.0  # seconds for anything that should take two


@dataclass
class Result:
    """What is left of a run."""

    code: int
    stdout: bytes
    stderr: str
    home: Path

    @property
    def record(self) -> dict[str, Any]:
        """run.json, wherever the run put it; there must be exactly one."""
        (path,) = (path for path in self.home.parent.rglob("run.json") if "inner" not in path.parent.name)
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def step(self, name: str) -> dict[str, Any]:
        (step,) = [step for step in self.record["steps"] if step["name"] == name]
        return step  # type: ignore[no-any-return]

    @property
    def failure(self) -> tuple[int, str]:
        """Exit code and id of our own failure, from the record."""
        return self.code, self.record["bootstrap"]["id"]


class Container:
    """A stand-in for a container: its own HOME, working directory and log directory, and no variable of ours."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.work = root / "work"
        self.tmp = root / "tmp"
        for directory in (self.home, self.work, self.tmp):
            directory.mkdir(parents=True, exist_ok=True)
        # The image's own Python: not ours, and not a version manager's shim that changes the environment.
        programs = root / "bin"
        programs.mkdir()
        for name in ("python", "python3"):
            (programs / name).symlink_to(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
        self.log = self.tmp / "job.log"
        self.front: list[str] = []
        self.environ = {
            "PATH": f"{programs}:{os.defpath}:/usr/sbin:/sbin",
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "BOOTSTRAP_LOG_FILE": str(self.log),
        }

    def argv(self, *words: str) -> list[str]:
        return [*self.front, BOOTSTRAP, "run", *words]

    def run(self, *words: str, environ: Mapping[str, str] | None = None, argv: Sequence[str] = ()) -> Result:
        """Run to the end: ``bootstrap run WORDS``, or ``argv`` as it is."""
        with self.running(*words, environ=environ, argv=argv) as process:
            stdout, stderr = process.communicate(timeout=LIMIT)
        return Result(process.returncode, stdout, stderr.decode(errors="replace"), self.home)

    @contextlib.contextmanager
    def running(
        self, *words: str, environ: Mapping[str, str] | None = None, argv: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [*self.front, *argv] if argv else self.argv(*words),
            cwd=self.work,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            end(process)

    def finish(self, process: subprocess.Popen[bytes]) -> Result:
        stdout, stderr = process.communicate(timeout=LIMIT)
        return Result(process.returncode, stdout, stderr.decode(errors="replace"), self.home)

    def wait_for(self, path: Path) -> None:
        """Until the command has made ``path``, its way to say that it has come so far."""
        until(path.exists, f"{path} never came", limit=LIMIT, pause=0.01)


def send(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
