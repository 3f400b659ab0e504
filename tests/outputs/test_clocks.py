"""Clocks that are put back, before an attempt or while it runs: what was saved later stays the newest."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from bootstrap.job import Ending
from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.resume.on_disk import left_unfinished, newest_on_disk
from bootstrap.outputs.resume.restore import restore
from bootstrap.outputs.resume.resumed import Resumed
from bootstrap.values import replace
from tests.e2e.job import Container
from tests.outputs.conftest import NEVER, Place, settle, write

HOUR = 3600.0


def again(place: Place, root: Path) -> tuple[Publisher, Resumed | None]:
    publisher = place.publisher(root)
    found = restore(publisher, publisher.contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log)
    return publisher, found


def put_back(publisher: Publisher, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """No test may set the clock of a machine: what its file system says is the only thing here that is not real."""
    monkeypatch.setattr(publisher.clock, "_now", lambda: time.time() - seconds)


def test_what_is_saved_after_a_clock_was_put_back_is_the_newest(
    nas: Place, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = nas.publisher(root)
    write(root, {"step-1.pt": "1"}, age=30)
    write(root, {"step-2.pt": "2"}, age=20)
    publisher.round(NEVER)
    write(root, {"step-3.pt": "3"}, age=1)  # after the last look before, and from the future by then
    put_back(publisher, monkeypatch, HOUR)
    write(root, {"step-4.pt": "4"}, age=HOUR)
    publisher.round(NEVER)
    assert nas.complete()[:2] == ["step-4.pt", "step-3.pt"]
    os.link(root / "step-1.pt", root / "best.pt")
    put_back(publisher, monkeypatch, 2 * HOUR)
    write(root, {"step-5.pt": "5", "latest/part.bin": "5"}, age=2 * HOUR)
    settle(publisher)
    found = newest_on_disk(publisher)
    assert found is not None and found.checkpoint in ("step-5.pt", "latest")
    assert nas.complete()[0] == "step-5.pt"
    assert nas.complete()[-1] in ("best.pt", "step-1.pt"), "another name makes nothing new"
    _, resumed = again(nas, tmp_path / "elsewhere")
    assert resumed is not None and resumed.checkpoint == "step-5.pt"


def test_a_directory_is_quiet_also_where_its_clock_is_not_ours(
    nas: Place, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NAS gives files its own time."""
    publisher = nas.publisher(root)
    put_back(publisher, monkeypatch, HOUR)
    write(root, {"step-1/part.bin": "1"}, age=HOUR)
    publisher.round(NEVER)
    assert nas.complete() == [], "it was written to a moment ago"
    put_back(publisher, monkeypatch, -HOUR)
    write(root, {"step-1/part.bin": "2"}, age=10 - HOUR)
    publisher.round(NEVER)
    assert nas.complete() == ["step-1"]


def test_a_node_whose_clock_is_hours_behind_is_in_the_attempt_that_it_is_in(
    nas: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it saves is as new as what others save: the store's clock is what they have in common."""
    for node in (0, 1):
        before = nas.publisher(tmp_path / f"before-{node}", node=node, nodes=2).claim
        nas.target().put(before.key, replace(before, started=time.time() - 2 * HOUR).text())
        os.utime(Path(nas.url, before.key), (time.time() - 2 * HOUR,) * 2)
    zero, one = (nas.publisher(tmp_path / f"node-{node}", node=node, nodes=2) for node in (0, 1))
    put_back(one, monkeypatch, HOUR)
    write(zero.root, {"step-5/.metadata": pickle.dumps(["__0_0.distcp", "__1_0.distcp"]), "step-5/__0_0.distcp": "0"})
    write(one.root, {"step-5/__1_0.distcp": "1"}, age=HOUR + 4)
    write(zero.root, {"step-4.pt": "4"}, age=100)
    for publisher in (zero, one):
        publisher.round(NEVER)
    newest = nas.contents().newest
    assert newest is not None and (newest.path, newest.attempt) == ("step-5", 2)
    assert abs(newest.saved - time.time()) < 60


def test_what_a_command_has_finished_is_whole_by_the_clock_of_its_own_files(
    nas: Place, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is ahead of ours by an hour on this NAS."""
    publisher = nas.publisher(root)
    put_back(publisher, monkeypatch, -HOUR)
    write(root, {"step-1/part.bin": "1"}, age=60 - HOUR)
    write(root, {"step-2/part.bin": "1"}, age=1 - HOUR)
    assert set(left_unfinished(publisher, Ending(1, ended=time.time()))) == {"step-2"}
    assert left_unfinished(publisher, Ending(0, ended=time.time())) == {}


def test_attempts_in_one_container_whose_clock_was_put_back_in_between(nas: Place, root: Path, tmp_path: Path) -> None:
    first = nas.publisher(root)
    write(root, {"step-1.pt": "1"}, age=-HOUR)
    first.round(NEVER)
    write(root, {"step-2.pt": "2"}, age=-HOUR - 1)  # then it was killed
    second, resumed = again(nas, root)
    assert resumed is not None and resumed.checkpoint == "step-2.pt"
    second.round(NEVER)
    write(root, {"step-3.pt": "3"}, age=0)
    second.round(NEVER)
    assert nas.complete()[0] == "step-3.pt"
    for where in (root, tmp_path / "elsewhere"):
        _, resumed = again(nas, where)
        assert resumed is not None and resumed.checkpoint == "step-3.pt"


def test_a_command_that_is_started_again_does_not_go_on_from_what_it_was_writing(tmp_path: Path) -> None:
    container = Container(tmp_path / "container")
    (container.work / "train.py").write_text(
        """import os, sys, time
resume = os.environ.get("BOOTSTRAP_RESUME_FROM", "")
print("from", os.path.basename(resume), flush=True)
if not resume:
    for step in (1, 2):
        os.makedirs(f"out/step-{step}")
        open(f"out/step-{step}/model.bin", "w").write("m")
        if step == 2:
            os.kill(os.getpid(), 9)
        open("out/step-1/optimizer.bin", "w").write("o")
        time.sleep(4)
"""
    )
    words = ["--output", f"out={tmp_path}/nas/", "--output-interval", "1", "--max-restarts", "1"]
    result = container.run(*words, "--", "python3", "train.py")
    assert result.stdout == b"from \nfrom step-1\n", result.stderr
    assert "not resumed from: step-2: written to" in result.stderr


def test_what_was_whole_in_the_store_is_not_doubted(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    write(root, {"step-1/a.bin": "1"}, age=5)
    publisher.round(NEVER)
    write(root, {"step-2/a.bin": "2"}, age=1)
    ending = Ending(None, 9, ended=time.time())
    doubtful = left_unfinished(publisher, ending)
    assert set(doubtful) == {"step-2"}
    found = newest_on_disk(publisher, doubtful)
    assert found is not None and found.checkpoint == "step-1"
