"""An image's home directory with the old names installed in it, as a Dockerfile would put them there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
INSTALLED = (
    "run_bootstrap.sh",
    "run_train.sh",
    "utils.sh",
    "ip_mapper.py",
    "get_cluster_ib_ip.py",
    "dls-downloader.py",
    "modelarts-downloader.py",
)

Process = subprocess.Popen[bytes]


@dataclass
class Image:
    """``home`` with the scripts; ``environ`` is what a platform would start them with."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(
        self, *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            list(argv), env={**self.environ, **(env or {})}, cwd=cwd or self.home, input=stdin, capture_output=True,
            timeout=120,
        )  # fmt: skip

    def start(self, *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Process:
        """The same, while others run; :func:`finished` waits for it."""
        return subprocess.Popen(
            list(argv), env={**self.environ, **(env or {})}, cwd=cwd or self.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def bash(self, script: str, *, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """A derived script's lines, run as it would be: a file of its own in the home directory."""
        path = self.home / "derived.sh"
        path.write_text(script)
        return self.run("bash", path, env=env)

    def program(self, name: str, text: str) -> Path:
        """An executable of the image, on PATH."""
        path = self.home / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def record_calls(self) -> Path:
        """Puts a program in the place of bootstrap that writes down its arguments and its directory, and succeeds."""
        calls = self.home / "calls"
        program = self.program("recorder", f'#!/bin/sh\n{{ pwd; printf "%s\\n" "$@"; }} >"{calls}"\necho "pid $$"\n')
        self.environ["BOOTSTRAP_BIN"] = str(program)
        return calls


def arguments(calls: Path) -> list[str]:
    return calls.read_text().splitlines()[1:]


def finished(process: Process) -> subprocess.CompletedProcess[bytes]:
    try:
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def text(process: subprocess.CompletedProcess[bytes]) -> str:
    """Everything that it printed, for assertions that fail."""
    return f"exit {process.returncode}\n--- stdout\n{process.stdout.decode()}\n--- stderr\n{process.stderr.decode()}"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    home = tmp_path / "home of work"
    home.mkdir()
    for name in INSTALLED:
        shutil.copy2(SCRIPTS / name, home / name)
    bootstrap = Path(sysconfig.get_path("scripts"), "bootstrap")
    path: Sequence[str] = (str(home / "bin"), str(Path(sys.executable).parent), os.defpath)
    environ = {
        "HOME": str(home),
        "PATH": os.pathsep.join(path),
        "TMPDIR": str(tmp_path),
        "BOOTSTRAP_BIN": str(bootstrap),
    }
    return Image(home, environ)
