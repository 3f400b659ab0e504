"""The failure bundle of real runs, and what the archive does with much, with secrets and with what is not there."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from bootstrap.bundle.pack import MOST, FileEnd, GivenText, pack
from bootstrap.bundle.state import state
from bootstrap.job import StopRequest
from bootstrap.reporting.language import Words
from tests.e2e.job import Container, Result, send

ABOUT = Words("something", "某物")
SECRET = "lab-Secret-0123456789abcdef"


class Never:
    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float | None = None) -> bool:
        return False


NEVER: StopRequest = Never()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name.removeprefix("bundle/"): archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


def delivered(container: Container) -> dict[str, bytes] | None:
    found = list((container.tmp / "logs").glob("*.evidence/bundle.tgz"))
    return members(found[0].read_bytes()) if found else None


def run(container: Container, command: str, *options: str) -> Result:
    logs = str(container.tmp / "logs")
    environ = {**container.environ, "S3_ACCESS_KEY_ID": "LABACCESSKEY", "S3_SECRET_ACCESS_KEY": SECRET}
    return container.run("--log", logs, *options, "--", "sh", "-c", command, environ=environ)


def test_a_failure_leaves_one_with_all_that_explains_it(container: Container) -> None:
    errors = str(container.tmp / "errors.txt")
    command = f"echo to stdout {SECRET}; echo to stderr >&2; sleep 2; exit 3"
    done = run(container, command, "--stderr-file", errors, "--sample-interval", "0.3")
    assert done.code == 3, done.stderr
    found = delivered(container)
    assert found is not None
    assert b"to stdout ***" in found["log.txt"]
    assert b"to stderr" in found["stderr.txt"]
    assert b"to stdout" not in found["stderr.txt"]
    assert b'"diagnosis"' in found["run.json"]
    assert b"identify" in found["messages.jsonl"]
    assert b'"cpu_s"' in found["samples.jsonl"]
    assert b"MemTotal" in found["state/memory.txt"]
    assert b"Max open files" in found["state/machine.txt"]
    assert b"/proc/net/dev" in found["state/network.txt"]
    assert found["state/disks.txt"].count(b"\n") > 1
    assert SECRET.encode() not in b"".join(found.values())
    for name in found:
        assert name == "README.txt" or f"{name}: ".encode() in found["README.txt"]


def test_stacks_of_a_stall_are_in_it(container: Container) -> None:
    done = run(container, "echo begun; sleep 300", "--stall-timeout", "2")
    assert done.code != 0
    found = delivered(container)
    assert found is not None
    assert b"sleep" in found["stall.txt"]


@pytest.mark.parametrize(
    ("when", "command", "there"),
    [
        ("on-failure", "exit 0", False),
        ("on-failure", "exit 3", True),
        ("always", "exit 0", True),
        ("off", "exit 3", False),
    ],
)
def test_when_one_is_made(container: Container, when: str, command: str, there: bool) -> None:
    run(container, command, "--bundle", when)
    assert (delivered(container) is not None) is there


def test_a_failure_of_ours_has_one_too(container: Container) -> None:
    done = run(container, "true", "--code", str(container.tmp / "no-such-code/"))
    assert done.code >= 100
    found = delivered(container)
    assert found is not None
    assert b'"bootstrap"' in found["run.json"]


def test_who_stops_a_job_needs_no_explanation(container: Container) -> None:
    begun = container.work / "begun"
    with container.running("--log", str(container.tmp / "logs"), "--", "sh", "-c", f"touch {begun}; sleep 300") as job:
        container.wait_for(begun)
        send(job)
        assert container.finish(job).code == 143
    assert delivered(container) is None


def test_in_chinese(container: Container) -> None:
    run(container, "exit 3", "--lang", "zh")
    found = delivered(container)
    assert found is not None
    assert "日志末尾" in found["README.txt"].decode()


# --- the archive -----------------------------------------------------------------------------------------------------


def test_the_archive_has_a_bound_whatever_goes_in(tmp_path: Path) -> None:
    items: list[GivenText | FileEnd] = [GivenText("first.txt", ABOUT, "the first is always there")]
    for number in range(20):
        path = tmp_path / str(number)
        path.write_bytes(os.urandom(1 << 20))  # cannot be compressed
        items.append(FileEnd(f"{number}.bin", ABOUT, str(path), 900 << 10))
    data = pack(items, str, "en")
    assert MOST * 0.8 < len(data) <= MOST
    found = members(data)
    assert found["first.txt"] == b"the first is always there"
    assert "the archive was full" in found["README.txt"].decode()
    assert "the last 921600 of 1048576 bytes" in found["README.txt"].decode()


def test_a_secret_that_is_cut_by_the_beginning_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x" * 100 + SECRET + "y" * (1000 - 10))  # its second half would be the first that is taken
    found = members(pack([FileEnd("log", ABOUT, str(path), 1000)], lambda text: text.replace(SECRET, "***"), "en"))
    assert b"abcdef" not in found["log"]


def test_what_is_not_there_or_not_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    items = [FileEnd(name, ABOUT, str(tmp_path / name), 1000) for name in ("absent", "link")]
    found = members(pack(items, str, "en"))
    assert list(found) == ["README.txt"]
    assert "No such file" in found["README.txt"].decode()
    assert "a symbolic link" in found["README.txt"].decode()


def test_the_accelerators_tools_are_asked_without_our_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET_ACCESS_KEY", SECRET)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nenv\necho one GPU is lost\nexit 15\n")
    tool.chmod(0o755)
    told = {one.name: one.text for one in state(f"{tmp_path}:{os.defpath}", NEVER)}
    assert "one GPU is lost" in told["state/accelerators.txt"]
    assert "exit code 15" in told["state/accelerators.txt"]
    assert SECRET not in told["state/accelerators.txt"]
