"""git+file, git+https, git+ssh: one commit of a real repository, by git's own servers."""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import (
    CredentialsRejected,
    EndpointWrong,
    NothingThere,
    StoreUnavailable,
    SupportMissing,
    UrlInvalid,
)
from bootstrap.job import Endpoint
from bootstrap.storage.destination import destination
from bootstrap.storage.model.scheme import Surroundings
from bootstrap.storage.model.url import shown
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import check_ready, needs_keys, parse
from tests.lab.repositories import Backend, git, running_backend
from tests.lab.ssh import running_sshd
from tests.lab.waiting import until
from tests.lab.web import free_port
from tests.storage.conftest import MemoryLog, Mover, tree_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="lab: no git here (apt-get install git)")
BIG = os.urandom(1 << 20) * 34


class Repository:
    """A bare one at ``path`` with two commits, a branch and a tag; ``first`` and ``second`` are the commits."""

    def __init__(self, directory: Path) -> None:
        work, self.path = directory / "work", directory / "code.git"
        work.mkdir(parents=True)
        git("init", "--quiet", "-b", "main", cwd=work)
        (work / "train.py").write_text("#!/usr/bin/env python\nprint(1)\n")
        (work / "pkg").mkdir()
        (work / "pkg" / "名.py").write_text("x = 1\n")
        git("add", "-A", cwd=work)
        git("commit", "-qm", "first", cwd=work)
        git("tag", "-a", "v1", "-m", "one", cwd=work)
        self.first = git("rev-parse", "HEAD", cwd=work)
        (work / "train.py").write_text("#!/usr/bin/env python\nprint(2)\n")
        for name, target in (("link.py", "train.py"), ("again", "pkg"), ("out", "../../etc/passwd"), ("up", "."),
                             ("pkg/ring", "ring"), ("abs", "/etc/passwd")):  # fmt: skip
            (work / name).symlink_to(target)
        (work / "big").write_bytes(BIG)
        git("add", "-A", cwd=work)
        git("commit", "-qm", "second", cwd=work)
        git("branch", "feature/x", cwd=work)
        self.second = git("rev-parse", "HEAD", cwd=work)
        git("clone", "-q", "--bare", work, self.path, cwd=directory)
        self.work = work


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("git"))


def mover_of(**surroundings: object) -> Mover:
    log = MemoryLog()
    around = Surroundings(**{"retry_window": 0.0, **surroundings})  # type: ignore[arg-type]
    return Mover(Stores(Endpoint(""), None, log, around), log)  # type: ignore[arg-type]


FIRST = {"train.py": b"#!/usr/bin/env python\nprint(1)\n", "pkg/名.py": b"x = 1\n"}
SECOND = {**FIRST, "train.py": b"#!/usr/bin/env python\nprint(2)\n", "link.py": b"#!/usr/bin/env python\nprint(2)\n",
          "again/名.py": b"x = 1\n", "big": BIG}  # fmt: skip


# --- what people write ---


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("git+https://h/org/repo.git", "repo", "git+https://h/org/repo.git"),
        ("git+https://me:SECRET@h:8443/org/repo@v1.0#subdirectory=a/b/", "b", "git+https://h:8443/org/repo@v1.0#subdirectory=a/b"),
        ("git+ssh://git@h/org/repo.git@feature/x", "repo", "git+ssh://git@h/org/repo.git@feature/x"),
        ("git+file:///srv/repo.git@0123abc", "repo", "git+file:///srv/repo.git@0123abc"),
    ],
)  # fmt: skip
def test_a_repository_is_written_as_pip_writes_it(text: str, name: str, said: str) -> None:
    place = parse(text)
    assert (place.name, str(place)) == (name, said)
    assert not needs_keys(place)
    assert "SECRET" not in f"{place!r} {place} {shown(text)}"


@pytest.mark.parametrize(
    "text",
    ["git+https://", "git+https://h", "git+https:/h/r", "git+https://-oProxyCommand=x/r", "git+ssh://u:SECRET@h/r",
     "git+https://h/r@--upload-pack=x", "git+https://h/r@a..b", "git+https://h/r@a b", "git+https://h/r@",
     "git+https://h/r#egg=x&branch=y", "git+https://h/r#subdirectory=../x", "git+file://host/r", "git+https://h/r?x=SECRET",
     "git+ssh://-x@h/r"],
)  # fmt: skip
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(UrlInvalid) as caught:
        parse(text)
    assert "SECRET" not in str(caught.value)


def test_nothing_is_delivered_to_a_repository() -> None:
    with pytest.raises(UrlInvalid, match="nothing can be delivered"):
        destination("git+https://h/r.git", "--log")


def test_an_image_without_git_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SupportMissing, match="needs the program git") as caught:
        check_ready(parse("git+https://h/r.git"))
    assert caught.value.code == 123


# --- from a bare repository ---


@pytest.mark.parametrize("revision", ["", "@main", "@feature/x", "@SECOND", "@SEC"])
def test_a_revision_comes_with_its_links_followed_and_its_name_told(
    repository: Repository, tmp_path: Path, revision: str
) -> None:
    mover = mover_of()
    wanted = revision.replace("SECOND", repository.second).replace("SEC", repository.second[:9])
    report = mover.fetch(f"git+file://{repository.path}{wanted}", tmp_path)
    assert tree_of(tmp_path / "code") == SECOND
    assert report.revision == repository.second
    assert os.access(tmp_path / "code" / "train.py", os.X_OK)
    left = {facts["name"] for _, event, facts in mover.log.lines if event == "left out"}
    assert left == {"out", "up", "abs", "pkg/ring", "again/ring"}
    assert [facts["revision"] for _, event, facts in mover.log.lines if event == "fetched"] == [repository.second]


@pytest.mark.parametrize("revision", ["v1", "FIRST"])
def test_a_tag_and_an_older_commit(repository: Repository, tmp_path: Path, revision: str) -> None:
    wanted = revision.replace("FIRST", repository.first)
    report = mover_of().fetch(f"git+file://{repository.path}@{wanted}", tmp_path, direct=True)
    assert tree_of(tmp_path) == FIRST
    assert report.revision == repository.first


def test_a_subdirectory_a_single_file_and_the_second_fetch(repository: Repository, tmp_path: Path) -> None:
    url = f"git+file://{repository.path}@main"
    mover_of().fetch(f"{url}#subdirectory=pkg", tmp_path)
    assert tree_of(tmp_path / "pkg") == {"名.py": b"x = 1\n"}
    mover_of().fetch(f"{url}#subdirectory=train.py", tmp_path)
    assert (tmp_path / "train.py").read_bytes() == SECOND["train.py"]
    mover_of().fetch(url, tmp_path)
    again = mover_of().fetch(url, tmp_path)
    assert (again.files, again.skipped) == (0, len(SECOND))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("git+file:///nowhere/r.git", "/nowhere/r.git"),
        ("git+file://PATH@nope", "nope"),
        ("git+file://PATH@abcdef0123", "abcdef0123"),
        ("git+file://PATH@main#subdirectory=pgk", "the nearest that exists is pkg/"),
    ],
)
def test_what_is_not_there_is_named(repository: Repository, tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(NothingThere) as caught:
        mover_of().fetch(url.replace("PATH", str(repository.path)), tmp_path / "to")
    assert said in str(caught.value) and "bucket" not in str(caught.value)


def test_contents_of_git_lfs_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", work, cwd=tmp_path)
    (work / "pkg").mkdir()
    (work / "pkg" / "x.py").write_text("x = 1\n")
    (work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], input=pointer, cwd=work, text=True, stdout=subprocess.PIPE
    )
    git("add", "-A", cwd=work)
    git("update-index", "--add", "--cacheinfo", f"100644,{blob.stdout.strip()},w.bin", cwd=work)
    git("commit", "-qm", "third", cwd=work)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "git-upload-pack"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(SupportMissing, match="git-lfs") as caught:
        mover_of().fetch(f"git+file://{work}", tmp_path / "no", direct=True)
    assert "w.bin" in str(caught.value) and "GIT_LFS_SKIP_SMUDGE=1" in caught.value.remedy
    mover_of().fetch(f"git+file://{work}#subdirectory=pkg", tmp_path / "pkg", direct=True)  # which has none of them
    mover = mover_of(environ={"GIT_LFS_SKIP_SMUDGE": "1"})
    mover.fetch(f"git+file://{work}", tmp_path / "to", direct=True)
    assert (tmp_path / "to" / "w.bin").read_text() == pointer
    assert [facts["first"] for _, event, facts in mover.log.lines if event == "left out"] == ["w.bin"]


def test_the_temporary_repository_goes(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    mover_of().fetch(f"git+file://{repository.path}", tmp_path / "to")
    until(lambda: gc.collect() >= 0 and not list(scratch.iterdir()), lambda: list(scratch.iterdir()))


def test_contents_of_git_lfs_come_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("git-lfs") is None:
        pytest.skip("lab: no git-lfs here (apt-get install git-lfs)")
    work, bare, weights = tmp_path / "work", tmp_path / "code.git", os.urandom(1 << 20)
    git("init", "-q", "-b", "main", work, cwd=tmp_path)
    git("lfs", "install", "--local", cwd=work)
    git("lfs", "track", "*.bin", cwd=work)
    for name, content in (("a.bin", weights), ("sub/b.bin", b"small"), ("text", b"text")):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)
    git("add", "-A", cwd=work)
    git("commit", "-qm", "weights", cwd=work)
    git("init", "-q", "--bare", "-b", "main", bare, cwd=tmp_path)
    git("push", "-q", f"file://{bare}", "main", cwd=work)
    mover = mover_of()
    mover.fetch(f"git+file://{bare}@main", tmp_path / "to", direct=True)
    (tmp_path / "to" / ".gitattributes").unlink()
    assert tree_of(tmp_path / "to") == {"a.bin": weights, "sub/b.bin": b"small", "text": b"text"}
    assert not mover.log.events("warning")
    shutil.rmtree(bare / "lfs")  # of which git-lfs says no more than that it failed, where there is no server
    with pytest.raises(StoreUnavailable):
        mover_of().fetch(f"git+file://{bare}@main", tmp_path / "no", direct=True)


def test_what_a_killed_process_has_left_is_removed_by_the_next(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = "from bootstrap.storage.git.temporary import *; t = TemporaryDirectory(); print(t.path, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        mover_of().fetch(f"git+file://{repository.path}@v1", tmp_path / "to")
        assert left.is_dir(), "it is in use"
        other.kill()
    assert left.is_dir()
    mover_of().fetch(f"git+file://{repository.path}@v1", tmp_path / "to")
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_what_another_user_has_planted_under_such_a_name_is_not_touched(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    planted = tmp_path / f"bootstrap-git-{socket.gethostname()}-planted"
    planted.mkdir()
    (planted / "theirs").touch()
    os.utime(planted, (0, 0))
    os.chown(planted, 12345, 12345)
    mover_of().fetch(f"git+file://{repository.path}@v1", tmp_path / "to")
    assert (planted / "theirs").exists()


# --- over the network ---


@pytest.fixture
def backend(repository: Repository) -> Iterator[tuple[str, type[Backend]]]:
    with running_backend(repository.path.parent) as served:
        yield served


def test_over_http_with_a_token_that_no_process_list_shows(
    repository: Repository, backend: tuple[str, type[Backend]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, handler = backend
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    handler.user = "oauth2:SECRET-TOKEN"
    trace, masked = tmp_path / "trace", list[str]()
    monkeypatch.setenv("GIT_TRACE", str(trace))
    mover = mover_of(mask=lambda name, value: masked.append(value))
    report = mover.fetch(f"git+http://oauth2:SECRET-TOKEN@{host}/code.git@main", tmp_path / "to", direct=True)
    assert tree_of(tmp_path / "to") == SECOND and report.revision == repository.second
    assert "SECRET-TOKEN" not in trace.read_text() + str(mover.log.lines)
    assert masked == ["oauth2:SECRET-TOKEN"]
    with pytest.raises(CredentialsRejected) as caught:
        mover_of().fetch(f"git+http://oauth2:WRONG-TOKEN@{host}/code.git", tmp_path / "no")
    assert "WRONG-TOKEN" not in str(caught.value)
    with pytest.raises(CredentialsRejected):  # and nobody was asked at a terminal
        mover_of().fetch(f"git+http://{host}/code.git", tmp_path / "no")
    with pytest.raises(NothingThere):
        mover_of().fetch(f"git+http://oauth2:SECRET-TOKEN@{host}/other.git", tmp_path / "no")


def test_a_server_that_is_down_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(StoreUnavailable, match="onnect"):
        mover_of().fetch(f"git+http://127.0.0.1:{free_port()}/code.git", tmp_path)


@pytest.mark.skipif(not os.path.exists("/usr/sbin/sshd"), reason="lab: no sshd here (apt-get install openssh-server)")
def test_over_ssh_with_a_key_and_a_known_host(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sshd(tmp_path) as (port, key, known_hosts):
        user = pwd.getpwuid(os.getuid()).pw_name
        url = f"git+ssh://{user}@127.0.0.1:{port}{repository.path}@v1"
        ssh = f"ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {key} -o UserKnownHostsFile="
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh}{known_hosts}")
        report = mover_of().fetch(url, tmp_path / "to", direct=True)
        assert tree_of(tmp_path / "to") == FIRST and report.revision == repository.first
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh}/dev/null -o StrictHostKeyChecking=yes")
        with pytest.raises(EndpointWrong, match="known_hosts"):
            mover_of().fetch(url, tmp_path / "no")
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh}{known_hosts}".replace(str(key), str(other)))
        with pytest.raises(CredentialsRejected):
            mover_of().fetch(url, tmp_path / "no")
