"""Places that have no modes and times of their own: FAT, mounts of buckets, another's directory."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError
from tests.storage.conftest import Mover, make_tree, tree_of


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Until it is undone, nobody sets a mode or a time."""

    def refused(*words: object, **more: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    for name in ("chmod", "fchmod", "utime"):
        monkeypatch.setattr(os, name, refused)
    return monkeypatch


def source_of(tmp_path: Path) -> Path:
    source = make_tree(tmp_path / "nas", {"d/run": b"#!/bin/sh\n", "large": b"l" * (70 << 10)})
    (source / "d" / "run").chmod(0o600)
    (source / "large").chmod(0o604)
    return source


def test_a_tree_is_copied_all_the_same(local: Mover, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = source_of(tmp_path)
    (tmp_path / "to" / "d").mkdir(parents=True)
    request.getfixturevalue("refuse")
    local.fetch(f"{source}/", tmp_path / "to", direct=True)
    assert tree_of(tmp_path / "to") == tree_of(source)


def test_and_delivered_and_unpacked(local: Mover, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source, packed = source_of(tmp_path), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(source / "d" / "run", "run")
    (tmp_path / "code.tar").write_bytes(packed.getvalue())
    request.getfixturevalue("refuse")
    assert local.deliver(source, f"{tmp_path}/out/").complete
    local.fetch(str(tmp_path / "code.tar"), tmp_path / "job")
    assert tree_of(tmp_path / "out") == tree_of(source)
    assert (tmp_path / "job" / "code" / "run").read_bytes() == b"#!/bin/sh\n"


def test_a_disk_that_fails_is_no_refusal(local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path)

    def failed(*words: object, **more: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in ("chmod", "utime"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failed)
            with pytest.raises(BootstrapError):
                local.fetch(f"{source}/", tmp_path / name, direct=True)
