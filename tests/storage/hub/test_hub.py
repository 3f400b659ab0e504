"""hf:// by huggingface_hub itself, against a small server of its API's shape: a hub cannot be had in a laboratory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import ChecksumWrong, NothingThere, PermissionDenied, StoreUnavailable, SupportMissing, UrlInvalid
from bootstrap.job import Endpoint
from bootstrap.storage.destination import destination
from bootstrap.storage.model.scheme import Surroundings
from bootstrap.storage.model.url import shown
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import check_ready, needs_keys, parse
from tests.lab.clouds import with_clouds
from tests.lab.web import Web, free_port, running_web
from tests.storage.conftest import MemoryLog, Mover, tree_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = os.urandom(1 << 20) * 34
TREE = {"config.json": b"{}", "sub/tokenizer.json": b"[1]", "model.safetensors": WEIGHTS}


class Hub:
    """A model, a data set and a gated one; large files are on another server, as a hub's are."""

    def __init__(self, web: Web, cdn: Web) -> None:
        self.web, self.cdn, self.url = web, cdn, web.url
        self.serve("models", "org/model", "", ("main", "v1", "feature%2Fx", COMMIT))
        self.serve("datasets", "org/data", "/datasets", ("main", COMMIT))
        web.put("/api/models/org/gated/revision/main", status=403, headers={"X-Error-Code": "GatedRepo"})
        web.put("/api/models/org/absent/revision/main", status=404, headers={"X-Error-Code": "RepoNotFound"})
        web.put("/api/models/org/model/revision/nope", status=404, headers={"X-Error-Code": "RevisionNotFound"})
        web.put("/api/models/org/broken/revision/main", status=500)

    def serve(self, kind: str, name: str, prefix: str, revisions: tuple[str, ...], sha256: str = "") -> None:
        told = json.dumps({"id": name, "sha": COMMIT, "siblings": [], "tags": [], "private": False}).encode()
        for revision in revisions:
            self.web.put(f"/api/{kind}/{name}/revision/{revision}", told)
        tree: list[dict[str, object]] = [{"type": "directory", "path": "sub", "oid": "0" * 40, "size": 0}]
        for path, content in TREE.items():
            file = {"type": "file", "path": path, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
            where = f"{prefix}/{name}/resolve/{COMMIT}/{path}"
            if content is WEIGHTS:
                oid = sha256 or hashlib.sha256(content).hexdigest()
                tree.append({**file, "lfs": {"oid": oid, "size": len(content), "pointerSize": 134}})
                self.web.put(where, redirect=self.cdn.put(f"/blob{prefix}/{name}", content))
            else:
                tree.append(dict(file))
                self.web.put(where, content)
        self.web.put(f"/api/{kind}/{name}/tree/{COMMIT}", json.dumps(tree).encode())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with_clouds(monkeypatch, "huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_web() as web, running_web() as cdn:
        yield Hub(web, cdn)


def mover_of(hub: Hub | str, masked: list[str] | None = None, **environ: str) -> Mover:
    log, heard = MemoryLog(), [] if masked is None else masked
    variables = {"HF_ENDPOINT": hub if isinstance(hub, str) else hub.url, **environ}
    around = Surroundings(variables, 0.0, mask=lambda _, value: heard.append(value))
    return Mover(Stores(Endpoint(""), None, log, around), log)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "bucket", "path", "name"),
    [
        ("hf://org/model", "org/model", "", "model"),
        ("hf://org/model@v1.0/sub/x", "org/model@v1.0", "sub/x", "x"),
        ("hf://datasets/org/data@refs/pr/7/a/", "datasets/org/data@refs/pr/7", "a/", "a"),
        ("hf://gpt2@main", "gpt2@main", "", "gpt2"),
        ("hf://org/model@feature%2Fx/sub/x", "org/model@feature%2Fx", "sub/x", "x"),
    ],
)
def test_a_repository_is_written_as_the_hub_writes_it(text: str, bucket: str, path: str, name: str) -> None:
    place = parse(text)
    assert (place.bucket, place.path, place.name) == (bucket, path, name)
    assert parse(str(place)) == place and shown(text) == text and not needs_keys(place)


@pytest.mark.parametrize("text", ["hf://", "hf:org/model", "hf://-x/y", "hf://org/model@-x", "hf://a b/c", "hf:///x"])
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(UrlInvalid):
        parse(text)


def test_nothing_is_delivered_to_a_hub_and_its_package_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UrlInvalid, match="nothing can be delivered"):
        destination("hf://org/model", "--log")
    monkeypatch.setattr("bootstrap.storage.hub.scheme.find_spec", lambda name: None)
    with pytest.raises(SupportMissing, match="huggingface_hub") as caught:
        check_ready(parse("hf://org/model"))
    assert "modelarts_bootstrap-VERSION-py3-none-any.whl[hf]" in caught.value.remedy
    assert "\nhf = [" in (Path(__file__).parents[3] / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "url",
    [
        "hf://org/model",
        "hf://org/model@v1",
        "hf://org/model@feature%2Fx",
        f"hf://org/model@{COMMIT}",
        "hf://datasets/org/data@main",
    ],
)
def test_a_revision_comes_whole_and_its_commit_is_told(hub: Hub, tmp_path: Path, url: str) -> None:
    report = mover_of(hub).fetch(url, tmp_path / "to")
    assert tree_of(tmp_path / "to" / parse(url).name) == TREE
    assert report.revision == COMMIT
    assert {headers["range"] for _, headers in hub.cdn.asked} == {
        "bytes=0-16777215", "bytes=16777216-33554431", f"bytes=33554432-{len(WEIGHTS) - 1}",
    }  # fmt: skip
    again = mover_of(hub).fetch(url, tmp_path / "to")
    assert (again.files, again.skipped) == (0, len(TREE))


def test_a_file_and_a_directory_of_it(hub: Hub, tmp_path: Path) -> None:
    mover_of(hub).fetch("hf://org/model@v1/config.json", tmp_path)
    mover_of(hub).fetch("hf://org/model@v1/sub", tmp_path)
    assert tree_of(tmp_path / "sub") == {"tokenizer.json": b"[1]"} and (tmp_path / "config.json").read_bytes() == b"{}"


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub: Hub, tmp_path: Path) -> None:
    masked: list[str] = []
    mover = mover_of(hub, masked, HF_TOKEN="hf_SECRETTOKEN")
    mover.fetch("hf://org/model", tmp_path / "to")
    assert {headers.get("authorization") for _, headers in hub.web.asked} == {"Bearer hf_SECRETTOKEN"}
    assert hub.cdn.asked and all("authorization" not in headers for _, headers in hub.cdn.asked)
    assert masked == ["hf_SECRETTOKEN"] and "SECRETTOKEN" not in str(mover.log.lines)


def test_large_files_are_checked_against_what_the_hub_says_of_them(hub: Hub, tmp_path: Path) -> None:
    hub.serve("models", "org/model", "", ("main",), sha256="0" * 64)
    with pytest.raises(ChecksumWrong):
        mover_of(hub).fetch("hf://org/model", tmp_path / "to")
    assert not (tmp_path / "to" / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("url", "expected", "said"),
    [
        ("hf://org/gated@main", PermissionDenied, "gated"),
        ("hf://org/absent@main", NothingThere, "no such repository"),
        ("hf://org/model@nope", NothingThere, "no such revision"),
        ("hf://org/model@main/sbu", NothingThere, "the nearest that exists is sub/"),
        ("hf://org/broken@main", StoreUnavailable, "500"),
    ],
)
def test_what_a_hub_answers_has_a_cause(hub: Hub, tmp_path: Path, url: str, expected: type, said: str) -> None:
    with pytest.raises(expected, match=said):
        mover_of(hub).fetch(url, tmp_path / "to")


def test_a_hub_that_is_not_there_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_clouds(monkeypatch, "huggingface_hub")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(StoreUnavailable):
        mover_of(f"http://127.0.0.1:{free_port()}").fetch("hf://org/model", tmp_path)
