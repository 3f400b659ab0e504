"""`bootstrap doctor` against an environment that is broken in one way each: real stores, directories, ports, names."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.preflight import devices
from tests.commands.conftest import BOOTSTRAP, Run
from tests.lab.faulty_proxy import FaultyProxy, refused, unanswered
from tests.lab.names import with_hosts
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


def findings(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, str]]:
    assert done.returncode in (0, 1), done.stderr.decode()
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert (done.returncode == 1) == (document["level"] == "failure")
    return list(document["findings"])


def of(done: subprocess.CompletedProcess[bytes], id: str, level: str = "failure") -> dict[str, str]:
    """The first finding with that id and level."""
    found = [one for one in findings(done) if (one["id"], one["level"]) == (id, level)]
    assert found, findings(done)
    return found[0]


@pytest.fixture
def doctor(bootstrap: Run) -> Run:
    def run(*argv: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return bootstrap("doctor", "--format", "json", "--lang", "en", *argv, **more)

    return run


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB and 16 inodes."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=16", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


# --- nothing is wrong ----------------------------------------------------------------------------------------------


def test_a_sound_job_has_no_failure_and_nothing_stays_behind(doctor: Run, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/train.py", "print()")
    done = doctor(
        *("--code", bucket.url("code/"), "--output", f"out={bucket.url('out/')}", "--log", bucket.url("logs/")),
        *("--job-dir", str(tmp_path / "job"), "--", "python3", "code/train.py"),
        env={**seaweedfs.env(), "PATH": f"{Path(sys.executable).parent}:{os.defpath}"},
    )
    found = findings(done)
    assert {one["id"] for one in found if one["level"] == "ok"} >= {
        *("keys", "clock", "dns-store", "source", "target", "space", "command", "directories", "tmpdir"),
    }
    assert [one for one in found if one["level"] == "failure"] == []
    assert bucket.list() == ["code/train.py"]
    assert os.listdir(tmp_path) == []


def test_code_that_is_in_place_is_no_empty_source(doctor: Run, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").touch()
    words = ("--job-dir", str(tmp_path), "--", "python3", "src/train.py")
    assert of(doctor("--code", str(tmp_path / "src"), *words), "source", "ok")["what"].endswith(": in place already")
    assert of(doctor("--code", str(tmp_path / "src"), "--job-dir", "/tmp/x", "--", "true"), "source", "ok")[
        "what"
    ].endswith(": 1 file, 0 bytes")


def test_the_words_and_the_table(bootstrap: Run, tmp_path: Path) -> None:
    done = bootstrap("doctor", "--job-dir", "/etc/hosts/job", "--", "true", LANG="en_US.UTF-8")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert any(line.startswith("failure directories") and "/etc/hosts/job" in line for line in lines)
    assert lines[-1].endswith(" s") and "failure" in lines[-1]
    chinese = bootstrap("doctor", "--lang", "zh", "--job-dir", "/etc/hosts/job", "--", "true").stdout.decode()
    assert "本地路径" in chinese and "/etc/hosts/job" in chinese


# --- the store -----------------------------------------------------------------------------------------------------


def test_no_keys(doctor: Run, seaweedfs: Store) -> None:
    done = doctor("--code", "obs://bucket/code/", "--", "true", env={"S3_ENDPOINT": seaweedfs.endpoint})
    assert of(done, "keys")["cause"] == "credentials-missing"


def test_wrong_keys_and_no_secret_in_any_word(doctor: Run, bucket: Bucket) -> None:
    env = {**bucket.store.env(), "S3_SECRET_ACCESS_KEY": "never-to-be-shown-anywhere"}
    done = doctor("--code", bucket.url("code/"), "--", "true", env=env)
    assert of(done, "source")["cause"] in ("credentials-rejected", "permission-denied")
    assert b"never-to-be-shown" not in done.stdout + done.stderr


def test_a_wrong_bucket(doctor: Run, rclone: Store) -> None:
    done = doctor("--output", "out=obs://no-such-bucket-here/out/", "--", "true", env=rclone.env())
    assert of(done, "target")["cause"] == "bucket-missing"


def test_a_prefix_with_nothing_in_it(doctor: Run, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code-1/train.py", "print()")
    done = doctor("--code", bucket.url("code-2/"), "--", "true", env=seaweedfs.env())
    assert of(done, "source")["cause"] == "nothing-there"


def test_a_bucket_that_may_not_be_written(doctor: Run, seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket = seaweedfs.make_bucket()
    faulty.inject(refused(403, "AccessDenied"), method="PUT", times=None)
    env = {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    done = doctor("--output", f"out={bucket.url('out/')}", "--log", bucket.url("logs/"), "--", "true", env=env)
    assert of(done, "target")["cause"] == "permission-denied"
    assert "the log" in "".join(one["what"] for one in findings(done)) or of(done, "target", "warning")


def test_a_bucket_that_lists_and_does_not_give(doctor: Run, seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/train.py", "print()")
    faulty.inject(refused(403, "AccessDenied"), method="GET", key="*train.py", times=None)
    env = {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    done = doctor("--code", bucket.url("code/"), "--", "true", env=env)
    assert of(done, "source")["cause"] == "permission-denied"


def test_a_probe_that_cannot_be_removed_is_named(doctor: Run, seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket = seaweedfs.make_bucket()
    faulty.inject(refused(403, "AccessDenied"), method="DELETE", times=None)
    env = {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    done = doctor("--output", f"out={bucket.url('out/')}", "--", "true", env=env)
    (left,) = bucket.list("out/")
    assert left in of(done, "target", "warning")["what"]


def test_a_dead_port(doctor: Run, seaweedfs: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    env = {**seaweedfs.env(), "S3_ENDPOINT": f"http://127.0.0.1:{port}"}
    done = doctor("--code", "obs://bucket/code/", "--", "true", env=env)
    assert of(done, "source")["cause"] == "store-unavailable"
    assert of(done, "clock", "warning")


def test_a_name_without_an_address(doctor: Run, seaweedfs: Store) -> None:
    env = {**seaweedfs.env(), "S3_ENDPOINT": "http://store.invalid"}
    done = doctor("--addressing", "path", "--code", "obs://bucket/code/", "--", "true", env=env)
    assert of(done, "dns-store")["cause"] == "name-unresolved"


@pytest.mark.parametrize(("offset", "level"), [(3600, "failure"), (-300, "warning")])
def test_a_clock_that_is_off(obs: Obs, tmp_path: Path, offset: float, level: str) -> None:
    bucket = obs.make_bucket()
    bucket.put("code/train.py", "print()")
    obs.policy.clock_offset = offset
    words = [BOOTSTRAP, "doctor", "--format", "json", "--code", bucket.url("code/"), "--", "true"]
    environ = {"PATH": os.defpath, "HOME": str(tmp_path), **obs.store.env()}
    done = subprocess.run(
        [*with_hosts(tmp_path / "hosts", obs.names()), *words],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        timeout=90,
    )
    (seconds,) = re.findall(r"(\d+) s", of(done, "clock", level)["what"])
    assert abs(int(seconds) - abs(offset)) <= 2, "HTTP tells whole seconds"


# --- this machine --------------------------------------------------------------------------------------------------


@needs_root
def test_what_does_not_fit(doctor: Run, seaweedfs: Store, small: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("data/large", b"x" * 100_000)
    done = doctor("--job-dir", str(small), "--input", f"d={bucket.url('data/')}", "--", "true", env=seaweedfs.env())
    assert of(done, "space")["cause"] == "disk-full"
    assert list(small.iterdir()) == []


@needs_root
def test_two_sources_that_do_not_fit_together(doctor: Run, small: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(b"x" * 40_000)
    sources = [word for name in ("a", "b") for word in ("--input", f"{name}={tmp_path / name}/")]
    done = doctor("--job-dir", str(small), *sources, "--", "true")
    assert of(done, "space")["cause"] == "disk-full"


@needs_root
def test_more_files_than_inodes(doctor: Run, small: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / str(number)).touch()
    done = doctor("--job-dir", str(small), "--input", f"m={tmp_path / 'many'}/", "--", "true")
    assert "inodes" in of(done, "space")["what"]


@needs_root
def test_a_full_disk(doctor: Run, small: Path) -> None:
    (small / "full").write_bytes(b"x" * 65_536)
    done = doctor("--job-dir", str(small), "--", "true", TMPDIR=str(small))
    assert of(done, "directories")["cause"] == "disk-full"
    assert "TMPDIR" in of(done, "tmpdir", "warning")["remedy"]


@needs_root
def test_a_directory_that_is_read_only(doctor: Run, small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    done = doctor("--output", f"out={small}/results/", "--work-dir", str(small), "--", "true")
    assert of(done, "directories")["cause"] == of(done, "target")["cause"] == "path-unusable"


def test_a_tmpdir_that_is_not_there(doctor: Run, tmp_path: Path) -> None:
    assert "unset" in of(doctor("--", "true", TMPDIR=str(tmp_path / "gone")), "tmpdir", "warning")["remedy"]


def test_devices(doctor: Run, tmp_path: Path) -> None:
    """A driver's tool that answers, and one whose driver is gone."""
    tool = tmp_path / "nvidia-smi"
    environ = {"PATH": f"{tmp_path}:{os.defpath}"}
    tool.write_text("#!/bin/sh\necho 'GPU 0: lab (UUID: GPU-1)'\necho 'GPU 1: lab (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    assert "2 NVIDIA devices" in of(doctor("--", "true", env=environ), "devices", "ok")["what"]
    assert [one.level.value for one in devices.check(8, environ)] == ["failure"]
    assert [one.level.value for one in devices.check(2, environ)] == ["ok"]
    assert [one.level.value for one in devices.check(2, {**environ, "CUDA_VISIBLE_DEVICES": "1"})] == ["failure"]
    tool.write_text("#!/bin/sh\necho 'Unable to determine the device handle: GPU is lost' >&2\nexit 15\n")
    done = doctor("--", "true", env=environ)
    assert "GPU is lost" in of(done, "devices")["what"]


def test_an_interface_that_is_not_there(doctor: Run) -> None:
    assert of(doctor("--interface", "ib7", "--", "true"), "interface")["cause"] == "interface-missing"


# --- the command ---------------------------------------------------------------------------------------------------

SCRIPTS = {
    "crlf.sh": b"#!/bin/sh\r\necho 1\r\n",
    "nobody.sh": b"#!/opt/no/such/interpreter\necho 1\n",
    "env.py": b"#!/usr/bin/env python9.9\nprint()\n",
    "foreign": b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0" + (b"\xf3\0") + b"\0" * 100,
}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["./code/crlf.sh"], "Windows"),
        (["sh", "code/crlf.sh"], "Windows"),
        (["./code/nobody.sh"], "/opt/no/such/interpreter"),
        (["./code/env.py"], "python9.9"),
        (["./code/foreign"], "riscv64"),
        (["sh", "code/crfl.sh"], "code/crlf.sh"),
        (["no-such-program", "code/crlf.sh"], "no-such-program"),
    ],
    ids=["crlf", "crlf-by-sh", "interpreter", "env", "machine", "near-name", "program"],
)
@pytest.mark.parametrize("where", ["store", "here"])
def test_a_command_that_could_not_start(
    doctor: Run, seaweedfs: Store, tmp_path: Path, words: list[str], told: str, where: str
) -> None:
    """Before it is fetched: read out of the store, or out of the directory that it is copied from."""
    source = tmp_path / "source" / "code"
    source.mkdir(parents=True)
    for name, content in SCRIPTS.items():
        (source / name).write_bytes(content)
        (source / name).chmod(0o755)
    url = f"{source}/"
    if where == "store":
        bucket = seaweedfs.make_bucket()
        bucket.put_tree("code/", SCRIPTS)
        url = bucket.url("code/")
    done = doctor("--code", url, "--job-dir", str(tmp_path / "job"), "--", *words, env=seaweedfs.env())
    found = of(done, "command")
    assert told in found["what"] + found["remedy"]
    assert found["cause"] in ("command-not-found", "command-not-executable")


@pytest.mark.parametrize(
    ("name", "content", "words", "told"),
    [
        ("old.py", 'print "epoch", 1\n', [sys.executable, "old.py"], "old.py:1: SyntaxError"),
        ("cut.sh", "echo hi\nif true; then\n", ["bash", "cut.sh"], "syntax error"),
        ("x.py", "", [sys.executable, "-m", "no_such_module.train"], "no module named no_such_module"),
    ],
)
def test_a_script_that_its_interpreter_cannot_read(
    doctor: Run, tmp_path: Path, name: str, content: str, words: list[str], told: str
) -> None:
    (tmp_path / name).write_text(content + "open('executed', 'w')\n")
    done = doctor("--job-dir", str(tmp_path), "--", *words)
    assert told in of(done, "command")["what"]
    assert not list(tmp_path.rglob("executed"))


def test_a_script_and_a_module_that_can_be_read(doctor: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.py").write_text("import no_such_module\n")
    (tmp_path / "run.sh").write_text("python train.py\n")
    for words in (["bash", "run.sh"], [sys.executable, "-m", "mine.train"], [sys.executable, "mine/train.py"]):
        assert of(doctor("--job-dir", str(tmp_path), "--", *words), "command", "ok")


def test_a_program_of_the_store_has_no_mode(doctor: Run, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/run.sh", "echo 1\n")
    done = doctor("--code", bucket.url("code/"), "--", "code/run.sh", env=seaweedfs.env())
    assert of(done, "command")["remedy"] == "name its interpreter: bash code/run.sh"


def test_what_an_archive_brings_is_not_guessed_at(doctor: Run, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code.tar.gz", "not looked into")
    done = doctor("--code", bucket.url("code.tar.gz"), "--", "sh", "code/run.sh", env=seaweedfs.env())
    assert "archive" in of(done, "command", "warning")["what"]


# --- deadlines, and a run ------------------------------------------------------------------------------------------


def test_a_store_that_hangs_is_left_behind(seaweedfs: Store, faulty: FaultyProxy) -> None:
    """In this process, where the deadline can be a short one."""
    from bootstrap.preflight.runner import Check, run

    release = threading.Event()
    faulty.inject(unanswered(release), times=None)

    def ask() -> list[Any]:
        with socket.create_connection(("127.0.0.1", faulty.port)) as asked:
            asked.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            asked.recv(1)
        return []

    try:
        (found,) = run([Check("source", ask)], deadline_s=0.3)
    finally:
        release.set()
    assert (found.id, found.level.value) == ("source", "warning")
    assert "0.3 s" in found.what.en


def test_a_run_with_all_checks_ends_with_the_cause_before_the_fetch(
    bootstrap: Run, seaweedfs: Store, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/train.py", "print()")
    words = ("--job-dir", str(tmp_path / "job"), "--code", bucket.url("code/"), "--log-file", str(tmp_path / "log"))
    done = bootstrap("run", "--preflight", "full", *words, "--", "no-such-program", env=seaweedfs.env())
    assert done.returncode == 127, done.stderr.decode()
    assert not (tmp_path / "job").exists()
    record = json.loads((tmp_path / "log.run" / "run.json").read_text())
    assert any(one["id"] == "command" and one["level"] == "failure" for one in record["preflight"])


@pytest.mark.parametrize(("how", "warned"), [("quick", True), ("off", False)])
def test_every_run_looks_at_what_no_step_notices(bootstrap: Run, how: str, warned: bool) -> None:
    done = bootstrap("run", "--preflight", how, "--", "true", TMPDIR="/etc/hosts")
    assert done.returncode == 0
    assert (b"TMPDIR" in done.stderr) is warned
