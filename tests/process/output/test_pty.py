"""With a terminal of our own the command has one, too, as its controlling terminal: `docker run -it IMAGE bash`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.process.output.pty import Relay, Screen
from tests.lab.typist import Typist
from tests.lab.waiting import until
from tests.process.conftest import children, state

BASH = ["bash", "--norc", "--noprofile", "-i"]
SHELL = {"PS1": "inner$ "}


@pytest.fixture
def typist(tmp_path: Path) -> Iterator[Typist]:
    made = Typist(tmp_path)
    made.resize(24, 80)
    yield made
    made.close()


def run(typist: Typist, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    bootstrap = str(Path(sys.executable).with_name("bootstrap"))
    places = ["--job-dir", str(typist.directory / "job"), "--log-file", str(typist.directory / "log")]
    return [bootstrap, "run", "--platform", "local", *places, *options, "--", *command]


def log(typist: Typist) -> bytes:
    return (typist.directory / "log").read_bytes()


def test_a_shell_has_a_prompt_and_job_control(typist: Typist, inside: list[str]) -> None:
    typist.start([*inside, *run(typist, *BASH)], SHELL)
    typist.expect(b"inner$ ")
    typist.type(b"sleep 60\n")
    typist.expect(b"sleep 60\r\n")
    time.sleep(0.2)
    typist.type(b"\x1a")
    typist.expect(b"Stopped")
    typist.expect(b"inner$ ")
    typist.type(b"jobs; fg\n")
    typist.expect(b"Stopped")
    typist.expect(b"sleep 60\r\n")
    time.sleep(0.2)
    typist.type(b"\x03")
    typist.expect(b"inner$ ")
    typist.type(b"echo status $?; tty; exit 7\n")
    typist.expect(b"status 130\r\n/dev/pts/")
    assert typist.process.wait(20) == 7
    assert b"no job control" not in log(typist)


def test_the_terminal_is_as_it_was_afterwards(typist: Typist) -> None:
    before = typist.attributes()
    typist.start(run(typist, "sh", "-c", "stty raw -echo; echo done; exit 3"))
    typist.expect(b"done")
    assert typist.process.wait(20) == 3
    assert typist.attributes() == before


def test_python_has_its_prompt_and_ctrl_c_does_not_end_it(typist: Typist, inside: list[str]) -> None:
    typist.start([*inside, *run(typist, sys.executable, "-q")], {"PYTHON_BASIC_REPL": "1"})
    typist.expect(b">>> ")
    typist.type(b"\x03")
    typist.expect(b"KeyboardInterrupt")
    typist.expect(b">>> ")
    typist.type(b"6 * 7\n")
    typist.expect(b"42")
    typist.expect(b">>> ")
    typist.type(b"\x04")
    assert typist.process.wait(20) == 0
    assert b"6 * 7\n42\n" in log(typist), "line ends are not those of a terminal"


def test_a_password_is_asked_for_and_not_shown(typist: Typist) -> None:
    script = "import getpass; print('got', getpass.getpass() == 'open sesame')"
    typist.start(run(typist, sys.executable, "-c", script))
    typist.expect(b"Password: ")
    typist.type(b"open sesame\n")
    typist.expect(b"got True")
    assert typist.process.wait(20) == 0
    assert b"sesame" not in log(typist)


@pytest.mark.parametrize(("key", "code"), [(b"\x03", 130), (b"\x1c", 131)], ids=["Ctrl-C", "Ctrl-\\"])
def test_keys_that_interrupt_end_the_command_as_without_us(typist: Typist, key: bytes, code: int) -> None:
    typist.start(run(typist, "sh", "-c", "echo ready; exec sleep 60"))
    typist.expect(b"\nready")
    typist.type(key)
    assert typist.process.wait(20) == code


def test_a_program_that_listens_to_ctrl_c_goes_on(typist: Typist) -> None:
    typist.start(run(typist, "bash", "-c", "trap 'echo saved; exit 9' INT; echo ready; while :; do sleep 0.02; done"))
    typist.expect(b"\nready")
    typist.type(b"\x03")
    typist.expect(b"saved")
    assert typist.process.wait(20) == 9


def test_the_window_has_its_size_and_its_changes(typist: Typist) -> None:
    script = "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.02; done"
    typist.resize(30, 100)
    typist.start(run(typist, "bash", "-c", script))
    typist.expect(b"30 100")
    typist.resize(50, 132)
    typist.expect(b"50 132")
    assert typist.process.wait(20) == 0


def test_below_a_shell_ctrl_z_suspends_us_and_fg_resumes(typist: Typist) -> None:
    words = " ".join("'" + word + "'" for word in run(typist, "sh", "-c", "echo ready; read x; echo got $x; exit 5"))
    typist.start(BASH, {"PS1": "outer> "})
    typist.expect(b"outer> ")
    typist.type(words.encode() + b"\n")
    typist.expect(b"\nready")
    ours = until(lambda: children(typist.process.pid))[0]
    typist.type(b"\x1a")
    typist.expect(b"Stopped")
    typist.expect(b"outer> ")
    assert state(ours) == "T"
    until(lambda: [state(pid) for pid in children(ours)] == ["T"])
    typist.type(b"fg\n")
    until(lambda: state(ours) == "S")
    typist.type(b"on\n")
    typist.expect(b"got on")
    typist.expect(b"outer> ")
    typist.type(b"echo status $?; exit\n")
    typist.expect(b"status 5")
    typist.process.wait(20)


def test_below_a_shell_bg_leaves_the_keys_to_the_shell(typist: Typist) -> None:
    script = "echo ready; while [ ! -e go ]; do sleep 0.02; done; echo gone"
    words = " ".join("'" + word + "'" for word in run(typist, "sh", "-c", f"cd {typist.directory}; {script}"))
    typist.start(BASH, {"PS1": "outer> "})
    typist.expect(b"outer> ")
    typist.type(words.encode() + b"\n")
    typist.expect(b"\nready")
    typist.type(b"\x1a")
    typist.expect(b"outer> ")
    typist.type(b"bg; echo typed\n")
    typist.expect(b"\ntyped")
    (typist.directory / "go").touch()
    typist.expect(b"gone")
    typist.type(b"wait; exit\n")
    typist.process.wait(20)


def test_a_terminal_that_hangs_up_tells_the_command_and_the_log_is_whole(typist: Typist) -> None:
    script = "trap 'echo saved; exit 9' HUP; echo ready; while :; do sleep 0.02; done"
    typist.start(run(typist, "bash", "-c", script))
    typist.expect(b"\nready")
    typist.hang_up()
    assert typist.process.wait(20) == 9
    assert b"saved\nbootstrap: " in log(typist)


def test_a_stop_request_from_outside_works(typist: Typist) -> None:
    typist.start(run(typist, "sh", "-c", "echo ready; exec sleep 60"))
    typist.expect(b"\nready")
    os.kill(typist.process.pid, signal.SIGTERM)
    assert typist.process.wait(20) == 143


def test_a_large_output_arrives_whole(typist: Typist) -> None:
    typist.start(run(typist, "sh", "-c", "seq 30000; echo the end"))
    typist.expect(b"\r\n30000\r\nthe end")
    assert typist.process.wait(20) == 0
    assert log(typist) == b"".join(b"%d\n" % number for number in range(1, 30001)) + b"the end\n"


@pytest.mark.parametrize("program", ["less", "vim", "htop"])
def test_full_screen_programs_have_the_screen_to_themselves(typist: Typist, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"lab: {program} is missing: apt-get install {program}")
    file = typist.directory / "words"
    file.write_text("".join(f"line {number}\n" for number in range(200)))
    words, seen, keys = {
        "less": ([program, file.name], b"line 22", b"q"),
        "vim": ([program, "-u", "NONE", file.name], b"line 22", b":q!\n"),
        "htop": ([program], b"Load average", b"q"),
    }[program]
    typist.start(run(typist, *words, options=("--work-dir", str(typist.directory))), {"TERM": "xterm"})
    typist.expect(seen)
    typist.type(keys)
    typist.expect(b"[?1049l")
    assert typist.process.wait(20) == 0


def test_our_own_lines_wait_until_a_full_screen_program_has_left(typist: Typist) -> None:
    program = "trap 'printf \"\\033[?1049lleft\"; exit 4' TERM; printf '\\033[?1049h\\nready'; sleep 5 & wait"
    typist.start(run(typist, "bash", "-c", program))
    typist.expect(b"\nready")
    os.kill(typist.process.pid, signal.SIGTERM)
    typist.expect(b"left")
    typist.expect(b"stopping the command")
    assert typist.process.wait(20) == 4


@pytest.mark.parametrize("options", [("--no-pty",), ("--pty", "no"), ("--pty=no",)], ids=" ".join)
def test_no_terminal_is_given_where_none_is_wanted(typist: Typist, options: tuple[str, ...]) -> None:
    typist.start(run(typist, "sh", "-c", "test -t 1 || echo a pipe", options=options))
    typist.expect(b"a pipe")
    assert typist.process.wait(20) == 0


def test_a_progress_bar_redraws_its_line_and_the_log_has_all_of_it(typist: Typist) -> None:
    script = "import sys\nfor n in range(3): print(f'\\r{n + 1}/3', end='', flush=True)\nprint()"
    typist.start(run(typist, sys.executable, "-c", script))
    typist.expect(b"\r1/3\r2/3\r3/3\r\n")
    assert typist.process.wait(20) == 0
    assert re.fullmatch(rb"\r1/3\r2/3\r3/3\n", log(typist))


class Slow:
    """A console that has taken a program's bytes and still shows them while it is closed."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.shown = b""
        self._meanwhile = meanwhile

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        self._meanwhile()
        self.shown += b"the program's last bytes, "

    def notes(self) -> list[str]:
        return []


def test_our_own_lines_do_not_overtake_a_programs_last_bytes() -> None:
    relay = Relay()

    def show(text: str) -> None:
        console.shown += text.encode()

    console = Slow(lambda: relay.say("ours", show))
    Screen(console, relay).close()
    relay.show(show)
    assert console.shown == b"the program's last bytes, ours"
