"""Help: what `bootstrap` alone says, widths, colour, examples that work, and names that are near."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bootstrap.cli import make_parser
from bootstrap.commands.table import COMMANDS, GROUPS
from tests.lab.typist import Typist

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
ROOT = Path(__file__).parents[1]


def bootstrap(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run([BOOTSTRAP, *words], env={**known, **environ}, text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]], ids=lambda words: " ".join(words) or "nothing")
def test_alone_it_says_what_it_is_and_what_people_do(words: list[str]) -> None:
    told = bootstrap(*words)
    assert (told.returncode, told.stderr) == (0, "")
    assert "Boots a training job in a container" in told.stdout
    assert len(re.findall(r"^  bootstrap \S+", told.stdout, re.MULTILINE)) == 5
    for heading, commands in GROUPS.items():
        assert f"\n{heading}:\n" in told.stdout
        assert all(f"\n  {name} " in told.stdout for name in commands)


@pytest.mark.parametrize("words", [["-V"], ["--version"]], ids=" ".join)
def test_the_version_is_one_line(words: list[str]) -> None:
    assert re.fullmatch(r"modelarts-bootstrap \d+\.\d+\.\d+\n", bootstrap(*words).stdout)


def test_help_of_a_command_is_its_help() -> None:
    assert bootstrap("help", "copy").stdout == bootstrap("copy", "--help").stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("words", [[], *([name, "--help"] for name in COMMANDS)], ids=lambda w: w[0] if w else "alone")
def test_it_fits_and_is_not_coloured_in_a_pipe(words: list[str], columns: int) -> None:
    told = bootstrap(*words, COLUMNS=str(columns))
    assert told.returncode == 0
    assert [line for line in told.stdout.splitlines() if len(line) > columns] == []
    assert "\x1b" not in told.stdout


def test_wide_terminals_are_used_up_to_120_columns() -> None:
    widest = [
        max(map(len, bootstrap("run", "--help", COLUMNS=columns).stdout.splitlines())) for columns in ("80", "300")
    ]
    assert widest[0] <= 80 < widest[1] <= 120


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(name: str) -> None:
    module = import_module(f"bootstrap.commands.{name.replace('-', '_')}")
    told = bootstrap(name, "--help").stdout
    assert "\nexamples:\n" in told
    found = re.findall(
        r"^    (?:\S.*?\$\()?(bootstrap .+?)(?:\)\"|\s{2,}|\s[|>#].*|$)", module.__doc__ or "", re.MULTILINE
    )
    assert found
    for line in found:
        words = shlex.split(line)
        assert words[:2] == ["bootstrap", name], line
        if "..." not in words and not any(word.endswith("...") or "[" in word for word in words):
            make_parser(name, module).parse_args(_joined(module, words[2:]))


def _joined(module: object, words: list[str]) -> list[str]:
    from bootstrap.cli import _joined as joined

    return joined(words, getattr(module, "VERBATIM", ()), getattr(module, "ALONE", {}))


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
    ids=["a terminal", "a dumb one", "nobody wants it"],
)
def test_a_terminal_gets_headings_in_bold(tmp_path: Path, environ: dict[str, str], coloured: bool) -> None:
    typist = Typist(tmp_path)
    typist.resize(80, 100)
    try:
        typist.start([BOOTSTRAP, "copy", "--help"], environ)
        typist.expect(b"DST")
        typist.expect(b"from store to store")
        shown = typist.read()
        assert typist.process.wait(20) == 0
    finally:
        typist.close()
    assert (b"\x1b[1mexamples\x1b[0m:" in shown) == coloured


def test_colour_can_be_forced_into_a_pipe() -> None:
    assert "\x1b[1musage\x1b[0m: bootstrap copy" in bootstrap("copy", "--help", FORCE_COLOR="1").stdout


@pytest.mark.parametrize(
    ("word", "near"), [("copi", "copy"), ("check_image", "check-image"), ("Run", "run"), ("simulat", "simulate")]
)
def test_a_command_that_is_not_there_names_the_one_that_is_meant(word: str, near: str) -> None:
    told = bootstrap(word)
    assert told.returncode == 101
    assert f"there is no command '{word}'. What to do: write {near} if that is meant" in told.stderr


def test_a_command_that_is_like_nothing_names_nothing() -> None:
    told = bootstrap("xyzzy")
    assert told.returncode == 101
    assert "there is no command 'xyzzy'. What to do: see bootstrap help. [usage" in told.stderr


def test_our_own_command_behind_an_entrypoint_of_ours_is_that_command(tmp_path: Path) -> None:
    """`docker run IMAGE bootstrap ip --help`, in an image whose ENTRYPOINT is `bootstrap run --`."""
    wrapped = bootstrap("run", "--", "bootstrap", "ip", "--help", PATH="/usr/bin:/bin")
    assert wrapped.stdout == bootstrap("ip", "--help").stdout
    other = tmp_path / "bootstrap"
    other.write_text("#!/bin/sh\necho another program: $*\n")
    other.chmod(0o755)
    words = ["run", "--job-dir", str(tmp_path / "job"), "--log-file", str(tmp_path / "log"), "--", "bootstrap", "run"]
    told = bootstrap(*words, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert "another program: run" in told.stdout


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_the_old_boot_script_says_what_it_is(word: str) -> None:
    told = subprocess.run(["bash", ROOT / "scripts/run_train.sh", word], text=True, capture_output=True, timeout=60)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("The boot script that ModelArts images have always had")
    assert "run_train.sh COMMAND [ARG...]" in told.stdout
