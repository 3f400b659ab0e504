"""Modes of what is fetched follow the umask, whatever way it takes; scripts can be run."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.storage.schemes import parse
from tests.lab.repositories import git
from tests.lab.stores import Store
from tests.lab.web import running_web
from tests.storage.conftest import Mover, make_tree, stores_of

SCRIPT, LARGE = b"#!/bin/sh\necho hi\n", os.urandom(33 << 20)  # pieces begin at 32 MiB
TREE = {"plain.txt": b"x", "run.sh": SCRIPT, "deep/down/plain.txt": b"y", "large.bin": LARGE}


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=["022", "027", "077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    try:
        yield request.param
    finally:
        os.umask(before)


def modes(root: Path) -> dict[str, int]:
    paths = [root, *root.rglob("*")]
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode)
        for path in paths
        if not path.name.startswith(".bootstrap-")
    }


def expected(umask: int, names: list[str]) -> dict[str, int]:
    """As a shell that made them would have left them: files without a run bit unless they are scripts."""
    return {
        name: (0o666 if "." in name and name != "." and not name.endswith(".sh") else 0o777) & ~umask for name in names
    }


def archive(kind: str, path: Path) -> Path:
    """An archive as a careless person's umask of 0 has left it."""
    source = make_tree(path / "made", {"app/plain.txt": b"x", "app/run.sh": SCRIPT, "app/deep/plain.txt": b"y"})
    for made in (source, *source.rglob("*")):
        made.chmod(0o777 if made.is_dir() or made.suffix == ".sh" else 0o666)
    file = path / f"app.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as packed:
            for made in sorted(source.rglob("*")):
                packed.write(made, made.relative_to(source))
    else:
        with tarfile.open(file, "w:gz" if kind == "tgz" else "w") as packed_tar:
            packed_tar.add(source / "app", "app")
    return file


def test_a_tree_from_a_bucket(umask: int, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    for name, content in TREE.items():
        bucket.put(f"code/{name}", content)
    Mover(stores_of(seaweedfs)).fetch(bucket.url("code/"), tmp_path / "to" / "code", direct=True)
    found = modes(tmp_path / "to" / "code")
    assert found == expected(umask, list(found))
    assert set(TREE) <= set(found)


def test_a_tree_from_a_directory_keeps_the_modes_it_had(umask: int, local: Mover, tmp_path: Path) -> None:
    """A copy beside itself is as it is: whoever made the source has decided."""
    source = make_tree(tmp_path / "from", {name: content[:100] for name, content in TREE.items()})
    (source / "run.sh").chmod(0o750)
    (source / "plain.txt").chmod(0o640)
    local.fetch(f"{source}/", tmp_path / "to", direct=True)
    found = modes(tmp_path / "to")
    assert (found["run.sh"], found["plain.txt"]) == (0o750, 0o640)


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
@pytest.mark.parametrize("place", ["bucket", "directory"])
def test_an_archive_gives_no_more_than_the_umask_allows(
    umask: int, kind: str, place: str, seaweedfs: Store, tmp_path: Path
) -> None:
    os.umask(0)
    file = archive(kind, tmp_path)
    os.umask(umask)
    url = str(file)
    if place == "bucket":
        bucket = seaweedfs.make_bucket()
        bucket.put(f"a/{file.name}", file.read_bytes())
        url = bucket.url(f"a/{file.name}")
    Mover(stores_of(seaweedfs)).fetch(url, tmp_path / "job", unpack=True)
    found = modes(tmp_path / "job" / "app")
    assert found == expected(umask, [".", "plain.txt", "run.sh", "deep", "deep/plain.txt"])


def test_one_object_and_what_boto3_brings(umask: int, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    for name, content in TREE.items():
        bucket.put(f"code/{name}", content)
    mover = Mover(stores_of(seaweedfs))
    mover.fetch(bucket.url("code/run.sh"), tmp_path / "one", direct=True)
    mover.stores.open(parse(bucket.url("code/"))).pipeline = None  # type: ignore[misc]
    mover.fetch(bucket.url("code/"), tmp_path / "tree", direct=True)
    for place in (tmp_path / "one", tmp_path / "tree"):
        found = modes(place)
        assert found == expected(umask, list(found)), place
    assert set(TREE) <= set(modes(tmp_path / "tree")) and "run.sh" in modes(tmp_path / "one")


def test_a_file_from_the_web(umask: int, local: Mover, tmp_path: Path) -> None:
    with running_web() as web:
        url = web.put("/run.sh", SCRIPT)
        local.fetch(url, tmp_path / "to", direct=True)
    assert modes(tmp_path / "to") == expected(umask, [".", "run.sh"])


@pytest.mark.skipif(shutil.which("git") is None, reason="lab: no git here (apt-get install git)")
def test_a_commit(umask: int, local: Mover, tmp_path: Path) -> None:
    work = make_tree(tmp_path / "work", {"plain.txt": b"x", "deep/run.sh": SCRIPT})
    git("init", "--quiet", "-b", "main", cwd=work)
    git("add", "-A", cwd=work)
    git("commit", "-qm", "first", cwd=work)
    local.fetch(f"git+file://{work}@main", tmp_path / "to", direct=True)
    assert modes(tmp_path / "to") == expected(umask, [".", "plain.txt", "deep", "deep/run.sh"])
