"""Our own files where others have been before: nothing planted is followed, waited for, or taken for ours."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bootstrap.ground.safe_files import NotOurs, is_own, open_named, open_own, own_directory, read_own, replace_own
from bootstrap.process.output.logfile import LogFile, parts
from bootstrap.reporting.record import Record

STRANGER = 12_345
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


def theirs(path: Path) -> Path:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return path


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


# --- names that we derive ------------------------------------------------------------------------------------------


def test_a_derived_name_is_made_and_found_again(tmp_path: Path) -> None:
    for _ in range(2):
        os.close(open_own(tmp_path / "own", APPEND))
    assert is_own(tmp_path / "own")


@pytest.mark.parametrize("plant", ["link", "dangling link", "pipe", "directory", "second name"])
def test_a_derived_name_that_is_planted_is_refused_at_once(plant: str, victim: Path, tmp_path: Path) -> None:
    name = tmp_path / "own"
    match plant:
        case "link":
            link(name, victim)
        case "dangling link":
            link(name, tmp_path / "made-through-it")
        case "pipe":
            pipe(name)
        case "directory":
            name.mkdir()
        case "second name":
            os.link(victim, name)
    for flags in (APPEND, os.O_RDONLY):
        with pytest.raises(OSError, match=r"stands there|directory"):
            open_own(name, flags)
    assert not is_own(name)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "made-through-it").exists()


@needs_root
def test_another_users_file_is_not_ours(tmp_path: Path) -> None:
    name = tmp_path / "own"
    name.write_text("")
    theirs(name)
    with pytest.raises(NotOurs, match=f"a file of uid {STRANGER} stands there"):
        open_own(name, APPEND)


def test_a_file_is_replaced_whole_and_never_through_a_link(victim: Path, tmp_path: Path) -> None:
    name = link(tmp_path / "run.json", victim)
    link(tmp_path / f".run.json.{os.getpid()}.new", victim)
    replace_own(name, b"{}")
    assert (name.is_symlink(), name.read_text(), victim.read_text()) == (False, "{}", "precious")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "run.json"]


def test_a_directory_is_made_and_a_planted_one_refused(victim: Path, tmp_path: Path) -> None:
    os.close(own_directory(tmp_path / "a/b.run"))
    os.close(own_directory(tmp_path / "a/b.run"))
    (tmp_path / "elsewhere").mkdir()
    for planted in (link(tmp_path / "l.run", tmp_path / "elsewhere"), pipe(tmp_path / "p.run"), victim):
        with pytest.raises(NotOurs):
            own_directory(planted)
    os.close(own_directory(tmp_path / "l.run", named=True))


@needs_root
def test_another_users_directory_is_not_ours_unless_a_person_chose_it(tmp_path: Path) -> None:
    there = tmp_path / "x.run"
    there.mkdir()
    theirs(there)
    with pytest.raises(NotOurs, match="a directory of uid"):
        own_directory(there)
    os.close(own_directory(there, named=True))
    with pytest.raises(NotOurs, match="a symbolic link of uid"):
        own_directory(theirs(link(tmp_path / "l.run", there)), named=True)


# --- names that a person chose -------------------------------------------------------------------------------------


def test_a_person_may_point_at_a_link_a_device_and_a_pipe_that_is_read(tmp_path: Path) -> None:
    os.close(open_named("/dev/null", APPEND))
    os.close(open_named("/dev/stderr", APPEND))
    os.close(open_named(link(tmp_path / "log", tmp_path / "elsewhere"), APPEND))
    assert (tmp_path / "elsewhere").exists()
    reader = os.open(pipe(tmp_path / "pipe"), os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(tmp_path / "pipe"))
    log.write(b"heard")
    log.close()
    assert os.read(reader, 100) == b"heard"
    os.close(reader)


def test_a_pipe_that_nobody_reads_is_an_error_and_no_hang(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nobody reads from it"):
        open_named(pipe(tmp_path / "pipe"), APPEND)
    log = LogFile(str(tmp_path / "pipe"))
    log.write(b"lost")
    log.close()
    assert "4 bytes of output are missing" in log.notes()[0]


def test_a_slow_reader_of_a_pipe_gets_every_byte(tmp_path: Path) -> None:
    reader = os.open(pipe(tmp_path / "pipe"), os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    log, got = LogFile(str(tmp_path / "pipe")), bytearray()

    def read() -> None:
        while piece := os.read(reader, 50_000):
            got.extend(piece)

    slowly = threading.Timer(0.1, read)
    slowly.start()
    log.write(b"x" * 300_000)
    log.close()
    slowly.join()
    os.close(reader)
    assert (len(got), log.notes()) == (300_000, [])


@needs_root
def test_what_another_user_has_put_there_is_nobodys_choice(victim: Path, tmp_path: Path) -> None:
    planted = [theirs(link(tmp_path / "l", victim)), theirs(pipe(tmp_path / "p")), theirs(victim)]
    for path in planted:
        with pytest.raises(NotOurs, match=f"of uid {STRANGER} stands there"):
            open_named(path, os.O_RDONLY)


# --- who uses them -------------------------------------------------------------------------------------------------


def test_tails_that_are_not_ours_are_no_part_of_the_log(victim: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("head")
    link(tmp_path / "log.tail-000000000000004", victim)
    pipe(tmp_path / "log.tail-000000000000009")
    (tmp_path / "log.tail-000000000000007").write_text("tail")
    assert [start for start, _ in parts(str(log))] == [0, 7]
    LogFile(str(log)).close()
    assert "precious" not in log.read_text() and log.read_text().endswith("tail")


def test_a_record_is_not_read_through_a_link_or_from_a_pipe(victim: Path, tmp_path: Path) -> None:
    victim.write_text('{"attempt": 41, "platform": {"job_id": "j"}}')
    for plant in (lambda path: link(path, victim), pipe):
        path = tmp_path / f"{plant.__name__}/run.json"
        path.parent.mkdir()
        plant(path)
        record = Record()
        record.place(path, "j")
        assert record.attempt == 2  # something was there, and it is not believed
        assert b'"attempt": 2' in read_own(path, 1 << 20)
    assert "41" in victim.read_text()
