"""The boundary around the steps: a defect of ours ends in words, a record and a code, never in a traceback.

The defects are put in by replacing a step's function: there is nothing real that could be relied on to be broken.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bootstrap.errors import StoreUnavailable
from bootstrap.job import AskedBy
from bootstrap.lifecycle import boundary, in_time, stoppable
from bootstrap.process.stop.plan import StopPlan
from bootstrap.process.stop.signals import Signals
from bootstrap.reporting.console import Console
from bootstrap.run import Run, StopAsked

ROOT = Path(__file__).parents[1]
# In a process of its own: a bootstrap adopts orphans and hardens itself for good, and so should not pytest's process.
BOOT = """
import json, os, signal, sys
from importlib import import_module
from bootstrap import lifecycle

def broken(run, *values):
    raise ZeroDivisionError("of ours")

step, options, command, environ, asked = json.loads(sys.argv[1])
if asked:  # as __main__ does: what comes before anybody listens is there when somebody does
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
if step:
    import_module(f"bootstrap.steps.{step}").step = broken
sys.exit(lifecycle.run(options, tuple(command), environ))
"""


class Booted(NamedTuple):
    code: int
    record: dict[str, Any]
    out: str
    err: str


def boot(tmp_path: Path, *command: str, broken: str = "", asked: bool = False) -> Booted:
    options = {"log_file": str(tmp_path / "job.log"), "job_dir": str(tmp_path), "log": str(tmp_path / "logs")}
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    told = json.dumps([broken, options, command or ("echo", "trained"), environ, asked])
    done = subprocess.run([sys.executable, "-c", BOOT, told], cwd=ROOT, capture_output=True, text=True, timeout=60)
    record = json.loads((tmp_path / "job.run" / "run.json").read_text())
    return Booted(done.returncode, record, done.stdout, done.stderr)


@pytest.mark.parametrize("step", ["unlock", "connect", "fetch"])
def test_a_defect_before_the_command_is_exit_100_and_the_log_says_so(tmp_path: Path, step: str) -> None:
    code, record, out, err = boot(tmp_path, broken=step)
    assert (code, record["bootstrap"]["id"], record["user"]) == (100, "internal", None)
    assert "ZeroDivisionError" in record["bootstrap"]["traceback"]
    assert "the bootstrap has a defect" in err and "Traceback" not in err
    assert "trained" not in out
    assert "ZeroDivisionError: of ours" in (tmp_path / "logs" / "job.log").read_text()


def test_a_defect_in_the_delivery_fails_a_success_and_leaves_a_failure_alone(tmp_path: Path) -> None:
    code, record, _, _ = boot(tmp_path, broken="deliver")
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (100, 0, "internal")
    code, record, _, _ = boot(tmp_path, "sh", "-c", "exit 7", broken="deliver")
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (7, 7, "internal")


def test_a_defect_in_the_delivery_of_a_job_that_was_stopped_is_told_as_one(tmp_path: Path) -> None:
    code, record, _, _ = boot(tmp_path, "sh", "-c", "kill -TERM $PPID; exec sleep 600", broken="deliver")
    assert (code, record["user"]["asked_by"], record["bootstrap"]["id"]) == (143, "platform", "internal")
    assert [step["result"] for step in record["steps"] if step["name"] == "deliver"] == ["failed"]


def test_a_request_that_was_there_first_leaves_a_record_and_no_command(tmp_path: Path) -> None:
    code, record, out, _ = boot(tmp_path, asked=True)
    assert (code, record["reason_id"], record["user"]) == (143, "stopped-early", None)
    assert record["steps"][0] | {"name": "identify", "result": "stopped"} == record["steps"][0]
    assert "trained" not in out and "stopped in step identify" in (tmp_path / "logs" / "job.log").read_text()


def test_a_defect_in_the_conclusion_keeps_the_commands_code(tmp_path: Path) -> None:
    code, _, _, err = boot(tmp_path, "sh", "-c", "exit 7", broken="conclude")
    assert code == 7
    assert "Traceback" not in err


def test_steps_are_recorded_in_their_order(tmp_path: Path) -> None:
    code, record, _, _ = boot(tmp_path)
    assert code == 0
    names = ["identify", "unlock", "connect", "fetch", "launch", "deliver", "conclude"]
    assert [(step["name"], step["result"]) for step in record["steps"]] == [(name, "ok") for name in names]


# --- a request to stop, and steps that hang --------------------------------------------------------------------------


class Stoppable(NamedTuple):
    run: Run
    said: io.StringIO

    def stop(self, by: AskedBy = AskedBy.PLATFORM) -> None:
        self.run.signals.request_stop(by, "somebody wanted it")

    def step(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run.record.text())["steps"][-1]
        return found


@pytest.fixture
def one() -> Stoppable:
    said = io.StringIO()
    return Stoppable(Run(Signals(), StopPlan(1.0), console=Console(said)), said)


def hang() -> None:
    threading.Event().wait(600)


def test_a_step_gives_what_its_work_gives_and_raises_what_it_raises(one: Stoppable) -> None:
    assert stoppable(one.run, lambda: 7) == 7
    with pytest.raises(StoreUnavailable):
        stoppable(one.run, broken)
    assert not one.run.left_behind


def broken() -> None:
    raise StoreUnavailable("away")


def test_no_step_begins_after_a_request_but_the_first_without_which_nothing_could_be_told(one: Stoppable) -> None:
    one.run.plan = StopPlan(30.0)
    one.stop()
    begun: list[str] = []
    with pytest.raises(StopAsked):
        stoppable(one.run, lambda: begun.append("second"))
    stoppable(one.run, lambda: begun.append("first"), first=True)
    assert begun == ["first"] and not one.run.left_behind


@pytest.mark.parametrize("by", [AskedBy.PLATFORM, AskedBy.PEER])
def test_a_step_that_hangs_is_left_soon_after_a_request_whoevers_it_is(by: AskedBy, one: Stoppable) -> None:
    threading.Timer(0.1, one.stop, [by]).start()
    began = time.monotonic()
    with pytest.raises(StopAsked):
        stoppable(one.run, hang)
    assert one.run.left_behind and time.monotonic() - began < 20


def test_deliveries_end_with_the_grace_and_not_before(one: Stoppable) -> None:
    one.run.plan = StopPlan(3.0)
    done: list[int] = []
    in_time(one.run, lambda: done.append(1))
    one.stop()
    in_time(one.run, lambda: done.append(2))
    assert (done, one.run.left_behind, one.said.getvalue()) == ([1, 2], False, "")
    in_time(one.run, hang)
    assert one.run.left_behind and "the grace period is over: what has not been delivered" in one.said.getvalue()


@pytest.mark.parametrize(
    ("step", "asked", "raises", "after", "result"),
    [
        ("fetch", False, False, False, "ok"),
        ("fetch", False, True, False, "failed"),
        ("fetch", True, False, False, "stopped"),  # whatever it has brought
        ("fetch", True, True, False, "stopped"),  # whatever it says of that
        ("launch", True, False, False, "ok"),  # it has passed the request on
        ("launch", True, True, False, "stopped"),
        ("deliver", True, False, True, "ok"),
        ("deliver", True, True, True, "failed"),
    ],
)
def test_how_a_step_ended(step: str, asked: bool, raises: bool, after: bool, result: str, one: Stoppable) -> None:
    if asked:
        one.stop()
    went_on = False
    with suppress(Exception):
        with boundary(one.run, step, after_command=after):
            if raises:
                broken()
        went_on = True
    assert went_on == (result == "ok")
    assert (one.step()["name"], one.step()["result"]) == (step, result)
    assert one.run.stopped_in == (step if result == "stopped" else "")
    assert (one.run.failure is not None) == (result == "failed")
    assert one.run.console.step == step
