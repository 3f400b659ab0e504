"""What tells more of an end than the log does: read for the verdict, and delivered beside the log, masked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrap.shipping.evidence import LARGEST
from tests.e2e.conftest import Remote
from tests.e2e.job import Container, Result
from tests.lab.engines import python_with

RAISES = """
import os, sys, time
rank = int(os.environ.get("RANK") or os.environ.get("PADDLE_TRAINER_ID") or os.environ.get("RANK_ID") or 0)
print("step 1 of rank", rank, flush=True)
if rank == 1:
    {}["labels"]
time.sleep(60)
"""
TOKEN = "hf_Qm7rTzKp2WxVbNcLs"


@pytest.fixture
def container(container: Container) -> Container:
    """Without the bundle, which has all of this once more: tests/bundle."""
    container.environ["BOOTSTRAP_BUNDLE"] = "off"
    return container


def engine(container: Container, module: str) -> dict[str, str]:
    """The environment in which ``python`` has an engine."""
    python = python_with(module)
    return {"PATH": f"{os.path.dirname(python)}:{container.environ['PATH']}", "BOOTSTRAP_LOG": str(logs(container))}


def logs(container: Container) -> Path:
    directory = container.tmp / "delivered"
    directory.mkdir(exist_ok=True)
    return directory


def delivered(container: Container) -> dict[str, str]:
    return {path.name: path.read_text(errors="replace") for path in (logs(container) / "job.evidence").iterdir()}


def assert_named(result: Result, container: Container, file: str) -> None:
    """The exception of rank 1 and its line are named, though the log has neither; its file is beside the log."""
    found = result.record["diagnosis"]
    assert found["id"] == "python-exception", result.stderr
    (evidence,) = found["evidence"]
    assert (evidence["text"], evidence["rank"], evidence["line"]) == ("KeyError: 'labels'", 1, 6)
    assert evidence["file"].endswith("train.py")
    assert "KeyError: 'labels'" in delivered(container)[file], result.stderr
    assert file in [os.path.basename(one["to"]) for one in result.record["evidence"]]


@pytest.mark.parametrize("how", ["ours", "their own"])
def test_what_torchrun_redirects_is_read_and_delivered(how: str, container: Container) -> None:
    environ = engine(container, "torch")
    (container.work / "train.py").write_text(RAISES)
    flags = ["--redirects", "3", "--nproc-per-node", "2"]
    if how == "their own":
        flags += ["--log-dir", str(container.work / "mine")]
    result = container.run("--", "torchrun", *flags, "train.py", environ=environ)
    assert "labels" not in result.stdout.decode()
    assert_named(result, container, "rank-1.stderr.log")


def test_the_files_of_paddles_processes_are_read_and_delivered(container: Container) -> None:
    environ = engine(container, "paddle")
    (container.work / "train.py").write_text(RAISES)
    words = ["--", "python", "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "train.py"]
    assert_named(container.run(*words, environ=environ), container, "rank-1.workerlog.1")


def test_the_files_of_msruns_processes_are_read_and_delivered(container: Container) -> None:
    environ = engine(container, "mindspore")
    (container.work / "train.py").write_text(RAISES)
    words = ["--launcher", "msrun", "--", "python", "train.py"]
    result = container.run(*words, environ={**environ, "NPROC_PER_NODE": "2"})
    assert_named(result, container, "rank-1.worker_1.log")


def test_a_file_outside_the_jobs_directories_is_not_read_whatever_the_output_names(container: Container) -> None:
    outside = container.home / "workerlog.1"
    outside.write_text("KeyError: 'of somebody else'\n")
    (container.work / "log").mkdir()
    (container.work / "log" / "workerlog.2").symlink_to(outside)
    command = f"echo 'Container rank 1 status failed cmd code 1 log {outside}'; touch {outside}; exit 3"
    result = container.run("--log", str(logs(container)), "--", "sh", "-c", command)
    assert "somebody else" not in str(result.record["diagnosis"])
    assert not (logs(container) / "job.evidence").exists()


def test_an_earlier_jobs_files_are_not_read(container: Container) -> None:
    (container.work / "log").mkdir()
    old = container.work / "log" / "workerlog.0"
    old.write_text("Traceback (most recent call last):\n  File 'train.py', line 1\nKeyError: 'old'\n")
    os.utime(old, (1_000_000, 1_000_000))
    result = container.run("--log", str(logs(container)), "--", "sh", "-c", "echo no luck; exit 3")
    assert "old" not in str(result.record["diagnosis"])


def test_stacks_are_delivered_masked_and_the_record_points_there(container: Container, plain_remote: Remote) -> None:
    script = f"echo working; sleep 600; : {TOKEN}"
    words = ["--log", plain_remote.bucket.url("logs/"), "--stall-timeout", "1", "--", "sh", "-c", script]
    result = container.run(*words, environ={**plain_remote.env, "HF_TOKEN": TOKEN})
    url = plain_remote.bucket.url("logs/job.evidence/stall.txt")
    assert url in result.record["diagnosis"]["remedy"], result.stderr
    assert [one["to"] for one in result.record["evidence"]] == [url]
    text = plain_remote.bucket.get("logs/job.evidence/stall.txt").decode()
    assert "sleep 600" in text and "***" in text and TOKEN not in text


def test_of_a_long_file_its_end_is_delivered_and_a_secret_at_the_cut_is_masked(container: Container) -> None:
    (container.work / "log").mkdir()
    write = (
        "import sys\nline = 'x' * 99 + '\\n'\n"
        f"text = line * 200_000 + 'KeyError: the end\\n'\ncut = len(text) - {LARGEST}\n"
        f"text = text[:cut - 8] + {TOKEN!r} + text[cut - 8 + {len(TOKEN)}:]\n"
        "open('log/workerlog.0', 'w').write(text)\nsys.exit(3)\n"
    )
    (container.work / "write.py").write_text(write)
    result = container.run("--log", str(logs(container)), "--", "python3", "write.py", environ={"HF_TOKEN": TOKEN})
    text = delivered(container)["rank-0.workerlog.0"]
    assert len(text) <= LARGEST and text.startswith("[bootstrap] the end of 20000018 bytes\n"), result.stderr
    assert text.endswith("KeyError: the end\n") and TOKEN[8:] not in text


def test_what_cannot_be_delivered_fails_nothing(container: Container) -> None:
    (logs(container) / "job.evidence").write_text("in the way")
    result = container.run("--log", str(logs(container)), "--stall-timeout", "1", "--", "sleep", "600")
    assert result.code == 143
    (told,) = result.record["evidence"]
    assert told["why"] and "not delivered beside the log, still on disk" in result.stderr
    assert (logs(container) / "job.log").exists()


def test_an_earlier_attempts_evidence_is_set_aside(container: Container) -> None:
    for _ in range(2):
        container.run("--log", str(logs(container)), "--stall-timeout", "1", "--", "sleep", "600")
    assert sorted(delivered(container)) == ["stall.attempt-1.txt", "stall.txt"]


def test_collectives_are_recorded_where_there_are_several_ranks_and_their_files_come_along(
    container: Container,
) -> None:
    script = (
        'echo "$TORCH_FR_BUFFER_SIZE $TORCH_NCCL_DUMP_ON_TIMEOUT"; echo pickled > "$TORCH_FR_DUMP_TEMP_FILE"3; exit 1'
    )
    environ = {"BOOTSTRAP_LOG": str(logs(container))}
    result = container.run("--", "sh", "-c", script, environ={**environ, "NPROC_PER_NODE": "2"})
    assert result.stdout == b"2000 1\n" and delivered(container)["nccl_trace_rank_3.pickle"] == "pickled\n", (
        result.stderr
    )
    alone = container.run("--", "sh", "-c", "echo $TORCH_FR_BUFFER_SIZE", environ={**environ, "NPROC_PER_NODE": "1"})
    assert alone.stdout == b"\n"


def test_who_has_switched_the_recorder_is_left_alone(container: Container) -> None:
    script = "echo $TORCH_FR_BUFFER_SIZE $TORCH_NCCL_TRACE_BUFFER_SIZE"
    result = container.run(
        "--", "sh", "-c", script, environ={"NPROC_PER_NODE": "2", "TORCH_NCCL_TRACE_BUFFER_SIZE": "0"}
    )
    assert result.stdout == b"0\n"
