"""`bootstrap copy` of some files, of none (a rehearsal), and told to programs: in every direction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.storage.common.choice import Choice
from tests.lab.stores import Bucket, Store

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
NAMES = ("model.bin", "train.py", "log/a.txt", "log/deep/b.txt", "log/deep/c.tmp", "cache/d.bin")


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ((), (), set(NAMES)),
        (("*.py",), (), {"train.py"}),
        (("*.txt",), (), {"log/a.txt", "log/deep/b.txt"}),
        ((), ("*.tmp", "cache/"), {"model.bin", "train.py", "log/a.txt", "log/deep/b.txt"}),
        (("log/",), ("deep/",), {"log/a.txt"}),
        (("log/*.txt",), (), {"log/a.txt"}),
        (("log/**",), (), {"log/a.txt", "log/deep/b.txt", "log/deep/c.tmp"}),
        (("**/*.bin",), (), {"model.bin", "cache/d.bin"}),
        (("?rain.py",), (), {"train.py"}),
        (("[x]",), (), set()),
    ],
)
def test_patterns(include: tuple[str, ...], exclude: tuple[str, ...], taken: set[str]) -> None:
    choice = Choice(include, exclude)
    assert {name for name in NAMES if choice.takes(name)} == taken


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(name)
    return tmp_path / "src"


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    return seaweedfs.make_bucket()


def copy(bucket: Bucket, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **bucket.store.env()}
    return subprocess.run([BOOTSTRAP, "copy", *words], env=environ, text=True, capture_output=True, timeout=60)


def here(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def test_some_files_go_every_way(bucket: Bucket, source: Path, tmp_path: Path) -> None:
    some = ["-r", "--include", "*.txt", "--include", "*.bin", "--exclude", "cache/"]
    wanted = {"model.bin", "log/a.txt", "log/deep/b.txt"}
    assert copy(bucket, *some, source, tmp_path / "there").returncode == 0
    assert here(tmp_path / "there") == wanted
    assert copy(bucket, *some, source, bucket.url("up/")).returncode == 0
    assert set(bucket.tree("up/")) == wanted
    assert copy(bucket, "-r", source, bucket.url("all/")).returncode == 0
    assert copy(bucket, *some, bucket.url("all/"), bucket.url("across/")).returncode == 0
    assert set(bucket.tree("across/")) == wanted
    assert copy(bucket, *some, bucket.url("all/"), tmp_path / "down").returncode == 0
    assert here(tmp_path / "down") == wanted


def test_a_rehearsal_says_what_would_move_and_moves_nothing(bucket: Bucket, source: Path, tmp_path: Path) -> None:
    bucket.put("all/x.txt", "x")
    bucket.put("all/y.txt", "yy")
    for words in ([source, tmp_path / "a"], [source, bucket.url("b/")], [bucket.url("all/"), tmp_path / "c"],
                  [bucket.url("all/"), bucket.url("d/")]):  # fmt: skip
        told = copy(bucket, "-r", "--dry-run", *words)
        assert told.returncode == 0, told.stderr
        assert f"would go to {words[1]}" in told.stdout.splitlines()[-1]
    assert not (tmp_path / "a").exists() and not (tmp_path / "c").exists()
    assert set(bucket.tree("")) == {"all/x.txt", "all/y.txt"}


def test_what_is_here_already_would_not_move(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("all/x.txt", "x")
    bucket.put("all/y.txt", "yy")
    assert copy(bucket, "-r", bucket.url("all/"), tmp_path / "c").returncode == 0
    bucket.put("all/y.txt", "yyy")
    told = json.loads(copy(bucket, "-r", "-n", "--format", "json", bucket.url("all/"), tmp_path / "c").stdout)
    assert told["files"] == [{"name": "y.txt", "size": 3}]
    assert (tmp_path / "c/y.txt").read_text() == "yy"


def test_programs_are_told_what_was_done(bucket: Bucket, source: Path) -> None:
    told = json.loads(copy(bucket, "-r", "-q", "--format", "json", source, bucket.url("up/")).stdout)
    assert (told["files"], told["bytes"], told["failed"], told["dry_run"]) == (6, sum(map(len, NAMES)), [], False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--include", "*.py", "train.py", "x"], "for whole directories"),
        (["-r", "--delete", "--exclude", "*.py", "a/", "b/"], "does not go with"),
    ],
    ids=["a single file", "what is left out would be deleted"],
)
def test_orders_that_contradict_each_other_are_refused(
    bucket: Bucket, source: Path, words: list[str], said: str
) -> None:
    environ = {**os.environ, **bucket.store.env()}
    told = subprocess.run(
        [BOOTSTRAP, "copy", *words], cwd=source, env=environ, text=True, capture_output=True, timeout=60
    )
    assert told.returncode == 101
    assert said in told.stderr
