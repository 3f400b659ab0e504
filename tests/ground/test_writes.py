"""All bytes reach the file, or an error says that they did not: a short write is never taken for a whole one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.ground.writes import write_all, write_all_at


def test_all_is_written_though_a_pipe_takes_little_at_a_time() -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen(["wc", "-c"], stdin=reader, stdout=subprocess.PIPE, text=True)
    os.close(reader)
    write_all(writer, bytes(1_000_000))
    os.close(writer)
    assert child.communicate(timeout=30)[0].strip() == "1000000"


def test_bytes_go_where_they_belong(tmp_path: Path) -> None:
    with open(tmp_path / "f", "w+b", buffering=0) as file:
        write_all_at(file.fileno(), memoryview(b"world"), 5)
        write_all_at(file.fileno(), b"hello", 0)
    assert (tmp_path / "f").read_bytes() == b"helloworld"


@pytest.mark.parametrize("call", ["write_all(file, data)", "write_all_at(file, data, 0)"])
def test_a_file_that_may_not_grow_so_long_is_an_error_and_no_shorter_file_in_silence(call: str, tmp_path: Path) -> None:
    code = f"""
import os, resource
from bootstrap.ground.writes import write_all, write_all_at
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = os.open({str(tmp_path / "f")!r}, os.O_WRONLY | os.O_CREAT)
data = bytes(2000)
print(os.pwrite(file, data, 0))
try:
    {call}
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["1000", "File too large"], done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000  # the limit was the child's
