"""The end of a log as lines: the last life's, without what was overwritten, each with its rank, within bounds."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from bootstrap.diagnosis import Facts, Line, explain, lines_of, read_end
from bootstrap.diagnosis.text import READ, WINDOW
from bootstrap.job import Ending

RAISED = 'Traceback (most recent call last):\n  File "/job/train.py", line 9, in f\nValueError: no\n'


def texts(path: Path, start: int = 0) -> list[str]:
    return [line.text for line in read_end(str(path), start)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "job.log"


def test_only_what_comes_after_the_start_is_read(log: Path) -> None:
    log.write_bytes(b"OSError: [Errno 28] No space left on device\nepoch 1\n")
    assert texts(log, 44) == ["epoch 1", ""]


def test_what_a_carriage_return_has_overwritten_is_not_there(log: Path) -> None:
    log.write_bytes(b" 1%|#  |\r 2%|## |\r 3%|###|\ndos line\r\nlast")
    assert texts(log) == [" 3%|###|", "dos line", "last"]


def test_control_sequences_are_no_text(log: Path) -> None:
    log.write_bytes(b"\x1b[31mError:\x1b[0m \x1b]0;title\x07no\x00\x08\n")
    assert texts(log)[0] == "Error: no"


def test_the_carriage_return_of_a_dos_name_is_shown(log: Path) -> None:
    log.write_bytes(b"python: can't open file 'train.py\r': [Errno 2] No such file or directory\n")
    assert "train.py\\r'" in texts(log)[0]


def test_a_traceback_before_megabytes_of_progress_bars_is_found(log: Path) -> None:
    bar = b"".join(b"\r%6d/100000 [00:00<00:10, 3.3it/s]" % n for n in range(100000))
    log.write_bytes(RAISED.encode() + bar[: READ - 1000])
    assert "ValueError: no" in texts(log)


def test_the_window_is_counted_in_text_that_is_left(log: Path) -> None:
    log.write_bytes(b"first\n" + b"x" * 99 + b"\n" + b"".join(b"line %d\n" % n for n in range(WINDOW // 8)))
    assert sum(len(text) + 1 for text in texts(log)) <= WINDOW + 1
    assert texts(log)[0].startswith("line "), "a line that is cut is left out"


def test_a_log_of_a_gibibyte_is_read_within_bounds(log: Path) -> None:
    with log.open("wb") as file:
        file.truncate(1 << 30)  # zeros: nothing of them is text
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + RAISED.encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = explain(Facts(Ending(1), read_end(str(log))))
    assert (found.id, found.evidence[0].line) == ("python-exception", 9)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * READ / 1024


def test_a_log_that_is_not_there_has_no_lines(log: Path) -> None:
    assert read_end(str(log)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[rank2]: Traceback", Line("Traceback", 2)),
        (
            "[rank2]:[E1129 10:00:01.1 ProcessGroupNCCL.cpp:607] x",
            Line("[E1129 10:00:01.1 ProcessGroupNCCL.cpp:607] x", 2),
        ),
        ("[default2]:[rank10]: x", Line("x", 10)),
        ("[trainer3]:  File", Line("  File", 3)),
        ("[1,2]<stderr>:x", Line("x", 2)),
        ("[prterun-node-1@1,2]<stderr>: x", Line("x", 2)),
        ("/log/worker_2.log:13:ValueError: no", Line("ValueError: no", 2)),
        ("/log/worker_2.log-14-  File", Line("  File", 2)),
        ("[rank: 1] Seed set to 3", Line("Seed set to 3", 1)),
        ("[INFO] epoch 1", Line("[INFO] epoch 1")),
        ("[2026-11-29 10:00:01,123] [ERROR] x", Line("[2026-11-29 10:00:01,123] [ERROR] x")),
        (
            "2026-11-29T10:00:01.123456789Z Traceback (most recent call last):",
            Line("Traceback (most recent call last):"),
        ),
    ],
)
def test_the_mark_of_a_rank_is_taken_off(text: str, line: Line) -> None:
    assert lines_of(text) == [line]


def test_a_mark_that_nobody_knows_is_learnt_from_the_header_behind_it() -> None:
    text = "".join(f"node-7> {line}\n" for line in RAISED.splitlines())
    assert [line.text for line in lines_of(text)][:3] == RAISED.splitlines()


def test_a_bar_in_front_of_a_header_is_no_mark() -> None:
    assert lines_of(" 45%|####  | 45/100 [00:01<00:01, 33.2it/s]Traceback (most recent call last):")[0].rank is None


def test_a_line_of_a_megabyte_is_cut_with_a_mark() -> None:
    (line,) = lines_of("x" * (1 << 20))
    assert len(line.text) < 5000 and " [...] " in line.text
