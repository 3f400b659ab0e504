"""The stored log: bounded with head and tail, honest about its gaps, thinned of progress bars on request."""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.process.output import logfile
from bootstrap.process.output.logfile import Compacted, LogFile, end_of_tails, parts
from bootstrap.process.output.pump import PIPE_BYTES, READ_LARGE
from bootstrap.process.output.unwritten import KEPT, gap
from tests.lab.waiting import until
from tests.process.conftest import Start, children

GAP = b"\n[bootstrap] %d bytes are missing here: the size of the log is limited\n"


def written(path: Path, *chunks: bytes, limit: int | None = None) -> LogFile:
    log = LogFile(str(path), limit)
    for chunk in chunks:
        log.write(chunk)
    log.close()
    return log


def numbers(count: int) -> bytes:
    return b"".join(b"%09d\n" % n for n in range(count))


def test_a_log_below_its_limit_is_whole(tmp_path: Path) -> None:
    log = written(tmp_path / "log", numbers(100), limit=1000)
    assert (tmp_path / "log").read_bytes() == numbers(100)
    assert log.notes() == []


def test_head_and_tail_are_kept_and_the_gap_is_stated(tmp_path: Path) -> None:
    data = numbers(1000)
    log = written(tmp_path / "log", *(data[at : at + 70] for at in range(0, len(data), 70)), limit=1000)
    head, _, tail = (tmp_path / "log").read_bytes().partition(b"\n[bootstrap]")
    assert data.startswith(head)
    assert len(head) == 500
    tail = tail.partition(b"limited\n")[2]
    assert data.endswith(tail)
    assert 250 <= len(tail) <= 500
    gap = len(data) - len(head) - len(tail)
    assert (tmp_path / "log").read_bytes() == head + GAP % gap + tail
    assert f"{gap} bytes in the middle" in log.notes()[0]
    assert [file.name for file in tmp_path.iterdir()] == ["log"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(4, 1000))
def test_never_more_than_the_limit_and_one_line(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = LogFile(str(path), limit)
    for chunk in chunks:
        log.write(chunk)
        assert sum(os.path.getsize(file) for _, file in parts(str(path))) <= limit
    log.close()
    data = b"".join(chunks)
    text = path.read_bytes()
    if len(data) <= limit // 2:
        assert text == data
    assert text[: limit // 2] == data[: limit // 2]
    assert len(text) <= limit + len(GAP) + 20


def test_while_it_runs_a_reader_finds_every_part_by_its_offset(tmp_path: Path) -> None:
    data = numbers(200)
    log = LogFile(str(tmp_path / "log"), 1000)
    log.write(data)
    for offset, file in parts(str(tmp_path / "log")):
        part = Path(file).read_bytes()
        assert part == data[offset : offset + len(part)]
    assert len(parts(str(tmp_path / "log"))) == 3
    log.close()


def test_a_part_that_somebody_removes_is_a_gap_and_stops_nothing(tmp_path: Path) -> None:
    data = numbers(1000)
    log = LogFile(str(tmp_path / "log"), 1000)
    log.write(data[:900])
    for _, file in parts(str(tmp_path / "log"))[1:]:
        os.unlink(file)
    log.write(data[900:])
    log.close()
    text = (tmp_path / "log").read_bytes()
    assert text.startswith(data[:500] + b"\n[bootstrap]")
    assert text.endswith(data[-250:])


def test_what_is_no_file_has_no_limit_and_nothing_is_put_beside_it(tmp_path: Path) -> None:
    fifo = tmp_path / "log"  # stands for /dev/null too, beside which nobody should leave files
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(fifo), 1000)
    log.write(numbers(1000))
    assert os.read(reader, 1 << 16) == numbers(1000)
    log.close()
    os.close(reader)
    assert log.notes() == []
    assert [file.name for file in tmp_path.iterdir()] == ["log"]


def test_what_a_killed_run_left_is_joined_by_the_next(tmp_path: Path) -> None:
    data = numbers(200)
    first = LogFile(str(tmp_path / "log"), 1000)
    first.write(data)
    os.close(first._fd)  # killed: nothing is joined
    written(tmp_path / "log", b"again\n", limit=10_000)
    text = (tmp_path / "log").read_bytes()
    assert text.startswith(data[:500])
    assert text.endswith(data[-300:] + b"again\n")
    assert b"bytes are missing here" in text


@pytest.mark.parametrize("victim", ["supervisor", "command", "both"])
@pytest.mark.parametrize("seed", range(3))
def test_after_kill_9_at_any_moment_the_log_is_a_prefix_of_what_was_written(
    boot: Start, directory: Path, victim: str, seed: int
) -> None:
    """The command counts in a file of its own what it has written, so that it is known how much of it is missing."""
    chance = random.Random(seed)
    code = (
        "import mmap, os\n"
        "count = memoryview(mmap.mmap(os.open('count', os.O_RDWR), 8)).cast('q')\n"
        "n = 0\n"
        "while True:\n"
        "  os.write(1, b'%09d\\n' % n)\n"
        "  n += 1\n"
        "  count[0] = n"  # at once: struct.pack_into writes zeros first
    )
    (directory / "count").write_bytes(bytes(8))
    run = boot(sys.executable, "-c", code, stdout=os.open("/dev/null", os.O_WRONLY))
    enough = chance.randrange(1, 3_000_000)
    until(lambda: run.log.exists() and run.log.stat().st_size >= enough)
    time.sleep(chance.random() / 10)
    (command,) = children(run.pid)
    victims = {"supervisor": [run.pid], "command": [command], "both": [run.pid, command]}[victim]
    for pid in chance.sample(victims, len(victims)):
        os.kill(pid, signal.SIGKILL)
    assert run.process.wait(20) == (137 if victim == "command" else -9)
    until(lambda: not Path(f"/proc/{command}").exists())
    log = run.log.read_bytes()
    (told,) = struct.unpack("q", (directory / "count").read_bytes())
    assert numbers(told + 1).startswith(log), "a prefix, nothing else"
    if victim == "command":  # all of it
        assert len(log) // 10 - told in (0, 1), "killed between the write and the count, at most"
        assert len(log) % 10 == 0
        assert run.report()["asked_by"] == "unknown"
    else:
        assert told * 10 - len(log) <= PIPE_BYTES + READ_LARGE, "what was on its way is lost, and no more"


# --- progress bars ---------------------------------------------------------------------------------------------------


def compacted(path: Path, *chunks: bytes) -> bytes:
    log = Compacted(LogFile(str(path)))
    for chunk in chunks:
        log.write(chunk)
    log.close()
    return path.read_bytes()


def test_of_a_progress_bar_the_first_and_the_last_state_are_kept(tmp_path: Path) -> None:
    states = [b"\r%3d%%|" % n for n in range(101)]
    assert compacted(tmp_path / "log", b"epoch 1\n", *states, b"\nepoch 2\n") == b"epoch 1\n\r100%|\nepoch 2\n"


def test_a_state_is_kept_every_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "STATE_EVERY", 0.0)
    states = [b"%d%%\r" % n for n in range(3)]
    assert compacted(tmp_path / "log", *states, b"done\n") == b"0%\r1%\r2%\rdone\n"


def test_lines_that_end_as_on_windows_stay(tmp_path: Path) -> None:
    assert compacted(tmp_path / "log", b"one\r", b"\ntwo\r\n", b"three") == b"one\r\ntwo\r\nthree"


def test_the_state_at_the_end_is_written(tmp_path: Path) -> None:
    assert compacted(tmp_path / "log", b"10%\r", b"20%\r", b"30%").endswith(b"30%")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab\n", max_size=6).map(str.encode), max_size=8))
def test_without_carriage_returns_nothing_changes(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    assert compacted(tmp_path_factory.mktemp("log") / "log", *chunks) == b"".join(chunks)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("ab\r\n", max_size=6).map(str.encode), max_size=8))
def test_on_a_terminal_the_compacted_log_looks_as_the_whole_one(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    """Each state here is as long as any before it, as those of progress bars are."""
    kept = compacted(tmp_path_factory.mktemp("log") / "log", *chunks)
    whole = b"".join(chunks)
    assert [line.rpartition(b"\r")[2] for line in lines(kept)] == [line.rpartition(b"\r")[2] for line in lines(whole)]


def lines(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").split(b"\n")


def test_lines_are_in_the_log_at_once(tmp_path: Path) -> None:
    log = Compacted(LogFile(str(tmp_path / "log")))
    log.write(b"10%\r20%\r30%\nloss 0.1\nnext")
    assert (tmp_path / "log").read_bytes().endswith(b"30%\nloss 0.1\nnext")
    log.close()


def test_both_are_chosen_at_the_start(boot: Start) -> None:
    code = "for n in range(300): print(n, end='\\r')\nprint('done')\nfor n in range(1000): print('%09d' % n)"
    run = boot(sys.executable, "-c", code, compact=True, log_limit=2000)
    assert run.wait() == 0
    log = run.log.read_bytes()
    assert b"done\n" in log
    assert b"299" not in log
    assert log.endswith(b"%09d\n" % 999)
    assert len(log) < 2100
    assert run.output.count(b"\r") == 300


# --- what happens to the file ----------------------------------------------------------------------------------------


def test_a_file_that_somebody_removes_is_made_again_of_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "log"
    path.parent.mkdir()
    log = LogFile(str(path))
    log.write(b"before\n")
    path.unlink()
    path.parent.rmdir()
    log._looked = 0.0
    log.write(b"behind\n")
    assert path.read_bytes() == b"before\nbehind\n", "while it runs"
    path.unlink()
    log.write(b"end\n")
    log.close()
    assert path.read_bytes() == b"before\nbehind\nend\n", "and at the end"


def test_a_file_that_somebody_puts_in_its_place_is_set_aside(tmp_path: Path) -> None:
    """As `sed -i job.log` does, or a rotation that moves the log and makes an empty one."""
    path = tmp_path / "log"
    log = LogFile(str(path))
    log.write(b"ours\n")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"theirs\n")
    log._looked = 0.0
    log.write(b"more of ours\n")
    log.close()
    assert path.read_bytes() == b"ours\nmore of ours\n"
    (aside,) = tmp_path.glob("log.replaced-*")
    assert aside.read_bytes() == b"theirs\n" and parts(str(path)) == [(0, str(path))]


def test_a_file_that_somebody_moves_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(str(path))
    log.write(b"before\n")
    path.rename(tmp_path / "kept")
    log.write(b"behind\n")
    log.close()
    assert path.read_bytes() == b"before\nbehind\n"


def test_a_link_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("a")
    log = LogFile(str(tmp_path / "log"))
    log.write(b"ours\n")
    (tmp_path / "log").unlink()
    (tmp_path / "log").symlink_to("b")
    log.close()
    assert (tmp_path / "a").read_bytes() == b"ours\n" and not (tmp_path / "b").exists()


@pytest.mark.parametrize("before", [b"1\n", numbers(100)])
def test_what_somebody_takes_out_of_it_is_stated_and_moves_no_offset(tmp_path: Path, before: bytes) -> None:
    """Whoever ships the log reads it by offsets: without the words, as many bytes of what follows would be missing."""
    path = tmp_path / "log"
    log = LogFile(str(path))
    log.write(before)
    os.truncate(path, 0)
    log.write(b"behind\n")
    log.close()
    data = path.read_bytes()
    assert len(data) == len(before) + len(b"behind\n") and data.endswith(b"\nbehind\n")
    assert len(before) < 100 or b"bytes are missing here: somebody has emptied the file" in data
    assert log.notes() == [f"{len(before)} bytes of {path} are gone: somebody has emptied the file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_on_a_disk_that_is_full_to_the_end_the_log_says_so_itself(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        said: list[str] = []
        log = LogFile(str(tmp_path / "log"), say=said.append)
        lines = b"".join(b"line %05d\n" % number for number in range(20_000))
        log.write(lines)
        assert len(said) == 1 and "No space left" in said[0], "at the first refusal"
        log.close()
        kept, _, notice = (tmp_path / "log").read_bytes().rpartition(b"\n[bootstrap] ")
        assert lines.startswith(kept)
        assert notice == b"%d bytes are missing here: No space left on device\n" % (len(lines) - len(kept))
        assert log.notes()[0].startswith(f"{len(lines) - len(kept)} bytes")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@contextmanager
def refused_beyond(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes: what a full disk does, without root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_disk_that_has_room_again_the_newest_follows_behind_words_of_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "RETRY", 0.0)
    log, lines = LogFile(str(tmp_path / "log")), numbers(20_000)
    with refused_beyond(1000):
        log.write(lines)
    log.write(b"behind\n")
    missing = len(lines) - 1000 - KEPT
    whole = lines[:1000] + gap(missing, "File too large") + lines[-KEPT:] + b"behind\n"
    assert (tmp_path / "log").read_bytes() == whole, "while it runs"
    log.write(b"more\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == whole + b"more\n"
    assert log.notes() == [f"{missing} bytes of output are missing in {tmp_path}/log (File too large)"]


def test_a_disk_that_refuses_is_not_asked_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "RETRY", 600.0)
    log = LogFile(str(tmp_path / "log"))
    with refused_beyond(5):
        log.write(b"first line\n")
    log.write(b"second\n")
    assert (tmp_path / "log").read_bytes() == b"first"
    log.close()
    assert (tmp_path / "log").read_bytes() == b"first line\nsecond\n", "nothing is missing: there was room for it"
    assert log.notes() == []


def test_the_end_of_what_lies_beside_a_log_is_read_over_several_files(tmp_path: Path) -> None:
    data = numbers(200)
    log = LogFile(str(tmp_path / "log"), 1000)
    log.write(data)
    tails = b"".join(Path(file).read_bytes() for _, file in parts(str(tmp_path / "log"))[1:])
    assert len(parts(str(tmp_path / "log"))) == 3 and data.endswith(tails)
    for size in (1, 10, 249, 250, 251, 499, len(tails), len(tails) + 1, 10_000):
        assert end_of_tails(str(tmp_path / "log"), size) == tails[-size:]
    log.close()
