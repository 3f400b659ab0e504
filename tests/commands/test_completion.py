"""Completion, as somebody has it who presses TAB in a real bash, zsh or fish, in a real terminal.

What the shell made of the line is told by the program that it then starts: a `bootstrap` in front of ours, which is
ours when a shell asks what could follow, and otherwise writes down its arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.stores import Store
from tests.lab.typist import Typist
from tests.lab.waiting import until

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
FRONT = """#!/bin/sh
if [ -n "$_ARGCOMPLETE" ]; then exec {bootstrap} "$@"; fi
printf '%s\\n' "$@" >{told}.part && mv {told}.part {told}
"""
SHELLS = {  # how each is started without anybody's settings, and told of us
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(bootstrap-itself completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit && compinit -u; eval "$(bootstrap-itself completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "bootstrap-itself completion fish | source"),
}


class Shell:
    """A shell at a terminal, with our completion loaded."""

    def __init__(self, name: str, directory: Path, environ: dict[str, str], bucket: str) -> None:
        self.bucket = bucket
        words, load = SHELLS[name]
        self.told = directory / "told"
        programs = directory / "programs"
        programs.mkdir()
        (programs / "bootstrap").write_text(FRONT.format(bootstrap=BOOTSTRAP, told=self.told))
        (programs / "bootstrap").chmod(0o755)
        (programs / "bootstrap-itself").symlink_to(BOOTSTRAP)
        self.typist = Typist(directory)
        self.typist.resize(40, 100)
        path = f"{programs}:{os.environ['PATH']}"
        self.typist.start(words, {"PATH": path, "HOME": str(directory), "TERM": "xterm", **environ})
        self.typist.type(load.encode() + b"; printf '%s-%s\\n' it-is ready\r")
        self.typist.expect(b"it-is-ready\r\n", timeout=60)

    def completed(self, line: str) -> list[str]:
        """The arguments that our program gets of ``line``, in which a tab is the key TAB."""
        self.told.unlink(missing_ok=True)
        self.typist.type(f"{line}\r".encode())  # a shell reads the last key once it has done with the TAB
        until(self.told.exists, f"{line!r} started nothing")
        return self.told.read_text().splitlines()


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path, seaweedfs: Store) -> Iterator[Shell]:
    if not shutil.which(request.param):
        pytest.skip(f"lab: {request.param} is missing: apt-get install {request.param}")
    bucket = seaweedfs.make_bucket()
    bucket.put("models/large/weights.bin", "w")
    one = Shell(request.param, tmp_path, seaweedfs.env(), bucket.name)
    yield one
    one.typist.close()


@pytest.mark.timeout(300)
def test_tab_completes_commands_options_values_and_urls(shell: Shell) -> None:
    for line, arguments in (
        ("bootstrap simu\t", ["simulate"]),
        ("bootstrap check-i\t", ["check-image"]),
        ("bootstrap help expl\t", ["help", "explain"]),
        ("bootstrap run --launc\t", ["run", "--launcher"]),
        ("bootstrap run --launcher torchr\t", ["run", "--launcher", "torchrun"]),
        ("bootstrap run --platform volc\t", ["run", "--platform", "volcano"]),
        ("bootstrap logs --for\t", ["logs", "--format"]),
        ("bootstrap logs --format js\t", ["logs", "--format", "json"]),
        ("bootstrap ls s3://BUCKET/mod\t", ["ls", "s3://BUCKET/models/"]),
        ("bootstrap ls s3://BUCKET/models/lar\t", ["ls", "s3://BUCKET/models/large/"]),
        ("bootstrap copy s3://BUCKET/models/large/wei\t", ["copy", "s3://BUCKET/models/large/weights.bin"]),
        ("bootstrap run --code s3://BUCKET/mod\t", ["run", "--code", "s3://BUCKET/models/"]),
    ):
        line, *arguments = (word.replace("BUCKET", shell.bucket) for word in (line, *arguments))
        assert shell.completed(line) == arguments, line


@pytest.mark.timeout(300)
def test_tab_shows_what_there_is_to_choose_from(shell: Shell) -> None:
    shell.typist.type(b"bootstrap run --launcher \t\t")
    for launcher in (b"torchrun", b"deepspeed"):
        until(lambda wanted=launcher: wanted in shell.typist.read(), f"{launcher!r} is not shown")


def test_where_the_library_is_missing_the_remedy_names_the_right_python(tmp_path: Path) -> None:
    (tmp_path / "argcomplete.py").write_text("raise ImportError('there is none')\n")
    words = [sys.executable, "-c", "import sys; from bootstrap.cli import main; sys.exit(main(['completion', 'bash']))"]
    ran = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True, capture_output=True)
    assert (ran.returncode, ran.stdout) == (101, "")
    assert f"{sys.executable} -m pip install argcomplete" in ran.stderr
