"""Several attempts at once with one log directory: each log is there whole, and who began last has the plain names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bootstrap.shipping.turns import NoTurn, Turns
from tests.e2e.conftest import Remote
from tests.e2e.job import LIMIT, Container, Result
from tests.lab.trees import files_below
from tests.lab.waiting import until
from tests.shipping.conftest import size

SHORT = "for n in 1 2 3; do echo {0} $n; done"
LONG = 'trap "echo end {0}; exit 0" TERM; echo {0}; while [ ! -e go ]; do echo {0} goes on; sleep 0.05; done; echo end'


class Attempts:
    """So many jobs, each in a container of its own, that are given one directory and one name for their log."""

    def __init__(self, root: Path, count: int) -> None:
        self.nas = root / "nas"
        self.containers = [Container(root / f"container-{number}") for number in range(count)]
        for one in self.containers:
            one.environ["BOOTSTRAP_LOG_INTERVAL"] = "0.2"

    def argv(self, number: int, command: str) -> tuple[str, ...]:
        return ("--log", str(self.nas), "--grace", "30", "--", "sh", "-c", command.format(number))

    def record(self, number: int) -> dict[str, Any]:
        return json.loads((self.containers[number].tmp / "job.run/run.json").read_text())  # type: ignore[no-any-return]

    def check(self, numbers: list[int]) -> None:
        """Of each of ``numbers`` one log and one record, under one name, which is plain if nobody began later."""
        found = files_below(self.nas)
        records = {name: json.loads(data) for name, data in found.items() if re.match(r"job\.run\..*json", name)}
        newest = max(range(len(self.containers)), key=lambda number: self.record(number)["began"])
        for number in numbers:
            log, began = self.containers[number].log.read_bytes(), self.record(number)["began"]
            logs = [name for name in found if name.endswith(".log") and found[name] == log]
            assert len(logs) == 1, (number, logs, sorted(found))
            assert (logs == ["job.log"]) == (number == newest), (number, newest, logs)
            told = [name for name in records if records[name]["began"] == began]
            assert told == [logs[0].replace("job", "job.run", 1).replace(".log", ".json")], (number, logs, told)
        hidden = [name for name in found if name.rpartition("/")[2].startswith(".")]
        assert not hidden, "nothing half made is left"


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", ["short", "ended", "stopped", "one killed"])
def test_of_jobs_that_begin_and_end_at_once_each_log_is_there_and_the_last_to_begin_has_the_plain_names(
    tmp_path: Path, kind: str, count: int
) -> None:
    attempts = Attempts(tmp_path, count)
    killed = -1
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(one.running(*attempts.argv(number, SHORT if kind == "short" else LONG)))
            for number, one in enumerate(attempts.containers)
        ]
        if kind != "short":
            for one in attempts.containers:
                until(lambda one=one: size(one.log) > 100, "it does not run")  # type: ignore[misc]
        if kind == "one killed":
            killed = count // 2
            processes[killed].kill()
            processes[killed].wait(LIMIT)
        for number, process in enumerate(processes):
            if kind == "stopped":
                process.send_signal(signal.SIGTERM)
            (attempts.containers[number].work / "go").touch()
        results = [attempts.containers[number].finish(process) for number, process in enumerate(processes)]
    alive = [number for number in range(count) if number != killed]
    assert all(results[number].code == 0 for number in alive), [result.stderr for result in results]
    attempts.check(alive)
    if killed < 0:
        assert not list(attempts.nas.glob("*.parts")), "all ended well"


def test_the_record_of_who_is_overtaken_says_by_whom_and_no_message_names_a_place_that_is_not_there(
    tmp_path: Path,
) -> None:
    attempts = Attempts(tmp_path, 2)
    older, newer = attempts.containers
    outputs = tmp_path / "outputs"
    for one in attempts.containers:
        (one.work / "out").mkdir()

    def words(number: int) -> tuple[str, ...]:
        option, log, *rest = attempts.argv(number, LONG + "; echo {0} > out/model")
        return (option, log, "--output", f"out={outputs}", *rest)

    with older.running(*words(0)) as first:
        until(lambda: size(attempts.nas / "job.log") > 10, "the older one is not on its way")
        with newer.running(*words(1)) as second:
            until(lambda: size(newer.log) > 10, "the newer one is not on its way")
            for one in (newer, older):
                (one.work / "go").touch()
            results = {"newer": newer.finish(second), "older": older.finish(first)}
    attempts.check([0, 1])
    there = json.loads((attempts.nas / "job.run.attempt-1.json").read_text())
    assert there["overtaken_by"] == attempts.record(1)["began"]
    assert "overtaken_by" not in json.loads((attempts.nas / "job.run.json").read_text())
    said = set(re.findall(r"attempt-\d+\.[^ ,/]+/", results["older"].stderr))
    assert said == {f"{path.name}/" for path in outputs.glob("attempt-*")} and said, results["older"].stderr


@pytest.mark.parametrize("kind", ["directory", "bucket"])
def test_an_attempt_that_is_refused_takes_nothing_from_one_that_runs(
    tmp_path: Path, plain_remote: Remote, kind: str
) -> None:
    running, refused = Container(tmp_path / "running"), Container(tmp_path / "refused")
    nas = tmp_path / "nas"
    url = str(nas) if kind == "directory" else plain_remote.bucket.url("")

    def stored() -> dict[str, bytes]:
        return files_below(nas) if kind == "directory" else plain_remote.bucket.tree("")

    running.environ["BOOTSTRAP_LOG_INTERVAL"] = "0.2"
    with running.running("--log", url, "--", "sh", "-c", LONG.format(0), environ=plain_remote.env) as process:
        until(lambda: any("heartbeat" in name for name in stored()), "it is not on its way")
        result = refused.run("--log", url, environ=plain_remote.env)  # without a command
        assert result.code == 101, result.stderr
        (running.work / "go").touch()
        assert running.finish(process).code == 0
    found = stored()
    logs = {name: data for name, data in found.items() if name.endswith(".log")}
    assert running.log.read_bytes() in logs.values(), logs
    assert sorted(logs) == ["job.attempt-1.log", "job.log"], "and its own is there, too"
    assert sorted(name for name in found if name.endswith(".json")) == ["job.run.attempt-1.json", "job.run.json"]


def test_a_turn_that_somebody_was_killed_in_is_over_after_some_seconds(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, 1)
    turn = attempts.nas / "job.log.parts/turn"
    turn.parent.mkdir(parents=True)
    turn.write_text("0123456789abcdef")
    (container,) = attempts.containers
    assert container.run(*attempts.argv(0, SHORT)).code == 0
    attempts.check([0])
    assert not turn.parent.exists()


def test_who_gets_no_turn_delivers_under_names_that_nobody_has(tmp_path: Path) -> None:
    """What is in the way there is another user's, say."""
    attempts = Attempts(tmp_path, 1)
    attempts.nas.mkdir()
    (attempts.nas / "job.log.parts").write_text("no directory")
    (attempts.nas / "job.log").write_text("another's")
    (container,) = attempts.containers
    result = container.run(*attempts.argv(0, SHORT))
    assert result.code == 0, result.stderr
    assert (attempts.nas / "job.log").read_text() == "another's"
    assert (attempts.nas / "job.attempt-1.log").read_bytes() == container.log.read_bytes()
    assert (attempts.nas / "job.run.attempt-1.json").exists()
    assert result.stderr.count("keeps this name") == 1, result.stderr


def test_one_at_a_time_has_a_turn_and_who_comes_in_vain_is_told(tmp_path: Path) -> None:
    first, second = Turns(tmp_path / "parts/turn"), Turns(tmp_path / "parts/turn")
    with first.turn(), first.turn(), pytest.raises(NoTurn), second.turn(0.2):
        pass
    with second.turn(0.2):
        assert os.listdir(tmp_path / "parts") == ["turn"]
    assert os.listdir(tmp_path / "parts") == []


def test_who_was_frozen_in_his_turn_leaves_that_of_the_next_alone(tmp_path: Path) -> None:
    first, second = Turns(tmp_path / "turn"), Turns(tmp_path / "turn")
    with first.turn():
        (tmp_path / "turn").unlink()  # taken for one that was left
        with second.turn():
            held = (tmp_path / "turn").read_bytes()
            first._give_back()
            assert (tmp_path / "turn").read_bytes() == held


@pytest.mark.parametrize("first", ["the one that writes there", "the other one"])
def test_a_run_that_writes_its_log_there_itself_and_one_that_delivers_there_leave_each_other_alone(
    tmp_path: Path, first: str
) -> None:
    attempts = Attempts(tmp_path, 2)
    there, other = attempts.containers
    attempts.nas.mkdir()
    there.environ["BOOTSTRAP_LOG_FILE"] = str(attempts.nas / "job.log")
    order = [(0, there), (1, other)] if first.startswith("the one") else [(1, other), (0, there)]
    with contextlib.ExitStack() as stack:
        processes = []
        for number, one in order:
            processes.append((one, stack.enter_context(one.running(*attempts.argv(number, LONG)))))
            log = attempts.nas / "job.log" if one is there else one.log
            until(lambda log=log: size(log) > 100, "it does not run")  # type: ignore[misc]
            time.sleep(0.5)  # some rounds
        time.sleep(1.5)  # in which the log file is looked after as well
        for one, _ in processes:
            (one.work / "go").touch()
        results = {one: one.finish(process) for one, process in processes}
    assert [result.code for result in results.values()] == [0, 0]
    found = files_below(attempts.nas)
    assert set(re.findall(rb"(\d) goes on", found["job.log"])) == {b"0"} and found["job.log"].endswith(b"end\n")
    whole = [name for name in found if name.endswith(".log") and found[name] == other.log.read_bytes()]
    assert len(whole) == 1 and whole[0] != "job.log", sorted(found)
    assert not [name for name in found if "replaced" in name], sorted(found)
    assert "beside it" in results[other].stderr


def test_a_log_that_somebody_replaces_in_the_directory_is_made_again_beside_it(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, 1)
    (container,) = attempts.containers
    log = attempts.nas / "job.log"
    with container.running(*attempts.argv(0, LONG)) as process:
        until(lambda: size(log) > 50, "it does not grow")
        (tmp_path / "other").write_text("something else\n" * 100)
        os.replace(tmp_path / "other", log)
        until(lambda: log.exists() and log.read_bytes()[:1] == b"0", "it is not made again")
        time.sleep(0.5)  # some rounds, in which nothing may go to and fro
        (container.work / "go").touch()
        result: Result = container.finish(process)
    assert result.code == 0, result.stderr
    attempts.check([0])
    (aside,) = attempts.nas.glob("job.attempt-*.log")
    assert aside.read_text() == "something else\n" * 100
