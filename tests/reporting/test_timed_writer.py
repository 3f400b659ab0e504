"""Our own lines for a reader who does not read: a real pipe, full to the brim."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bootstrap.reporting.timed_writer import TimedWriter
from tests.lab.waiting import until


class Pipe(NamedTuple):
    reader: int
    writer: int
    held: int  # bytes that fill it


@pytest.fixture
def full() -> Iterator[Pipe]:
    """A pipe that takes no byte more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    held = 0
    try:
        while True:
            held += os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield Pipe(reader, writer, held)
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:  # the test has closed it
            pass


def boot(where: Path, stderr: int, *command: str) -> tuple[int, dict[str, object], bytes]:
    places = ["--log-file", str(where / "job.log"), "--run-dir", str(where / "run"), "--job-dir", str(where / "job")]
    done = subprocess.run(
        [sys.executable, "-m", "bootstrap", "run", *places, "--", *command],
        stderr=stderr,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    return done.returncode, json.loads((where / "run/run.json").read_text()), done.stdout


def test_a_job_ends_with_its_code_although_nobody_reads_what_we_say(tmp_path: Path, full: Pipe) -> None:
    code, record, out = boot(tmp_path, full.writer, "sh", "-c", "echo trained; exit 7")
    assert (code, record["exit_code"], record["phase"]) == (7, 7, "ended")
    assert out == b"trained\n"
    events = [json.loads(line)["event"] for line in (tmp_path / "job.jsonl").read_text().splitlines()]
    assert any("exit 7" in event for event in events), events  # what nobody read is kept as lines all the same


def test_a_terminal_that_does_not_block_loses_nothing(tmp_path: Path) -> None:
    """Somebody who shares the pipe has made it so that a full one is an error instead of a wait."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    said: list[bytes] = []
    reading = threading.Thread(target=lambda: said.extend(iter(lambda: os.read(reader, 100), b"")))
    ours = TimedWriter(writer)
    texts = [b"%d " % number * 300 + b"\n" for number in range(50)]
    reading.start()
    for text in texts:
        ours.write(text)
    until(lambda: sum(map(len, said)) >= sum(map(len, texts)), "all is read")
    os.close(writer)
    reading.join(60)
    os.close(reader)
    assert b"".join(said) == b"".join(texts)


def test_what_was_not_taken_comes_when_somebody_reads_again(full: Pipe) -> None:
    ours = TimedWriter(full.writer)
    for text in (b"first\n", b"second\n", b"third\n"):  # none of them hangs
        ours.write(text)
    found = b""
    while len(found) < full.held + len(b"first\nsecond\nthird\n"):
        found += os.read(full.reader, 1 << 16)
    assert found[full.held :] == b"first\nsecond\nthird\n"
    ours.write(b"fourth\n")
    assert os.read(full.reader, 100) == b"fourth\n"


def test_only_the_first_text_is_waited_for_and_only_so_many_are_kept(full: Pipe) -> None:
    ours = TimedWriter(full.writer)
    for number in range(5000):
        ours.write(b"%d\n" % number)
    os.set_blocking(full.reader, False)
    found = bytearray()

    def drained() -> bool:
        try:
            found.extend(os.read(full.reader, 1 << 16))
        except BlockingIOError:
            pass
        return found.endswith(b"999\n")

    until(drained, "what was kept is written")
    assert bytes(found[full.held :]) == b"".join(b"%d\n" % number for number in range(1000))


def test_a_reader_who_has_left_costs_nothing(full: Pipe) -> None:
    os.close(full.reader)
    ours = TimedWriter(full.writer)
    ours.write(b"said to nobody\n")
    ours.write(b"and once more\n")
