"""The clients that are compared, each as the command line of a whole process, and how one is measured."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Measured:
    """Seconds on the clock, seconds of CPU, and bytes of memory at most, of one process and its children."""

    wall: float
    cpu: float
    peak: int


# A process begins with the peak of whoever started it, so it is started by one that is small.
LAUNCH = """
import os, sys, time
report, *argv = sys.argv[1:]
begin = time.perf_counter()
pid = os.posix_spawnp(argv[0], argv, os.environ)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - begin
open(report, "w").write(f"{wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss * 1024}")
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


def measure(argv: list[str], env: dict[str, str]) -> Measured:
    """Run ``argv`` to its end. Raises CalledProcessError with what it said if it fails."""
    with tempfile.NamedTemporaryFile("r") as report:
        words = [sys.executable, "-I", "-S", "-c", LAUNCH, report.name, *argv]
        done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            sys.stderr.write(done.stdout.decode(errors="replace")[-2000:])
            raise subprocess.CalledProcessError(done.returncode, argv)
        wall, cpu, peak = report.read().split()
    return Measured(float(wall), float(cpu), int(peak))


class Client:
    """One client. ``{...}`` in the words of its command lines is replaced by where and what."""

    def __init__(
        self, name: str, down: list[str], up: list[str] | None = None, *, only: str = "", most_rounds: int = 1000
    ) -> None:
        """``only``: the one tree that it fetches, and from plain nginx alone."""
        self.name = name
        self.most_rounds = most_rounds
        self._down = down
        self._up = up
        self._only = only

    def does(self, tree: str, how: str) -> bool:
        if how == "again" and self.name not in ("ours", "before", "s5cmd"):
            return False
        if how == "up" and self._up is None:
            return False
        return not self._only or (tree, how) == (self._only, "nginx")

    def download(self, bucket: str, prefix: str, target: Path) -> list[str]:
        return [word.format(bucket=bucket, prefix=prefix, path=target) for word in self._down]

    def upload(self, source: Path, bucket: str, prefix: str) -> list[str]:
        return [word.format(bucket=bucket, prefix=prefix, path=source) for word in self._up or []]


def _ours(name: str, program: str) -> Client:
    words = [program, "copy", "-q", "-r"]
    return Client(name, [*words, "obs://{bucket}/{prefix}", "{path}/"], [*words, "{path}/", "obs://{bucket}/{prefix}"])


def clients(beside: str = "") -> list[Client]:
    """Ourselves, and what is installed of the others. ``beside``: the ``bootstrap`` of another version of ours."""
    python = sys.executable
    script = str(HERE / "boto.py")
    found = [
        _ours("ours", _program("bootstrap")),
        *([_ours("before", beside)] if beside else []),
        Client(
            "s5cmd",
            [_program("s5cmd"), "--log=error", "cp", "s3://{bucket}/{prefix}*", "{path}/"],
            [_program("s5cmd"), "--log=error", "cp", "{path}/", "s3://{bucket}/{prefix}"],
        ),
        Client(
            "boto3-threads",
            [python, script, "down", "threads", "{bucket}", "{prefix}", "{path}"],
            [python, script, "up", "threads", "{bucket}", "{prefix}", "{path}"],
        ),
        Client(
            "sequential",
            [python, script, "down", "sequential", "{bucket}", "{prefix}", "{path}"],
            only="small",
            most_rounds=1,  # half a minute
        ),
        Client("floor", [python, "-I", "-S", str(HERE / "floor.py"), "{bucket}", "{prefix}", "{path}"], only="large"),
    ]
    for library in ("obstore", "awscrt"):
        if importlib.util.find_spec(library):
            down, up = ([python, script, way, library, "{bucket}", "{prefix}", "{path}"] for way in ("down", "up"))
            found.append(Client(library, down, up))
    if shutil.which("rclone", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"):
        remote = ":s3,provider=Other,env_auth:{bucket}/{prefix}"
        words = [_program("rclone"), "copy", "--config", "", "--transfers", "16", "--checkers", "16"]
        found.append(Client("rclone", [*words, remote, "{path}"], [*words, "{path}", remote]))
    return found


def _program(name: str) -> str:
    path = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is not installed")
    return path
