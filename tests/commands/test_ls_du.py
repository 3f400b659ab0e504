"""`bootstrap ls` and `bootstrap du`: in a real store and here, for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
FILES = {"m/model.bin": "weights", "m/log/a.txt": "aa", "m/log/deep/b.txt": "bbb", "m/log/deep/c.tmp": "c"}


@pytest.fixture(params=["store", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """The URL of a directory of files, and the environment in which it can be read."""
    if request.param == "directory":
        for name, text in FILES.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return f"{tmp_path}/m", {}
    store: Store = request.getfixturevalue("seaweedfs")
    bucket: Bucket = store.make_bucket()
    for name, text in FILES.items():
        bucket.put(name, text)
    return bucket.url("m/"), store.env()


def bootstrap(environ: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BOOTSTRAP, *words], env={**os.environ, **environ}, text=True, capture_output=True, timeout=60
    )


def test_the_next_level_is_listed_by_name(place: tuple[str, dict[str, str]]) -> None:
    url, environ = place
    told = bootstrap(environ, "ls", url)
    assert (told.returncode, told.stdout.split()) == (0, ["log/", "model.bin"]), told.stderr
    assert bootstrap(environ, "ls", f"{url.rstrip('/')}/log").stdout.split() == ["a.txt", "deep/"]


def test_all_below_is_listed_with_bytes_and_times(place: tuple[str, dict[str, str]]) -> None:
    url, environ = place
    lines = bootstrap(environ, "ls", "-lr", url).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["log/a.txt", "log/deep/b.txt", "log/deep/c.tmp", "model.bin"]
    assert all(len(line.split()) == 5 for line in lines), "bytes, unit, date, time, name"


def test_programs_get_json(place: tuple[str, dict[str, str]]) -> None:
    url, environ = place
    directory, model = json.loads(bootstrap(environ, "ls", "--format", "json", url).stdout)
    assert (directory["name"], directory["type"], directory["size"], directory["files"]) == ("log/", "directory", 6, 3)
    assert (model["name"], model["type"], model["size"]) == ("model.bin", "file", 7)
    told = json.loads(bootstrap(environ, "du", "--format", "json", url).stdout)
    assert (told["size"], told["files"]) == (13, 4)
    assert told["below"] == [
        {"name": "log/", "size": 6, "files": 3}, {"name": "model.bin", "size": 7, "files": 1}
    ]  # fmt: skip


def test_the_sum_comes_last(place: tuple[str, dict[str, str]]) -> None:
    url, environ = place
    lines = bootstrap(environ, "du", url).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["6", "bytes", "3", "files", "log/"], ["7", "bytes", "1", "file", "model.bin"],
        ["13", "bytes", "4", "files", "in", "all"],
    ]  # fmt: skip
    assert bootstrap(environ, "du", "-s", url).stdout.splitlines() == lines[-1:]


@pytest.mark.parametrize("command", ["ls", "du"])
def test_where_nothing_is_that_is_said(place: tuple[str, dict[str, str]], command: str) -> None:
    url, environ = place
    told = bootstrap(environ, command, f"{url.rstrip('/')}/nowhere/")
    assert told.returncode == 111
    assert "nothing" in told.stderr or "no " in told.stderr


def test_one_object_is_itself(place: tuple[str, dict[str, str]]) -> None:
    url, environ = place
    assert bootstrap(environ, "ls", f"{url.rstrip('/')}/model.bin").stdout == "model.bin\n"
