"""What we say: readable on stderr, JSON lines in a file, secrets in neither."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from bootstrap.reporting.console import Console


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_message_is_a_line_for_people_and_a_line_of_json(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.step = "fetch"
    console.open_lines(tmp_path / "x.jsonl")
    console.info("12 files", seconds=0.5)
    assert stream.getvalue().rstrip().endswith("bootstrap fetch      12 files: in 0.5 s")
    (line,) = lines(tmp_path / "x.jsonl")
    assert (line["event"], line["step"], line["seconds"], line["level"]) == ("12 files", "fetch", 0.5, "info")
    assert "timestamp" in line


def test_what_was_said_before_there_was_a_file_is_in_it_too(tmp_path: Path) -> None:
    console = Console(io.StringIO())
    console.warning("early")
    console.open_lines(tmp_path / "x.jsonl")
    console.info("late")
    assert [line["event"] for line in lines(tmp_path / "x.jsonl")] == ["early", "late"]


def test_quiet_keeps_warnings_and_the_file_keeps_everything(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(stream, quiet=True)
    console.open_lines(tmp_path / "x.jsonl")
    console.info("chatter")
    console.warning("careful")
    console.error("broken")
    assert "chatter" not in stream.getvalue()
    assert "warning: careful" in stream.getvalue() and "error: broken" in stream.getvalue()
    assert len(lines(tmp_path / "x.jsonl")) == 3


def test_secrets_are_masked_in_words_and_facts_of_any_type(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.mask = lambda text: text.replace("hunter22", "***")
    console.open_lines(tmp_path / "x.jsonl")
    console.info("the key hunter22", url="s3://hunter22@b", path=Path("/hunter22"), many=("hunter22",))
    assert "hunter22" not in stream.getvalue()
    assert "hunter22" not in (tmp_path / "x.jsonl").read_text()


def test_a_reader_who_left_stops_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    stream.close()

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(Closed())
    console.open_lines(tmp_path / "x.jsonl")
    console.error("said to nobody")
    assert lines(tmp_path / "x.jsonl")[0]["event"] == "said to nobody"


def test_colours_only_on_a_terminal() -> None:
    stream = io.StringIO()
    Console(stream).warning("plain")
    assert "\x1b" not in stream.getvalue()


COMES_LATE = """
import io, sys
from bootstrap.reporting.console import Console
Console(io.StringIO()).info("the first message")
loaded = {"asyncio", "rich", "ssl", "logging", "structlog.dev", "structlog"} & set(sys.modules)
if sys.version_info >= (3, 11):  # before, structlog brings typing_extensions, and that inspect
    loaded |= {"inspect"} & set(sys.modules)
assert not loaded, loaded

import asyncio, structlog

async def speaks():
    bound = structlog.make_filtering_bound_logger(0)
    words = [lambda _logger, _method, event: event["event"]]
    await structlog.wrap_logger(structlog.PrintLogger(), processors=words, wrapper_class=bound).ainfo("later")

asyncio.run(speaks())
"""


ANOTHER_STRUCTLOG = """
from .exceptions import DropEvent

def make_filtering_bound_logger(level):
    return Logger

class Logger:
    def __init__(self, logger, processors, context):
        self.processors = processors

    def info(self, event, **facts):
        facts["event"] = event
        try:
            for processor in self.processors:
                facts = processor(None, "info", facts)
        except DropEvent:
            pass
"""
SPEAKS = """
from bootstrap.reporting.console import Console
stream = io.StringIO()
Console(stream).info("the first message")
print(stream.getvalue(), end="")
"""


def test_what_structlog_imports_for_others_is_imported_for_them_alone() -> None:
    done = subprocess.run([sys.executable, "-c", COMES_LATE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "later\n"), done.stderr


def test_a_structlog_that_keeps_its_logger_elsewhere_is_imported_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "structlog").mkdir()
    (tmp_path / "structlog/__init__.py").write_text(ANOTHER_STRUCTLOG)
    (tmp_path / "structlog/exceptions.py").write_text("class DropEvent(BaseException): ...")
    script = f"import io, sys; sys.path.insert(0, {str(tmp_path)!r})\n{SPEAKS}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the first message\n")


def test_control_characters_of_names_never_reach_the_console_raw() -> None:
    stream = io.StringIO()
    Console(stream).info("fetched \x1b]0;title\x07 \x9b31m \x7f", key="a\x1b[2Jb")
    said = stream.getvalue()
    assert not [letter for letter in said if letter != "\n" and (ord(letter) < 32 or 127 <= ord(letter) < 160)]
    assert "\\x1b]0;title\\x07" in said and "a\\x1b[2Jb" in said
