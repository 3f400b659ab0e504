"""The pump: every byte, whatever it is, to the console and to the log, and neither stops the other."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.masking.stream import Redactor
from bootstrap.process.output.logfile import LogFile
from bootstrap.process.output.pump import ConsoleWriter, Pump, pipe
from tests.lab.waiting import until
from tests.process.conftest import Start
from tests.process.driver import Secrets


class Collect:
    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    def notes(self) -> list[str]:
        return []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_what_goes_in_comes_out(chunks: list[bytes]) -> None:
    read, write = pipe()
    sink = Collect()
    pump = Pump([(read, [sink])])
    pump.start()
    for chunk in chunks:
        os.write(write, chunk)
    os.close(write)
    pump.join(20)
    assert sink.data == b"".join(chunks)
    assert sink.closed
    assert pump.bytes == len(sink.data)


@pytest.mark.parametrize(
    "script",
    [
        "import os; os.write(1, bytes(range(256)) * 1000)",
        "import os; os.write(2, '中文'.encode()[:-1]); os.write(1, b'\\xff\\x00')",
        "import os\nfor _ in range(64): os.write(1, b'x' * (1 << 20))",
        "for n in range(200000): print(n)",
        "import os\nfor n in range(100): os.write(1 + n % 2, b'%d ' % n)",
        "print('10%', end='\\r'); print('100%')",
    ],
    ids=[
        "every byte",
        "half a character",
        "64 MiB without a newline",
        "many lines",
        "both outputs",
        "carriage returns",
    ],
)
def test_console_and_log_get_the_same_bytes(boot: Start, script: str) -> None:
    bare = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    run = boot(sys.executable, "-c", script)
    assert run.wait() == 0
    assert hashlib.sha256(run.output).digest() == hashlib.sha256(bare.stdout).digest()
    assert run.log.read_bytes() == run.output


def test_bytes_are_delivered_as_they_come_not_as_lines(boot: Start) -> None:
    run = boot("sh", "-c", "printf 'Password: '; read x; echo got $x", stdin=subprocess.PIPE)
    run.expect(b"Password: ")
    assert run.log.read_bytes() == b"Password: "
    assert run.process.stdin is not None
    run.process.stdin.write(b"it\n")
    run.process.stdin.close()
    run.process.stdin = None
    run.wait()
    assert run.output == b"Password: got it\n"


def test_stderr_is_kept_apart_as_well(boot: Start, directory: Path) -> None:
    errors = directory / "stderr.log"
    run = boot("sh", "-c", "echo out; echo err >&2", stderr_path=str(errors))
    assert run.wait() == 0
    assert errors.read_bytes() == b"err\n"
    assert sorted(run.output.splitlines()) == [b"err", b"out"]
    assert run.log.read_bytes() == run.output


def test_with_stderr_apart_the_order_of_writes_that_wait_for_each_other_stays(boot: Start, directory: Path) -> None:
    code = (
        "import os, time\n"
        "for n in range(40):\n"
        "  os.write(1 + n % 2, b'%d\\n' % n)\n"
        "  while b'%d\\n' % n not in open('task.log', 'rb').read(): time.sleep(0.001)\n"
    )
    run = boot(sys.executable, "-c", code, stderr_path=str(directory / "stderr.log"))
    assert run.wait() == 0
    assert run.output == run.log.read_bytes() == b"".join(b"%d\n" % n for n in range(40))


@pytest.mark.parametrize("pty", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("last", [b"hi", b"hi\r", b"hi\n"])
def test_a_command_that_closes_its_output_and_goes_on_is_waited_for(boot: Start, last: bytes, pty: bool) -> None:
    """Its last bytes are delivered by then, whatever they end with."""
    code = f"import os; os.write(1, {last!r}); os.close(1); os.close(2); open('closed', 'w'); input(); os._exit(8)"
    run = boot(sys.executable, "-c", code, stdin=subprocess.PIPE, pty=pty)
    run.expect(last)
    until(lambda: run.log.read_bytes() == last)
    until(run.log.with_name("closed").exists)
    assert run.process.poll() is None
    assert run.process.stdin is not None
    run.process.stdin.write(b"on\n")
    run.process.stdin.close()
    run.process.stdin = None
    assert run.wait() == 8
    assert run.output == run.log.read_bytes() == last
    assert run.report()["notes"] == []


@pytest.mark.parametrize("last", [b"hi", b"hi\r", b"hi\n"])
def test_the_last_bytes_of_a_command_that_is_killed_are_delivered(boot: Start, last: bytes) -> None:
    run = boot(sys.executable, "-c", f"import os; os.write(1, {last!r}); os.kill(os.getpid(), 9)", compact=True)
    assert run.wait() == 137
    assert run.output == run.log.read_bytes() == last


def test_a_console_that_nobody_reads_stops_neither_the_job_nor_the_log(boot: Start) -> None:
    size = 32 << 20
    code = f"import os\nfor _ in range({size >> 16}): os.write(1, b'x' * 65536)\nopen('finished', 'w')"
    run = boot(sys.executable, "-c", code)
    assert run.process.wait(60) == 0  # its stdout is a pipe that is not read
    assert run.log.stat().st_size == size
    assert any("could not be shown" in note for note in run.report()["notes"])


def test_a_console_that_moves_again_is_told_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.process.output.pump.STUCK_AFTER", 0.2)
    read, write = os.pipe()
    console = ConsoleWriter(write, limit=1000)
    capacity = 65536 + 100_000  # more than the pipe and the queue hold
    for _ in range(capacity // 500):
        console.write(b"." * 500)
    got = b""
    os.set_blocking(read, False)

    def drained() -> bool:
        nonlocal got
        try:
            got += os.read(read, 65536)
        except BlockingIOError:
            return not console._queue
        return False

    until(drained)
    os.set_blocking(read, True)
    console.write(b"and on\n")
    console.close()
    os.close(write)
    while data := os.read(read, 65536):
        got += data
    os.close(read)
    missed = capacity // 500 * 500 - got.count(b".")
    assert missed > 0
    assert got.endswith(
        b"\n[bootstrap] %d bytes are missing here: the console did not accept them; the log file has them\nand on\n"
        % missed
    )
    assert console.notes()[0].startswith(f"{missed} bytes")


def test_a_slow_console_loses_nothing() -> None:
    read, write = os.pipe()
    console = ConsoleWriter(write, limit=10_000)
    data = bytes(range(256)) * 2000
    got = b""

    def slowly() -> None:
        nonlocal got
        while chunk := os.read(read, 8192):
            got += chunk
            time.sleep(0.001)

    reader = threading.Thread(target=slowly)
    reader.start()
    for at in range(0, len(data), 1000):
        console.write(data[at : at + 1000])
    console.close()
    os.close(write)
    reader.join(30)
    os.close(read)
    assert got == data
    assert console.notes() == []


def test_a_slow_console_is_not_a_stuck_one_however_much_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.process.output.pump.STUCK_AFTER", 1.0)
    read, write = os.pipe()
    console = ConsoleWriter(write, limit=10_000)
    got = 0

    def slowly() -> None:
        nonlocal got
        while chunk := os.read(read, 8192):
            got += len(chunk)
            time.sleep(0.02)  # 2.5 s for all

    reader = threading.Thread(target=slowly)
    reader.start()
    console.write(bytes(1 << 20))
    console.write(b"the end")
    console.close()
    os.close(write)
    reader.join(30)
    os.close(read)
    assert got == (1 << 20) + len(b"the end")
    assert console.notes() == []


def test_at_the_end_nothing_waits_for_a_slow_console_but_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.process.output.pump.STUCK_AFTER", 600)  # slow, not stuck
    read, write = pipe()
    screen, shown = os.pipe()
    console, log = ConsoleWriter(shown, limit=1000), Collect()
    pump = Pump([(read, [log, console])])
    data = bytes(range(256)) * 2000
    os.write(write, data)
    pump.start()
    console.hurry()
    pump.finish()
    until(lambda: console.is_last)
    assert log.data == data
    assert log.closed

    def missing() -> str:
        on_the_screen = int.from_bytes(fcntl.ioctl(screen, termios.FIONREAD, bytes(4)), sys.byteorder)
        return f"{len(data) - on_the_screen} bytes of output could not be shown on the console (it is too slow)"

    until(lambda: console.notes() == [missing() + "; the log file has them"])
    got = 0
    while got < len(data):
        got += len(os.read(screen, 65536))
    pump.join(20)
    assert pump.done
    assert console.notes() == []
    for fd in (write, screen, shown):
        os.close(fd)


def test_a_console_that_is_slower_than_the_end_loses_nothing_either(boot: Start) -> None:
    """More is under way when the command ends than the console takes in the second that its end may be delayed."""
    size = 8 << 20
    run = boot("head", "-c", str(size), "/dev/zero")
    assert run.process.stdout is not None
    got = 0
    while data := os.read(run.process.stdout.fileno(), 65536):
        got += len(data)
        time.sleep(0.02)
    assert run.process.wait(30) == 0
    assert run.log.stat().st_size == size
    assert got == size


def test_a_console_whose_reader_has_gone_stops_nothing(boot: Start) -> None:
    run = boot(sys.executable, "-c", "input(); print('x' * 1000000); print('end')", stdin=subprocess.PIPE)
    assert run.process.stdout is not None
    assert run.process.stdin is not None
    run.process.stdout.close()
    run.process.stdin.write(b"\n")
    run.process.stdin.close()
    assert run.process.wait(30) == 0
    assert run.log.read_bytes().endswith(b"end\n")
    assert any("Broken pipe" in note for note in run.report()["notes"])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_log_disk_stops_neither_the_job_nor_the_console(boot: Start, directory: Path) -> None:
    small = directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        run = boot(sys.executable, "-c", "print('x' * 3000000); print('end')", log_path=str(small / "log"))
        assert run.wait() == 0
        assert run.output.endswith(b"end\n")
        assert len(run.output) == 3000005
        kept, _, _ = (small / "log").read_bytes().rpartition(b"\n[bootstrap] ")
        lost = 3000005 - len(kept)
        assert f"{lost} bytes of output are missing" in run.report()["notes"][0]
        assert "No space left" in run.report()["notes"][0]
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_log_disk_that_has_room_again_is_told_what_is_missing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bootstrap.process.output import logfile

    monkeypatch.setattr(logfile, "RETRY", 0.0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
    try:
        (directory / "other").write_bytes(bytes(200_000))
        log = LogFile(str(directory / "log"))
        log.write(b"a" * 200_000)
        written = (directory / "log").stat().st_size
        (directory / "other").unlink()
        log.write(b"b\n")
        log.close()
        kept = 64 << 10
        lost = 200_000 - written - kept
        gap = b"\n[bootstrap] %d bytes are missing here: No space left on device\n" % lost
        assert (directory / "log").read_bytes() == b"a" * written + gap + b"a" * kept + b"b\n"
        assert f"{lost} bytes" in log.notes()[0]
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_log_disk_that_was_full_for_a_few_lines_costs_none_of_them(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bootstrap.process.output import logfile

    monkeypatch.setattr(logfile, "RETRY", 0.0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
    try:
        (directory / "other").write_bytes(bytes(250_000))
        log = LogFile(str(directory / "log"))
        lines = b"".join(b"%09d\n" % number for number in range(5_000))
        for start in range(0, len(lines), 1000):
            log.write(lines[start : start + 1000])
        assert (directory / "log").stat().st_size < len(lines)
        (directory / "other").unlink()
        log.close()
        assert (directory / "log").read_bytes() == lines
        assert log.notes() == []
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_disk_without_room_to_put_the_log_together_leaves_it_in_parts_and_the_next_run_joins_them(
    directory: Path,
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", directory], check=True)
    try:
        data = b"".join(b"%09d\n" % n for n in range(20_000))
        log = LogFile(str(directory / "log"), 64 << 10)
        log.write(data)
        room = os.statvfs(directory).f_bfree * os.statvfs(directory).f_bsize
        (directory / "other").write_bytes(bytes(room - (8 << 10)))
        log.close()
        names = sorted(path.name for path in directory.glob("log.*"))
        assert len(names) == 2, "nothing is half here and half there"
        assert (directory / "log").read_bytes() == data[: 32 << 10]
        assert f"the end of the log is in {directory}/{names[0]}" in log.notes()[-1]
        assert "No space left" in log.notes()[-1]
        (directory / "other").unlink()
        LogFile(str(directory / "log"), 64 << 10).close()
        text = (directory / "log").read_bytes()
        assert text.count(b"[bootstrap]") == 1
        assert data.endswith(text.partition(b"limited\n")[2])
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_log_that_cannot_be_opened_is_a_note(boot: Start) -> None:
    run = boot("echo", "still here", log_path="/proc/none/task.log")
    assert run.wait() == 0
    assert run.output == b"still here\n"
    assert "No such file" in run.report()["notes"][0]


def test_a_terminal_on_request_makes_programs_write_line_by_line_and_changes_no_byte(boot: Start) -> None:
    code = "import sys; sys.stdout.write(f'{sys.stdout.isatty()}\\n'); sys.stdout.write('one\\ntwo\\r\\n\\t\\x00')"
    run = boot(sys.executable, "-c", code, pty=True)
    assert run.wait() == 0
    assert run.output == b"True\none\ntwo\r\n\t\x00"
    assert run.report()["notes"] == []


def test_a_secret_is_masked_on_console_and_in_the_log_across_chunks(boot: Start) -> None:
    code = (
        "import os, time\nfor part in (b'key=AKIAIOS', b'FODNN7', b'EXAMPLE;\\n'): os.write(1, part); time.sleep(0.15)"
    )
    run = boot(sys.executable, "-c", code, secrets=["AKIAIOSFODNN7EXAMPLE"])
    assert run.wait() == 0
    assert run.output == b"key=***;\n"
    assert run.log.read_bytes() == b"key=***;\n"


def test_a_prompt_is_not_held_back_for_ever(boot: Start) -> None:
    run = boot("sh", "-c", "printf 'go on? [y'; read x", stdin=subprocess.PIPE, secrets=["you-never-know"])
    run.expect(b"go on? [y")


def test_held_bytes_are_delivered_at_the_end() -> None:
    read, write = pipe()
    sink = Collect()
    pump = Pump([(read, [sink])], redactor=lambda: Redactor(Secrets("AKIAIOSFODNN7EXAMPLE")))
    pump.start()
    os.write(write, b"the end: AKIAIOSFODNN7EXAM")
    os.close(write)
    pump.join(20)
    assert sink.data == b"the end: AKIAIOSFODNN7EXAM"


def test_an_endless_writer_that_is_not_ours_cannot_delay_the_end() -> None:
    read, write = pipe()
    sink = Collect()
    pump = Pump([(read, [sink])])
    with subprocess.Popen(["sh", "-c", "while :; do echo y; done"], stdout=write, stderr=subprocess.DEVNULL) as yes:
        os.close(write)
        pump.start()
        until(lambda: sink.data)
        pump.finish()
        pump.join(20)
        assert pump.done
        yes.kill()


def test_a_pump_that_has_ended_can_be_hurried_without_harm() -> None:
    read, write = pipe()
    pump = Pump([(read, [Collect()])])
    pump.start()
    os.close(write)
    pump.join(20)
    again = os.open("/dev/null", os.O_RDONLY)  # takes the first number that is free
    pump.finish()
    os.close(again)
    assert pump.done
