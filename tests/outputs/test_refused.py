"""Keys that may do one thing and not the other: what may be done is done, and what that costs is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.job import Output
from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.remote.contents import Contents
from bootstrap.outputs.remote.fence import new_claim, put_claim
from bootstrap.outputs.remote.shelf import Options, Shelf
from bootstrap.storage.common.workers import TransferStopped
from tests.e2e.job import Container, Result
from tests.lab.faulty_proxy import Fault, FaultyProxy, refused
from tests.lab.proxy import Handler
from tests.lab.stores import Bucket, Store
from tests.outputs.conftest import NEVER, Place, end, stores_of, write

SAVE = """\
import os, time
resume = os.environ.get("BOOTSTRAP_RESUME_FROM", "")
print("from", os.path.basename(resume), flush=True)
for step in (1, 2):
    for name in (f"step-{step}.pt", "last.pt"):
        open(f"out/{name}", "w").write(os.environ["NAME"] + str(step))
    open("out/latest", "w").write(f"step-{step}.pt")
    time.sleep(2)
"""
DENIED = refused(403, "AccessDenied")


def job(root: Path, store: Store, bucket: Bucket, endpoint: str, *more: str) -> Result:
    container = Container(root)
    (container.work / "train.py").write_text(SAVE)
    words = ["--output", f"out={bucket.url('models/')}", "--output-interval", "1", *more]
    environ = {**store.env(), "S3_ENDPOINT": endpoint, "NAME": root.name}
    return container.run(*words, "--", "python3", "train.py", environ=environ)


def no_listing(faulty: FaultyProxy) -> None:
    faulty.inject(DENIED, method="GET", query="*list-type=*", times=None)
    faulty.inject(DENIED, method="GET", query="*prefix=*", times=None)


def test_a_key_that_may_not_list_delivers_and_says_what_it_does_not_see(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    place = Place(bucket.url("models/"), stores_of(seaweedfs))
    no_listing(faulty)
    for name in ("a", "b"):
        result = job(tmp_path / name, seaweedfs, bucket, faulty.endpoint)
        assert result.code == 0, result.stderr
        assert result.stdout == b"from \n"
        assert "this key may not list the target of an output" in result.stderr
        assert "the command starts from the beginning" in result.stderr
        assert "answers and is empty" not in result.stderr
        assert {"last.pt", "step-1.pt", "step-2.pt"} <= set(place.complete(newest=True)), "each as its manifest says"
        assert place.get("step-2.pt") == place.get("last.pt") == f"{name}2".encode()
        assert place.get("latest") == b"step-2.pt"
    faulty.clear()
    assert job(tmp_path / "c", seaweedfs, bucket, faulty.endpoint).stdout in (b"from step-2.pt\n", b"from last.pt\n")


@pytest.mark.parametrize("words", [("--resume", "require"), ("--existing-outputs", "refuse")], ids=lambda one: one[0])
def test_what_cannot_be_known_without_a_listing_is_refused_before_the_start(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path, words: tuple[str, str]
) -> None:
    no_listing(faulty)
    result = job(tmp_path / "a", seaweedfs, seaweedfs.make_bucket(), faulty.endpoint, *words)
    assert result.failure == (109, "permission-denied")
    assert f"{' '.join(words)} was given, for which the target has to be listed" in result.stderr


def test_a_key_that_may_not_read_delivers_attempt_after_attempt(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    place = Place(bucket.url("models/"), stores_of(seaweedfs))
    faulty.inject(DENIED, method="GET", key="*/models/*", times=None)
    faulty.inject(DENIED, method="HEAD", key="*/models/*", times=None)
    faulty.inject(_no_copies(), method="PUT", times=None)
    for name in ("a", "b", "c"):
        result = job(tmp_path / name, seaweedfs, bucket, faulty.endpoint)
        assert result.code == 0, result.stderr
        assert "a newer attempt has begun" not in result.stderr
        assert place.complete()[0] in ("step-2.pt", "last.pt")
    assert [claim.attempt for claim in place.contents().claims] == [1, 2, 3]


def _no_copies() -> Fault:
    """Who may not read the source may not copy it."""

    def first(handler: Handler) -> None:
        if "x-amz-copy-source" in handler.headers and DENIED.first:
            DENIED.first(handler)

    return Fault("no copies", first=first)


def test_a_key_that_may_only_write_destroys_nothing_that_is_whole_before_it_has_something(
    seaweedfs: Store, faulty: FaultyProxy, root: Path, tmp_path: Path
) -> None:
    """It sees nothing of an earlier attempt's ``last.pt``, and cannot ask."""
    bucket = seaweedfs.make_bucket()
    place = Place(bucket.url("models/"), stores_of(seaweedfs))
    write(tmp_path / "before", {"last.pt": "old"})
    assert end(place.publisher(tmp_path / "before")).complete
    for method in ("GET", "HEAD", "DELETE"):
        faulty.inject(DENIED, method=method, times=None)
    faulty.inject(DENIED, method="POST", query="*delete*", times=None)
    faulty.inject(_no_copies(), method="PUT", times=None)
    target = Place(place.url, stores_of(seaweedfs, faulty.endpoint)).target()
    target.may_be_blind = place.log
    assert target.contents() == Contents() and target.blind is not None
    claim = put_claim(target, new_claim((), node=0, nodes=1, job="", blind=True))
    target.hold(claim.key)
    publisher = Publisher(Output(str(root), place.url, "--output"), target, Options(), claim, place.log)
    write(root, {"last.pt": "new"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Shelf, "complete", lambda *words: (_ for _ in ()).throw(TransferStopped))
        with pytest.raises(TransferStopped):
            publisher.round(NEVER)
    assert place.complete() == ["last.pt"], "killed between the contents and their manifest"
    publisher.round(NEVER)
    write(root, {"step-2.pt": "2"}, age=5)
    publisher.round(NEVER)
    assert place.names() == ["last.pt", "step-2.pt"] and place.get("last.pt") == b"old"
    assert place.complete()[:2] == ["step-2.pt", "last.pt"]
    assert end(publisher).complete
    assert place.get("last.pt") == b"new", "where people look for it"


def test_where_nothing_may_be_removed_nothing_that_is_whole_is_given_up(
    seaweedfs: Store, faulty: FaultyProxy, root: Path
) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    faulty.inject(DENIED, method="DELETE", times=None)
    faulty.inject(DENIED, method="POST", query="*delete*", times=None)
    publisher = place.publisher(root, keep=1)
    for step in range(4):
        write(root, {f"step-{step}.pt": f"{step}"}, age=100 - step)
        publisher.round(NEVER)
    assert end(publisher).complete
    assert len(place.complete()) == 4
    assert place.log.text().count("in spite of --keep-checkpoints") == 1


def test_why_something_did_not_go_is_what_the_last_try_met(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    write(root, {"step-1/a.bin": "1", "step-1/config-unfinished": "", "latest": "step-1"}, age=0)
    publisher.failed["latest"] = "changed while it was sent"
    delivery = end(publisher)
    (latest,) = (one for one in delivery.undelivered if one.path == "latest")
    assert latest.why == "it names step-1, which is not complete there"
