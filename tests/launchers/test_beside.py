"""An engine's own process beside the command: ready before it, ended behind it with all of its own, come what may."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.errors import CannotStart, CommandNotFound, PeersMissing
from bootstrap.launchers import around
from bootstrap.launchers.around import Beside
from bootstrap.launchers.plan import Plan, free_port
from tests.lab.waiting import until
from tests.process.conftest import alive
from tests.storage.conftest import MemoryLog

OPENS = "import socket, sys, time\nwith socket.create_server(('127.0.0.1', int(sys.argv[1]))): time.sleep(600)"


@contextmanager
def beside(
    *argv: str,
    needs: int = 0,
    opens: int = 0,
    deadline: float = 30.0,
    stop: threading.Event | None = None,
    over: threading.Event | None = None,
) -> Iterator[Beside | None]:
    made = Plan(
        ("true",),
        beside=argv,
        beside_needs=("127.0.0.1", needs) if needs else None,
        beside_opens=("127.0.0.1", opens) if opens else None,
    )
    stop, over, log = stop or threading.Event(), over or threading.Event(), MemoryLog()
    with around.beside(made, os.environ, "/", deadline_s=deadline, stop=stop, over=over, log=log) as process:
        yield process


def shell(script: str) -> Sequence[str]:
    return ("sh", "-c", script)


def test_it_lives_as_long_as_the_block_and_ends_with_all_of_its_own(tmp_path: Path) -> None:
    child = tmp_path / "child"
    with beside(*shell(f"sleep 600 & echo $! > {child}.part; mv {child}.part {child}; wait")) as process:
        assert process is not None
        until(child.exists)
        assert not process.is_set() and not process.wait(0.1)
        process.check()
    until(lambda: not alive(int(child.read_text())))


def test_it_is_asked_to_end_and_may_tidy_up(tmp_path: Path) -> None:
    script = (
        f"trap 'sleep 0.3; touch {tmp_path}/tidied; exit' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    )
    with beside(*shell(script)):
        until((tmp_path / "ready").exists)
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize(("tidy", "hurry"), [(0.3, False), (600.0, True)], ids=["for some seconds", "until it is over"])
def test_one_that_does_not_end_is_waited_for(
    tidy: float, hurry: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around, "_TIDY", tidy)
    over = threading.Event()
    with beside(*shell(f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"), over=over) as process:
        assert process is not None
        until((tmp_path / "ready").exists)
        if hurry:
            over.set()
        began = time.monotonic()
    assert process.is_set()
    assert (0 if hurry else tidy) <= time.monotonic() - began < 30


def test_it_is_ready_when_its_port_answers() -> None:
    port = free_port()
    with beside("python3", "-c", OPENS, str(port), opens=port):
        socket.create_connection(("127.0.0.1", port)).close()


def test_it_starts_when_the_port_that_it_needs_answers(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(PeersMissing), beside("touch", str(begun), needs=free_port(), deadline=0.3):
        pass
    assert not begun.exists()
    with socket.create_server(("127.0.0.1", 0)) as server, beside("touch", str(begun), needs=server.getsockname()[1]):
        until(begun.exists)


def test_one_that_ends_before_it_is_ready_is_told_with_its_last_words() -> None:
    script = "for word in one two three four; do echo $word; done; exit 3"
    with pytest.raises(CannotStart) as caught, beside(*shell(script), opens=free_port()):
        pass
    assert caught.value.why == "exit code 3: two | three | four"


def test_one_that_ends_later_is_noticed() -> None:
    with beside(*shell("sleep 0.2; exit 4")) as process:
        assert process is not None
        assert process.wait(30) and process.is_set()
        with pytest.raises(CannotStart, match="exit code 4"):
            process.check()


def test_a_request_to_stop_ends_the_wait_and_blames_nobody() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(PeersMissing), beside("sleep", "600", opens=free_port(), stop=stop):
        pass
    with beside("sh", "-c", "exit 1", stop=stop) as process:
        assert process is not None and process.wait()
        process.check()


def test_one_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandNotFound, match="no-such-engine"), beside("no-such-engine"):
        pass
    (tmp_path / "engine").touch(mode=0o644)
    with pytest.raises(CannotStart, match="Permission denied"), beside(str(tmp_path / "engine")):
        pass


def test_a_plan_without_one_has_none() -> None:
    with beside() as process:
        assert process is None
