"""Where log and record of a run are on this machine, and what may stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from bootstrap.platforms import local
from tests.e2e.conftest import Remote
from tests.e2e.job import Container


def test_without_a_platform_each_run_has_a_log_and_a_record_of_its_own(container: Container) -> None:
    del container.environ["BOOTSTRAP_LOG_FILE"]
    places = set()
    for _ in range(2):
        result = container.run("--", "echo", "hello")
        assert result.code == 0 and "attempt" not in result.stderr
        (log, record) = re.findall(r"log: (\S+), record: (\S+)", result.stderr)[0]
        assert Path(log).read_bytes() == b"hello\n" and Path(record).is_file()
        assert log.startswith(f"{container.tmp}/")
        places.add(log)
    assert len(places) == 2


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/dev/fd/2"])
def test_a_log_file_that_is_our_own_output_gets_every_line_once(container: Container, name: str) -> None:
    before = os.readlink(name) if not name.startswith("/proc") else ""
    result = container.run("--log-file", name, "--", "echo", "hello")
    assert (result.code, result.stdout) == (0, b"hello\n")
    assert result.stderr.count("hello") == 1, "the launch line's"
    assert f"and not to {name}" in result.stderr
    assert not before or os.readlink(name) == before


def test_a_log_file_that_our_output_is_redirected_to_has_every_line_once(container: Container) -> None:
    container.front = ["sh", "-c", 'exec "$@" >both.log 2>&1', "sh"]
    (container.work / "both.log").write_text("an earlier line\n")
    container.run("--log-file", "both.log", "--", "printf", "%s\\n", "one line")
    text = (container.work / "both.log").read_text()
    assert text.splitlines().count("one line") == 1


def test_a_log_that_is_a_link_is_followed(container: Container) -> None:
    (container.work / "link.log").symlink_to("real.log")
    container.run("--log-file", "link.log", "--", "echo", "hello")
    assert (container.work / "link.log").is_symlink()
    assert (container.work / "real.log").read_bytes() == b"hello\n"


def test_a_root_that_is_read_only_leaves_the_console_and_what_is_delivered(
    container: Container, plain_remote: Remote
) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: mounting needs root")
    script = (
        "mount --make-rprivate /; mount -o remount,bind,ro /; "
        'for d in /tmp /dev/shm /var/tmp "$0"; do if mountpoint -q "$d"; then mount -o remount,bind,ro "$d"; fi; done; '
        'exec "$@"'
    )
    del container.environ["TMPDIR"], container.environ["BOOTSTRAP_LOG_FILE"]
    container.front = ["unshare", "--mount", "sh", "-c", script, str(container.home.parent)]
    result = container.run("--", "sh", "-c", "touch x 2>/dev/null || echo read-only")
    assert (result.code, result.stdout) == (0, b"read-only\n"), result.stderr
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--", "sh", "-c", "echo one; ls /not-there; exit 2")
    result = container.run(*words, environ=plain_remote.env)
    assert result.code == 2, result.stderr
    (log,) = (key for key in bucket.list("logs/") if key.endswith(".log"))
    assert "one\n" in bucket.get(log).decode() and "not-there" in bucket.get(log).decode()


def test_dockers_grace_is_known(tmp_path: Path) -> None:
    assert "grace" not in local.read({}, tmp_path, "").defaults
    (tmp_path / ".dockerenv").touch()
    assert local.read({}, tmp_path, "").defaults["grace"].value == "10"
    assert "grace" not in local.read({"KUBERNETES_SERVICE_HOST": "x"}, tmp_path, "").defaults


def test_a_log_that_the_command_removes_is_delivered_whole(container: Container, tmp_path: Path) -> None:
    script = "echo one; sleep 0.3; rm -f job.log ../tmp/job.log; echo two; sleep 0.2; echo three"
    assert container.run("--log", f"{tmp_path}/nas/", "--", "sh", "-c", script).code == 0
    assert (tmp_path / "nas/job.log").read_bytes() == b"one\ntwo\nthree\n"


LINES = b"".join(b"%d\n" % number for number in range(1, 30_001))  # 168,894 bytes
KEPT = 64 << 10  # bytes of the newest that a disk refuses


@pytest.fixture
def disk(container: Container, tmp_path: Path) -> Path:
    """A disk of its own, with the log on it; ``$FULL`` fills it, ``$READ_ONLY`` is what a kernel does to a bad one."""
    if os.geteuid() != 0:
        pytest.skip("lab: mounting needs root")
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(2 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", "1024", "-O", "^has_journal", "-m", "0", image], check=True)
    script = f'mount -o loop "{image}" "{disk}" && exec "$@"'
    container.front = ["unshare", "--mount", "sh", "-c", script, "sh"]
    container.environ["BOOTSTRAP_LOG_FILE"] = str(disk / "job.log")
    container.environ["FULL"] = f'for n in 1 2 3; do cat /dev/zero >>"{disk}/other" 2>/dev/null; sync; done'
    container.environ["READ_ONLY"] = f'mount -o remount,abort "{disk}"'
    return disk


@pytest.mark.parametrize("to", ["bucket", "bucket, at the end only", "directory", "directory, at the end only"])
@pytest.mark.parametrize("how, limit", [("FULL", "1G"), ("READ_ONLY", "1G"), ("READ_ONLY", "64K")])
def test_a_log_whose_disk_takes_nothing_any_more_is_delivered_with_what_is_missing(
    container: Container, plain_remote: Remote, disk: Path, tmp_path: Path, to: str, how: str, limit: str
) -> None:
    target = f"{tmp_path}/nas/" if "directory" in to else plain_remote.bucket.url("logs/")
    interval = "0" if "only" in to else "0.2"
    script = f'seq 1 30000; sleep 1; eval "${how}"; seq 1 30000; sleep 1; seq 30001 30600'
    words = ("--log", target, "--log-interval", interval, "--log-limit", limit, "--", "sh", "-c", script)
    result = container.run(*words, environ=plain_remote.env)
    assert result.code == 0, result.stderr
    if "directory" in to:
        assert sorted(path.name for path in (tmp_path / "nas").iterdir()) == ["job.jsonl", "job.log", "job.run.json"]
        delivered = (tmp_path / "nas/job.log").read_bytes()
    else:
        assert plain_remote.bucket.list() == ["logs/job.jsonl", "logs/job.log", "logs/job.run.json"]
        delivered = plain_remote.bucket.get("logs/job.log")
    cause = b"No space left on device" if how == "FULL" else b"Read-only file system"
    before, missing, *between, kept = re.split(
        rb"\n\[bootstrap\] (\d+) bytes are missing here: " + cause + b"\n", delivered
    )
    end = LINES + b"".join(b"%d\n" % number for number in range(30_001, 30_601))
    # A disk that is full may take some bytes more, and be full again: then the gap before those is the last but one.
    taken = sum(map(len, between[::2]))
    assert end.endswith(kept) and KEPT - taken <= len(kept) <= KEPT
    head, cut, tail = before.partition(b"\n[bootstrap] ")
    assert LINES.startswith(head[: 32 << 10])
    if limit == "1G":
        assert not cut and (LINES + LINES).startswith(head)
        at = len(head) + int(missing)
        for piece, more in zip(between[::2], between[1::2], strict=True):
            assert (LINES + end)[at:].startswith(piece)
            at += len(piece) + int(more)
        assert at + len(kept) == len(LINES + end)
    else:
        assert tail.partition(b"\n")[0].endswith(b"bytes are missing here: the size of the log is limited")
    warning = f"cannot be written, and has a gap from here on: {cause.decode()}"
    assert result.stderr.count(warning) == 1
    assert result.stderr.index(warning) < result.stderr.index("bootstrap deliver")


@pytest.mark.parametrize("how", ["FULL", "READ_ONLY"])
def test_why_it_failed_is_in_the_delivered_log_although_its_disk_takes_nothing(
    container: Container, disk: Path, tmp_path: Path, how: str
) -> None:
    code = f"""if True:
        import os
        os.system(os.environ["{how}"])
        print("epoch 1", flush=True)
        with open("{disk}/model", "w") as model:
            model.write("x" * 3_000_000)
        """
    result = container.run("--log", f"{tmp_path}/nas/", "--", "python3", "-c", code)
    assert result.code == 1, result.stderr
    delivered = (tmp_path / "nas/job.log").read_text()
    assert "Traceback" in delivered
    words = "No space left on device" if how == "FULL" else "Read-only file system"
    assert re.search(rf"OSError: \[Errno \d+\] {words}", delivered)
    found = json.loads((tmp_path / "nas/job.run.json").read_text())["diagnosis"]["id"]
    assert found == ("disk-full" if how == "FULL" else "read-only")
    assert "\nbootstrap: hint: " in delivered.rpartition("OSError")[2], "and what it means, behind it"
