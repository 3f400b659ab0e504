"""A stop reaches who listens and nobody else: real programs, started in the ways people start them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.waiting import until
from tests.process.conftest import Boot, Start, _starter, children, state
from tests.process.stop import programs

PY = sys.executable
SAVED, ASKED = 0, 143


@pytest.fixture(params=["plain", "pid1"])
def start(directory: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """As PID 1 and not."""
    yield from _starter(directory, request.param)


WAYS = {
    "by itself": ("", [PY, "train.py"], SAVED),
    "sigwait": ("", [PY, "waits.py"], SAVED),
    "signalfd": ("", [PY, "signalfd.py"], SAVED),
    "a script": ("PYTHON train.py\ntouch next\n", ["bash", "run.sh"], ASKED),
    "a script that execs": ("exec PYTHON train.py\n", ["bash", "run.sh"], SAVED),
    "a trap that forwards": (
        "trap 'kill -TERM $pid' TERM\nPYTHON train.py & pid=$!\nwait $pid\nwait $pid\n", ["bash", "run.sh"], SAVED,
    ),
    "a trap that forwards and a script that does not wait for it": (
        "trap 'kill -TERM $pid' TERM\nPYTHON train.py & pid=$!\nwait $pid\n", ["sh", "run.sh"], ASKED,
    ),
    "a trap behind what runs": ("trap 'exit 9' TERM\nPYTHON train.py\ntouch next\n", ["bash", "run.sh"], 9),
    "a pipeline": ("PYTHON train.py | tee all.txt\ntouch next\n", ["sh", "run.sh"], ASKED),
    "a pipeline in a word": ("", ["sh", "-c", f"{PY} train.py | tee all.txt"], ASKED),
    "conda run": ("PYTHON train.py\ntouch next\n", [PY, "conda.py"], ASKED),
    "tini": ("", [PY, "init.py", PY, "train.py"], SAVED),
    "a session of its own": ("setsid -w PYTHON train.py\ntouch next\n", ["bash", "run.sh"], ASKED),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_checkpoint_is_written_and_the_program_asked_once(start: Start, directory: Path, way: str) -> None:
    script, argv, code = WAYS[way]
    programs.write(directory, run=script)
    run = start(*argv, grace=60)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == code
    assert (directory / "saved").read_text() == "1", run.output
    assert not (directory / "next").exists(), "no next line of the script runs"
    if "tee" in " ".join([script, *argv]):
        assert (directory / "all.txt").read_text().endswith("saved\n"), "tee is there for the last words"
    got = [(name, why) for name, _, why, _ in run.report()["signalled"] if name == "sleep"]
    assert not [why for _, why in got if why != "whoever listened has ended, or their time is over"]


@pytest.mark.parametrize("way", ["a trap behind what runs", "a trap that forwards"])
def test_a_bootstrap_that_a_shell_started_behind_it_tells_the_two_kinds_of_children_apart(
    directory: Path, way: str
) -> None:
    script, argv, code = WAYS[way]
    programs.write(directory, run=script)
    behind = ["sh", "-c", '"$@" & echo pid=$!; wait $!', "sh"]
    run = Boot(directory, "plain", argv, wrap=behind, grace=60)
    number = int(run.expect(b"ready").split(b"pid=")[1].split()[0])
    os.kill(number, signal.SIGTERM)
    assert run.wait() == code
    assert (directory / "saved").read_text() == "1", run.output


def test_what_a_script_behind_a_script_waits_for_is_asked_when_half_of_the_time_is_over(
    start: Start, directory: Path
) -> None:
    programs.write(
        directory,
        run="bash inner.sh & wait; wait\n",
        inner="trap 'sleep 0.2 && touch trapped; exit 9' TERM\nPYTHON train.py\n",
    )
    run = start("bash", "run.sh", grace=10)  # the trap has to end before the last call
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    run.wait()
    assert (directory / "saved").read_text() == "1", run.output
    assert (directory / "trapped").exists()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT])
def test_any_stop_signal_finds_who_listens_for_it(start: Start, directory: Path, number: int) -> None:
    programs.write(directory)
    train = directory / "train.py"
    train.write_text(train.read_text().replace("SIGTERM", signal.Signals(number).name))
    run = start(PY, "train.py", grace=60, stop_signal=int(number))
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert (directory / "saved").read_text() == "1"


@pytest.mark.parametrize("behind", ["", "bash run.sh"])
def test_ranks_are_asked_themselves_and_their_launcher_ends_well(start: Start, directory: Path, behind: str) -> None:
    programs.write(directory, run="PYTHON launcher.py PYTHON train.py\ntouch next\n")
    run = start(*(behind.split() or [PY, "launcher.py", PY, "train.py"]), grace=60)
    run.expect(b"up")
    until(lambda: len(_running(run.pid, "sleep")) == 4)
    run.signal(signal.SIGTERM)
    assert run.wait() == (ASKED if behind else SAVED)
    assert [(directory / f"saved{rank}").read_text() for rank in (0, 1)] == ["1", "1"], run.output
    assert not (directory / "next").exists()


def test_ranks_that_do_not_listen_leave_it_to_their_launcher(start: Start, directory: Path) -> None:
    programs.write(directory)
    run = start(PY, "launcher.py", "sh", "-c", "echo ready; exec sleep 600", grace=60)
    run.expect(b"up")
    until(lambda: len(_running(run.pid, "sleep")) == 2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 1  # what this launcher makes of it
    assert [why for _, _, why, _ in run.report()["signalled"]] == ["it listens"]


@pytest.mark.parametrize(("to", "lost"), [("auto", False), ("command", False), ("ranks", False), ("group", True)])
def test_who_gets_it_is_a_choice(start: Start, directory: Path, to: str, lost: bool) -> None:
    programs.write(directory)
    run = start(PY, "train.py", grace=60, stop_to=to)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert (run.wait() != 0) == lost
    assert (directory / "saved").exists() != lost


def _running(pid: int, name: str) -> list[int]:
    """All below ``pid`` that run the program ``name`` by now."""
    found, todo = [], [pid]
    while todo:
        try:
            below = children(todo.pop())
            found += [one for one in below if Path(f"/proc/{one}/comm").read_text().strip() == name]
            todo += below
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_where_nobody_listens_the_whole_group_ends_at_once(start: Start, directory: Path) -> None:
    run = start("bash", "-c", "sleep 600 | sleep 601 & echo ready; wait", grace=600)
    run.expect(b"ready")
    until(lambda: len(_running(run.pid, "sleep")) == 2)
    run.signal(signal.SIGTERM)
    assert run.wait() == ASKED
    assert {why for _, _, why, _ in run.report()["signalled"]} == {"nobody listens"}


def test_one_that_listens_a_moment_later_is_asked_then(start: Start, directory: Path) -> None:
    programs.write(directory, run="PYTHON slow.py & PYTHON late.py & wait\n")
    late = "import time; print('up', flush=True); time.sleep(0.6)\n" + (directory / "train.py").read_text()
    (directory / "late.py").write_text(late.replace('"saved"', '"late"'))
    run = start("bash", "run.sh", grace=60)
    run.expect(b"ready")
    run.expect(b"up")
    run.signal(signal.SIGTERM)
    run.wait()
    assert ((directory / "saved").read_text(), (directory / "late").read_text()) == ("1", "1")


def test_a_launcher_that_begins_anew_is_stopped_at_once(start: Start, directory: Path) -> None:
    """Ranks that end with 143 have failed, for a launcher with restarts left."""
    anew = "while :; do LOCAL_RANK=0 bash rank.sh; done"
    (directory / "rank.sh").write_text("trap 'exit 143' TERM; echo rank $$; while :; do sleep 0.02; done")
    (directory / "launcher.py").write_text(
        "import os, subprocess, time\n"
        f"while True: subprocess.call(['bash', 'rank.sh'], env={{**os.environ, 'LOCAL_RANK': '0'}})  # {anew}\n"
    )
    run = start(PY, "launcher.py", grace=600)
    run.expect(b"rank")
    begin = time.monotonic()
    run.signal(signal.SIGTERM)
    assert run.wait() == ASKED
    assert time.monotonic() - begin < 60


def test_a_stopped_command_goes_on_to_be_asked(start: Start, directory: Path) -> None:
    programs.write(directory)
    run = start(PY, "train.py", grace=60)
    run.expect(b"ready")
    (command,) = children(run.pid)
    os.kill(command, signal.SIGSTOP)
    until(lambda: state(command) == "T")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert (directory / "saved").read_text() == "1"


def test_one_that_blocks_the_signal_and_never_takes_it_holds_up_nobody_for_ever(start: Start, directory: Path) -> None:
    """A mask is inherited: whoever was started by a thread that blocks signals need not know of it."""
    programs.write(directory)
    code = (
        "import signal, subprocess; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); subprocess.call(['bash', 'run.sh'])"
    )
    (directory / "run.sh").write_text(
        f"{PY} -c 'import signal; signal.pthread_sigmask(signal.SIG_UNBLOCK, [15]); exec(open(\"train.py\").read())'\n"
    )
    run = start(PY, "-c", code, grace=60)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    run.wait(60)
    assert (directory / "saved").read_text() == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_without_proc_the_command_alone_is_asked_first(directory: Path) -> None:
    programs.write(directory)
    for start in _starter(directory, "plain"):
        hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "hide"]
        run = start(PY, "train.py", grace=60, wrap=hide)
        run.expect(b"ready")
        run.signal(signal.SIGTERM)
        assert run.wait() == 0, run.output
        assert (directory / "saved").read_text() == "1"


@pytest.mark.parametrize("init", ["tini", "dumb-init"])
def test_an_init_as_the_command_passes_it_on(start: Start, directory: Path, init: str) -> None:
    if shutil.which(init) is None:
        pytest.skip(f"lab: no {init}: install the Debian package")
    programs.write(directory)
    words = {"tini": ["tini", "-s", "--"], "dumb-init": ["dumb-init", "--single-child"]}[init]
    run = start(*words, PY, "train.py", grace=60)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert (directory / "saved").read_text() == "1"
