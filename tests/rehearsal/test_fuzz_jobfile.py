"""Job files of any text: read, or refused in words, and never a defect."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import JobFileInvalid
from bootstrap.rehearsal.jobfile import read
from tests.lab.fuzzing import fuzz

GOOD = """jobname: mnist-1
tasks:
  - amount: 2
    name: task-0
    workingDir: /nfs/code
    command: ["python", "train.py"]
    args: ["--epochs", "10"]
    image: registry.example/dev:1.0
    resources: {cpu: "500m", memory: "1024Mi", gpu: "1"}
    ports: {number: 6666, name: master}
"""
words = st.sampled_from(
    ["", "\t", "：", "- ", "[", "{", "&a ", "*a", "!!python/object ", "!!binary ", "<<: ", "~", "1e999", "0x",
     "2026-02-30", "'", '"', "|", ">", "\0", "\ud800", "9" * 5000, "? ", "---\n", "%YAML 9.9\n", ".nan", "true", "\x85"]
)  # fmt: skip


def read_or_told(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as work:
        path = Path(work, "job.yaml")
        path.write_bytes(data)
        try:
            read(path)
        except JobFileInvalid:
            pass


@fuzz(150)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), words), min_size=1, max_size=4))
def test_a_job_file_with_changed_text_is_read_or_refused(changes: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, gone, new in changes:
        text = text[:at] + new + text[at + gone :]
    read_or_told(text.encode("utf-8", "surrogatepass"))


@fuzz(100)
@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    read_or_told(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"{a: " * 20_000, b"- " * 50_000], ids=["brackets", "braces", "lists"]
)
def test_a_job_file_nested_without_end_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(data)
    with pytest.raises(JobFileInvalid):
        read(path)
