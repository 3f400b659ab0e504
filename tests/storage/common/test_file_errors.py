"""The operating system's refusals in our words: which error it is, and whose the thing in the way is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, DiskFull, NothingThere, PathUnusable
from bootstrap.storage.common.file_errors import existing, explain, local_trouble, rights, space


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.ENOENT, NothingThere),
        (errno.EACCES, PathUnusable),
        (errno.EROFS, PathUnusable),
        (errno.ENOTDIR, PathUnusable),
    ],
)
def test_each_refusal_is_an_error_of_its_kind(number: int, error: type[BootstrapError], tmp_path: Path) -> None:
    told = explain(OSError(number, os.strerror(number)), tmp_path, "cannot write")
    assert type(told) is error
    assert (told.what, told.where) == ("cannot write", str(tmp_path))
    assert os.strerror(number).lower() in told.why.lower()


def test_what_is_full_is_told_with_its_room_and_what_is_closed_with_its_owner(tmp_path: Path) -> None:
    assert "inodes are free there" in explain(OSError(errno.ENOSPC, "full"), tmp_path / "a" / "b", "x").why
    closed = explain(OSError(errno.EACCES, "no"), tmp_path, "x").why
    assert closed.endswith(f"we are uid {os.geteuid()}, gid {os.getegid()}")


def test_the_owner_is_that_of_the_nearest_thing_that_exists(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    if os.geteuid() == 0:
        os.chown(tmp_path, 1234, 5678)
    owner = tmp_path.stat()
    for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        assert rights(str(path)).startswith(f"{tmp_path} is drwxr-s---, owner {owner.st_uid}:{owner.st_gid}; ")
    (tmp_path / "leads").symlink_to("nowhere")
    assert rights(str(tmp_path / "leads")).startswith(f"{tmp_path}/leads: No such file")


def test_a_relative_path_and_the_root_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert rights("absent").startswith(". is d")
    assert rights("/absent/more").startswith("/ is d")
    assert existing("absent/more") == str(tmp_path)
    assert existing("/absent") == "/"
    assert space("absent/more").endswith("inodes are free there")


def test_the_file_that_is_refused_is_named_before_the_one_that_was_asked_for(tmp_path: Path) -> None:
    def where(error: OSError) -> str:
        with pytest.raises(PathUnusable) as raised, local_trouble("/asked"):
            raise error
        return raised.value.where

    assert where(OSError(errno.EACCES, "no")) == "/asked"
    assert where(OSError(errno.EACCES, "no", "/one")) == "/one"
    assert where(OSError(errno.EACCES, "no", "/one", None, "/other")) == "/other"
