"""The boundary around every command: a defect of ours is one message and exit 100, never Python's traceback.

The defects are put in by replacing a command's function: there is nothing real that could be relied on to be broken.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.commands.table import COMMANDS

ROOT = Path(__file__).parents[1]
SECRET = "a-secret-of-forty-characters-0123456789"
# What the commands cannot be called without; nothing of it is looked at.
ARGUMENTS = {
    "copy": ["SRC", "DST"],
    "downloader": ["-s", "SRC", "-d", "DST"],
    "check-image": ["IMAGE"],
    "manifest": ["FILE"],
    "logs": ["URL"],
    "outputs": ["URL"],
    "report": ["URL"],
    "ls": ["URL"],
    "du": ["URL"],
    "completion": ["bash"],
    "secrets": ["keygen", "FILE"],
    "simulate": ["--platform", "volcano"],
}
BROKEN = """
import os, sys, tempfile
from importlib import import_module
from bootstrap import cli

name, kind, place = sys.argv[1:4]

def main(arguments, environ):
    raise {"defect": ZeroDivisionError, "pipe": BrokenPipeError, "keyboard": KeyboardInterrupt}[kind](
        "about " + os.environ["S3_SECRET_ACCESS_KEY"]
    )

tempfile.tempdir = place
import_module("bootstrap.commands." + name.replace("-", "_")).main = main
sys.exit(cli.main([name, *sys.argv[4:]]))
"""


def broken(name: str, place: Path, kind: str = "defect") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", BROKEN, name, kind, str(place), *ARGUMENTS.get(name, [])]
    environ = {**os.environ, "S3_SECRET_ACCESS_KEY": SECRET}
    return subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_defect_in_any_command_is_one_message_and_a_file_with_the_traceback(name: str, tmp_path: Path) -> None:
    ended = broken(name, tmp_path)
    assert ended.returncode == 100
    (message,) = ended.stderr.splitlines()
    assert message.startswith(f"bootstrap {name}: error: the bootstrap has a defect (<string>:")
    assert "ZeroDivisionError: about ***" in message
    assert message.endswith("[internal, exit 100]")
    (trace,) = tmp_path.iterdir()
    assert str(trace) in message
    text = trace.read_text()
    assert text.startswith("Traceback") and "ZeroDivisionError: about ***" in text
    assert SECRET not in ended.stderr + text


def test_where_nothing_can_be_written_the_traceback_is_printed(tmp_path: Path) -> None:
    ended = broken("env", tmp_path / "nowhere")
    assert ended.returncode == 100
    assert "report it with the traceback above" in ended.stderr.splitlines()[-1]
    assert re.search(r"^ZeroDivisionError: about \*\*\*$", ended.stderr, re.MULTILINE)
    assert SECRET not in ended.stderr


def test_an_interrupt_from_the_keyboard_needs_no_words(tmp_path: Path) -> None:
    ended = broken("env", tmp_path, "keyboard")
    assert (ended.returncode, ended.stderr) == (130, "")


def test_a_pipe_that_is_not_our_output_is_a_defect_when_it_breaks(tmp_path: Path) -> None:
    ended = broken("env", tmp_path, "pipe")
    assert ended.returncode == 100
    assert "BrokenPipeError" in ended.stderr


@pytest.mark.parametrize(
    "words", [["env"], ["env", "--format", "json"], ["run", "--help"], ["ip", "--help"], ["--version"]], ids=" ".join
)
def test_a_reader_that_has_left_is_no_failure(words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "bootstrap", *words], cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(theirs)
    assert (ended.returncode, ended.stderr) == (0, b"")
