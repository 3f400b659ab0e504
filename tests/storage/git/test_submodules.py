"""Submodules come with the commit that names them, from where .gitmodules says, and from nowhere else."""

from __future__ import annotations

import os
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bootstrap.errors import NothingThere, PermissionDenied
from bootstrap.storage.git.submodules import address_of, over_the_web
from tests.lab.repositories import git, running_backend
from tests.storage.conftest import Mover, tree_of
from tests.storage.git.test_git import mover_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="lab: no git here (apt-get install git)")


class Family:
    """Bare repositories below ``root``: ``app.git``, with ``lib.git`` at third_party/lib, which has ``deep.git`` at
    deep. The commits of both that are used are no branch's newest any more.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made("deep", {"d.py": b"d = 1\n"})
        self.made("lib", {"l.py": b"l = 1\n", "up": "../../train.py"}, {"deep": "../deep.git"})
        links = {"pkg/vendored": "../third_party/lib/deep", "gone": "third_party/lib/nothing"}
        self.made(
            "app", {"train.py": b"import lib\n", "pkg/p.py": b"p = 1\n", **links}, {"third_party/lib": "../lib.git"}
        )
        for name in ("deep", "lib"):
            self.made(name, {"newer.py": b"is not what the commit has\n"})

    def made(self, name: str, files: dict[str, bytes | str], submodules: dict[str, str] | None = None) -> None:
        """A commit more. A text is a link's target; a submodule's URL may be relative."""
        bare, work = self.root / f"{name}.git", self.root / "work" / name
        if not bare.exists():
            git("init", "-q", "--bare", "-b", "main", bare, cwd=self.root)
            git("clone", "-q", bare, work, cwd=self.root)
            git("checkout", "-qB", "main", cwd=work)
        for path, url in (submodules or {}).items():
            git("submodule", "--quiet", "add", "--name", f"a.{name}", self.root / Path(url).name, path, cwd=work)
            git("config", "-f", ".gitmodules", f"submodule.a.{name}.url", url, cwd=work)
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (work / path).symlink_to(content)
            else:
                (work / path).write_bytes(content)
        git("add", "-A", cwd=work)
        git("commit", "-qm", "more", cwd=work)
        git("push", "-q", bare, "main", cwd=work)

    def leads_to(self, url: str) -> None:
        """``app.git`` has its submodule there from now on."""
        work = self.root / "work" / "app"
        git("config", "-f", ".gitmodules", "submodule.a.app.url", url, cwd=work)
        git("commit", "-qam", "moved", "--allow-empty", cwd=work)
        git("push", "-q", self.root / "app.git", "main", cwd=work)


LIB = {"l.py": b"l = 1\n", "up": b"import lib\n", "deep/d.py": b"d = 1\n"}
APP = {"train.py": b"import lib\n", "pkg/p.py": b"p = 1\n", "pkg/vendored/d.py": b"d = 1\n",
       **{f"third_party/lib/{name}": content for name, content in LIB.items()}}  # fmt: skip


@pytest.fixture
def family(tmp_path: Path) -> Family:
    root = tmp_path / "git"
    root.mkdir()
    return Family(root)


def fetched(mover: Mover, url: str, to: Path) -> dict[str, bytes]:
    mover.fetch(url, to, direct=True)
    return {name: content for name, content in tree_of(to).items() if not name.endswith(".gitmodules")}


def left_out(mover: Mover) -> dict[str, str]:
    return {str(facts["name"]): str(facts["reason"]) for _, event, facts in mover.log.lines if event == "left out"}


def test_submodules_come_with_theirs_at_the_commits_that_are_named(family: Family, tmp_path: Path) -> None:
    mover, url = mover_of(), f"git+file://{family.root}/app.git@main"
    assert fetched(mover, url, tmp_path / "to") == APP
    assert left_out(mover).keys() == {"gone"}
    again = mover_of().fetch(url, tmp_path / "to", direct=True)
    assert again.files == 0
    shutil.rmtree(family.root / "lib.git")
    assert fetched(mover_of(), f"{url}#subdirectory=train.py", tmp_path / "one") == {"train.py": APP["train.py"]}


def test_a_subdirectory_has_what_its_links_lead_to(family: Family, tmp_path: Path) -> None:
    url = f"git+file://{family.root}/app.git#egg=app&subdirectory="
    mover = mover_of()
    assert fetched(mover, f"{url}third_party/lib", tmp_path / "lib") == LIB
    assert fetched(mover, f"{url}pkg", tmp_path / "pkg") == {"p.py": b"p = 1\n", "vendored/d.py": b"d = 1\n"}
    assert fetched(mover_of(), f"{url}pkg", tmp_path / "alone") == {"p.py": b"p = 1\n", "vendored/d.py": b"d = 1\n"}
    assert not left_out(mover)


def test_a_gitmodules_that_is_no_configuration_leaves_the_submodules_out(family: Family, tmp_path: Path) -> None:
    work = family.root / "work" / "app"
    (work / ".gitmodules").write_text("[submodule\n")
    git("commit", "-qam", "damaged", cwd=work)
    git("push", "-q", family.root / "app.git", "main", cwd=work)
    mover = mover_of()
    assert "train.py" in fetched(mover, f"git+file://{family.root}/app.git@main", tmp_path / "to")
    assert "no address" in left_out(mover)["third_party/lib"]


def test_what_git_lfs_keeps_of_a_submodule_comes_from_there(family: Family, tmp_path: Path) -> None:
    if shutil.which("git-lfs") is None:
        pytest.skip("lab: no git-lfs here (apt-get install git-lfs)")
    lib, app, weights = family.root / "work" / "lib", family.root / "work" / "app", os.urandom(1 << 16)
    git("lfs", "install", "--local", cwd=lib)
    git("lfs", "track", "*.bin", cwd=lib)
    (lib / "w.bin").write_bytes(weights)
    git("add", "-A", cwd=lib)
    git("commit", "-qm", "weights", cwd=lib)
    git("push", "-q", f"file://{family.root}/lib.git", "main", cwd=lib)
    git("fetch", "-q", family.root / "lib.git", cwd=app / "third_party" / "lib")
    git("update-index", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD', cwd=lib)},third_party/lib", cwd=app)
    git("commit", "-qm", "weights", cwd=app)
    git("push", "-q", family.root / "app.git", "main", cwd=app)
    came = fetched(mover_of(), f"git+file://{family.root}/app.git", tmp_path / "to")
    assert came["third_party/lib/w.bin"] == weights and came["third_party/lib/newer.py"]


def test_a_submodule_that_cannot_be_had_ends_the_fetch_and_tells_the_way_round(family: Family, tmp_path: Path) -> None:
    shutil.rmtree(family.root / "lib.git")
    url = f"git+file://{family.root}/app.git@main"
    with pytest.raises(NothingThere) as caught:
        mover_of().fetch(url, tmp_path / "no")
    assert "its submodule third_party/lib at" in caught.value.where and "#submodules=no" in caught.value.remedy
    mover = mover_of()
    came = fetched(mover, f"{url}#submodules=no", tmp_path / "to")
    assert came == {"train.py": APP["train.py"], "pkg/p.py": APP["pkg/p.py"]}
    assert "submodules=no" in left_out(mover)["third_party/lib"]
    assert fetched(mover_of(), f"{url}#submodules=no&subdirectory=pkg", tmp_path / "pkg") == {"p.py": b"p = 1\n"}


def test_submodules_that_are_switched_off_or_have_no_address_are_named(family: Family, tmp_path: Path) -> None:
    work = family.root / "work" / "app"
    git("config", "-f", ".gitmodules", "submodule.a.app.update", "none", cwd=work)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},stray", cwd=work)
    git("add", ".gitmodules", cwd=work)
    git("commit", "-qm", "off", cwd=work)
    git("push", "-q", family.root / "app.git", "main", cwd=work)
    mover = mover_of()
    fetched(mover, f"git+file://{family.root}/app.git", tmp_path / "to")
    assert "update = none" in left_out(mover)["third_party/lib"] and "no address" in left_out(mover)["stray"]


@pytest.mark.parametrize("written", ["../lib.git", "ssh://git@127.0.0.1:2222/lib.git", "git@127.0.0.1:lib.git"])
def test_the_token_of_a_repository_opens_its_servers_submodules_however_they_are_written(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    family.leads_to(written)
    with running_backend(family.root) as (host, handler):
        handler.user = "oauth2:SECRET-TOKEN"
        mover = mover_of()
        assert fetched(mover, f"git+http://oauth2:SECRET-TOKEN@{host}/app.git", tmp_path / "to") == APP
    assert "SECRET-TOKEN" not in (tmp_path / "trace").read_text() + str(mover.log.lines)


def test_a_token_goes_to_its_own_server_only_and_nobody_is_sent_to_this_machines_files(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    with running_backend(family.root) as (host, handler), running_backend(family.root) as (other, elsewhere):
        handler.user = "oauth2:SECRET-TOKEN"
        family.leads_to(f"http://{other}/lib.git")
        fetched(mover_of(), f"git+http://oauth2:SECRET-TOKEN@{host}/app.git", tmp_path / "to")
        assert elsewhere.asked and set(elsewhere.asked) == {""}
        for private in (f"file://{family.root}/lib.git", f"{family.root}/lib.git"):
            family.leads_to(private)
            with pytest.raises(PermissionDenied, match="not allowed"):
                mover_of().fetch(f"git+http://oauth2:SECRET-TOKEN@{host}/app.git", tmp_path / "no")


def test_a_plain_web_server_serves_the_files_of_a_repository(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("app", "lib", "deep"):
        git("update-server-info", cwd=family.root / f"{name}.git")
    handler = partial(SimpleHTTPRequestHandler, directory=str(family.root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"git+http://127.0.0.1:{server.server_address[1]}/app.git"
        commit = git("rev-parse", "main", cwd=family.root / "app.git")
        for revision in ("", "@main", f"@{commit}", f"@{commit[:9]}"):
            assert fetched(mover_of(), url + revision, tmp_path / "to") == APP
        server.shutdown()


@pytest.mark.parametrize(
    ("url", "above", "address"),
    [
        ("https://h/o/lib.git", "https://g/o/app.git", "https://h/o/lib.git"),
        ("../lib.git", "https://h/o/app.git", "https://h/o/lib.git"),
        ("../lib.git", "https://h/o/app.git/", "https://h/o/lib.git"),
        ("../../p/lib.git", "ssh://git@h:22/o/app.git", "ssh://git@h:22/p/lib.git"),
        ("./sub.git", "https://h/o/app.git", "https://h/o/app.git/sub.git"),
        ("../lib.git", "git@h:o/app.git", "git@h:o/lib.git"),
        ("../lib.git", "git@h:app.git", "git@h/lib.git"),  # as git has it
        ("../../../../lib.git", "https://h/o/app.git", ""),
        ("--upload-pack=touch", "https://h/o/app.git", ""),
        ("https://h/a b", "https://h/o/app.git", ""),
    ],
)
def test_the_address_that_gitmodules_means(url: str, above: str, address: str) -> None:
    assert address_of(url, above) == address


@pytest.mark.parametrize(
    ("address", "address_over_the_web"),
    [
        ("git@h:o/lib.git", "https://h:8443/o/lib.git"),
        ("ssh://git@h:2222/o/lib.git", "https://h:8443/o/lib.git"),
        ("git@other:o/lib.git", "git@other:o/lib.git"),
        ("https://h/o/lib.git", "https://h/o/lib.git"),
    ],
)
def test_the_way_that_a_token_opens(address: str, address_over_the_web: str) -> None:
    assert over_the_web(address, "https://h:8443/o/app.git") == address_over_the_web
