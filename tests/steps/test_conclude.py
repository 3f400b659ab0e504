"""The end itself, with a real log directory: the record goes last and whole; who hangs in a store is not waited for."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.credentials.hardening import Hardening
from bootstrap.diagnosis import Facts, diagnose
from bootstrap.job import AskedBy, Ending, Job, PlatformFacts
from bootstrap.process.stop.plan import StopPlan
from bootstrap.process.stop.signals import Signals
from bootstrap.process.supervise.oom_score import OomScore
from bootstrap.reporting.console import Console
from bootstrap.results import Asked, Decided, Found, Link, Seen
from bootstrap.run import Run
from bootstrap.settings import resolve
from bootstrap.steps import conclude
from bootstrap.steps.connect import start_shipping
from bootstrap.steps.unlock import open_stores
from bootstrap.variables import read

SUCCESS, FAILURE = Ending(0, started=10.0, ended=22.0), Ending(7, started=10.0, ended=22.0)


class Left(BaseException):
    """Of a process that does not wait for its threads."""


@pytest.fixture(autouse=True)
def nobody_leaves_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    def left(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(os, "_exit", left)


class Scene:
    """A run whose command has ended. Its own files are ``here``, those at its log URL ``there``."""

    def __init__(
        self,
        root: Path,
        ending: Ending = SUCCESS,
        here: str = "here",
        environ: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.here, self.there = root / here, root / "there"
        self.here.mkdir()
        options = {"log": f"{self.there}/", "log_interval": "0", **options}
        log_file, run_dir = self.here / "job.log", self.here / "run"
        log_file.write_text("the command's own words\n")
        job = Job(PlatformFacts("local", ""), ("train",), str(root), str(root), str(run_dir), str(log_file))
        job = Job(**{**{name: getattr(job, name) for name in job.__slots__}, "log": options["log"]})
        decided = Decided(Asked(options, ("train",), environ or {}, read(environ or {})), resolve(options, {}, {}), job)
        self._said = open(self.here / "said", "w+")  # noqa: SIM115
        self.run = Run(Signals(), console=Console(self._said), log_file=log_file)
        self.run.record.place(run_dir / "run.json")
        self.run.record.begin("conclude")
        decided.record_files[0].write_text('{"event": "our own words"}\n')
        access = open_stores(self.run, decided, {}, Hardening((0, 0), dumpable_off=False), OomScore())
        local = options["log"] == f"{self.there}/"
        self.shipper = start_shipping(self.run, decided, access.stores) if local else None
        seen = Seen(ending, None if ending.succeeded else diagnose(Facts(ending)), "direct")
        self.found = Found(decided, access, Link(None, self.shipper) if local else None, None, seen)

    def end(self) -> int:
        assert self.shipper is not None
        self.shipper.deliver(self.run.until(60.0))
        return conclude.step(self.run, self.found, [])

    def said(self) -> str:
        return Path(self._said.name).read_text()

    def record(self, where: str = "there/job.run.json") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.here.parent / where).read_text())
        return found


def test_what_is_delivered_last_is_the_whole_record_beside_the_log_and_our_lines(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.end() == 0
    assert sorted(path.name for path in scene.there.iterdir()) == ["job.jsonl", "job.log", "job.run.json"]
    record = scene.record()
    assert (record["phase"], record["exit_code"], record["reason_id"]) == ("ended", 0, "success")
    assert record["steps"][-1]["result"] == "ok" and "overtaken_by" not in record
    assert record == scene.record("here/run/run.json")
    assert "error" not in scene.said() and "succeeded in 12 s" in scene.said() and "[success, exit 0]" in scene.said()
    assert not scene.run.left_behind


def test_a_later_attempt_that_has_the_plain_names_is_named_in_the_record(tmp_path: Path) -> None:
    first, later = Scene(tmp_path), Scene(tmp_path, here="later")
    later.end()
    first.end()
    assert first.record("there/job.run.attempt-1.json")["overtaken_by"] == later.record()["began"]
    assert "overtaken_by" not in later.record()


def test_a_record_that_cannot_be_delivered_stays_and_is_named_and_changes_no_exit_code(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FAILURE)
    shutil.rmtree(scene.there)
    scene.there.write_text("a file in the directory's place")
    assert scene.end() == 7
    assert f"the run record was not delivered and stays in {scene.here / 'run'}: " in scene.said()
    assert scene.record("here/run/run.json")["exit_code"] == 7
    assert "error: " in scene.said() and "exit 7]" in scene.said()
    assert " hint: " in scene.said() and " retry: " in scene.said()


def test_an_attempt_whose_record_is_not_there_keeps_its_place(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (scene.there / "job.run.attempt-1.json" / "in the way").mkdir(parents=True)
    assert scene.end() == 0
    assert "the run record was not delivered" in scene.said()
    assert (scene.there / "job.log.parts").is_dir(), "who looks for it later is told that nobody concluded"


@pytest.mark.parametrize("came", ["nothing", "decided", "all"])
def test_whichever_steps_did_not_come_the_end_is_told_and_the_record_written(came: str, tmp_path: Path) -> None:
    """Without its keys and stores nothing can be delivered; without a log URL nothing is to be."""
    scene = Scene(tmp_path, log="") if came == "all" else Scene(tmp_path)
    left = {"nothing": {"decided": None, "access": None}, "decided": {"access": None}, "all": {}}[came]
    scene.found = replace(scene.found, link=None, **left)
    assert conclude.step(scene.run, scene.found, []) == (100 if came == "nothing" else 0)
    assert scene.record("here/run/run.json")["phase"] == "ended"
    assert "not delivered" not in scene.said()


def test_what_the_disk_did_not_take_is_stated_in_the_log_itself(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    log = scene.here / "job.log"
    log.write_text("a line of the command\n" * 20)
    scene.run.unwritten.add(b"lost", "No space left on device")
    assert conclude.step(scene.run, replace(scene.found, link=None, access=None), []) == 0
    assert "No space left on device" in log.read_text()


def test_a_store_that_never_answers_ends_the_wait_for_it_at_the_end_of_the_grace(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keys = {"S3_ACCESS_KEY_ID": "AK", "S3_SECRET_ACCESS_KEY": "SK", "S3_ENDPOINT": endpoint}
        scene = Scene(tmp_path, FAILURE, environ=keys, log="s3://bucket/logs/")
        scene.run.plan = StopPlan(1.0)
        scene.run.signals.request_stop(AskedBy.PLATFORM, "TERM")
        began = time.monotonic()
        with pytest.raises(Left) as left:
            conclude.step(scene.run, scene.found, [])
    assert left.value.args == (7,) and scene.run.left_behind
    assert time.monotonic() - began < 10


def test_a_report_that_cannot_be_delivered_is_named_and_the_lines_beside_it_are_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path, report=True)
    for name in ("job.report.attempt-1.html", "job.attempt-1.jsonl"):
        (scene.there / name / "in the way").mkdir(parents=True)
    assert scene.end() == 0
    said = scene.said()
    assert f"the report was not delivered and stays in {scene.here / 'job.report.html'}" in said
    assert "stays in" not in said.replace("the report was not delivered and stays in", "")


def test_the_kubelet_is_told_why_and_of_success_nothing(tmp_path: Path) -> None:
    for ending, told in ((SUCCESS, ""), (FAILURE, "exit status 7")):
        place = tmp_path / str(ending.exit_code)
        place.mkdir()
        (place / "told").touch()
        Scene(place, ending, termination_log=str(place / "told")).end()
        text = (place / "told").read_text()
        assert told in text and bool(text) == bool(told)


HANGS = """
import sys, threading, time
from pathlib import Path
from tests.steps.test_conclude import FAILURE, Scene
scene = Scene(Path(sys.argv[1]), FAILURE)
scene.run.left_behind = sys.argv[2] == "hangs"
threading.Thread(target=time.sleep, args=(2.0 if sys.argv[2] == "works" else 600,)).start()
sys.stdout.write("what was printed last")
sys.exit(scene.end())
"""


@pytest.mark.parametrize("how", ["hangs", "works"])
def test_a_thread_that_hangs_in_a_store_is_not_waited_for_and_one_that_works_is(how: str, tmp_path: Path) -> None:
    began = time.monotonic()
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = [sys.executable, "-c", HANGS, str(tmp_path), how]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (7, "what was printed last"), done.stderr[-2000:]
    assert how == "hangs" or time.monotonic() - began >= 2.0
    assert json.loads((tmp_path / "there" / "job.run.json").read_text())["exit_code"] == 7
