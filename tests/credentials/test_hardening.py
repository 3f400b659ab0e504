"""What the kernel really does, asked in a process of its own: as a container's root and as an ordinary user."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.credentials.hardening import loose_permissions
from tests.e2e.job import BOOTSTRAP, Container

SCRIPT = """
import contextlib, ctypes, json, os, resource, subprocess, sys, time
from bootstrap.credentials import hardening

def give_up_capabilities():
    "A container's root may not look into everything either: it lacks CAP_SYS_PTRACE."
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())

def readable(path):
    try:
        with open(path, "rb") as file:
            file.read(1)
    except PermissionError:
        return False
    return True

def readable_by_another(path):
    "Another process of the same user and the same powers."
    return subprocess.run(["head", "-c", "1", path], capture_output=True).returncode == 0

def writable(path):
    try:
        with open(path, "w") as file:
            file.write("999")
    except PermissionError:
        return False
    return True

def core_limit():
    return subprocess.run(["sh", "-c", "ulimit -c"], capture_output=True, text=True).stdout.strip()

hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
soft = hard if hard != resource.RLIM_INFINITY else 1 << 20
resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
user = int(sys.argv[1])
if user != os.getuid():
    os.setgroups([]), os.setgid(user), os.setuid(user)
give_up_capabilities()
hardening._set_dumpable(True)  # a change of user takes it away; a process that starts as this user has it

environ = f"/proc/{os.getpid()}/environ"
report = {"core before": str(soft // 512), "readable before": readable_by_another(environ)}
done = hardening.harden()
report["readable after"] = readable_by_another(environ)
report |= {"dumpable off": done.dumpable_off, "notes": done.notes, "dumpable": hardening._prctl(3, 0) == 1}
report |= {"core": resource.getrlimit(resource.RLIMIT_CORE)[0], "core of a tool": core_limit()}
with done.as_before_for_children():
    report["core of the command"] = core_limit()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
report["core afterwards"] = resource.getrlimit(resource.RLIMIT_CORE)[0]
give_up = time.monotonic() + 10
while not readable(f"/proc/{child.pid}/environ") and time.monotonic() < give_up:
    time.sleep(0.001)  # Popen returns a moment before the kernel has reset what the child inherited
report["ours"] = {name: readable(f"/proc/self/{name}") for name in ("status", "stat", "cgroup", "mountinfo")}
report["ours"]["fd"] = bool(os.listdir("/proc/self/fd")) and bool(os.readlink("/proc/self/fd/0"))
report["the child's"] = {name: readable(f"/proc/{child.pid}/{name}") for name in ("environ", "io", "status")}
report["the child's"]["oom_score_adj"] = writable(f"/proc/{child.pid}/oom_score_adj")
child.communicate()
print(json.dumps(report))
"""


@pytest.fixture(params=["as root", "as an ordinary user"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """What a process saw of itself before and after."""
    user = 0 if request.param == "as root" else os.getuid() or 65534
    if user == 0 and os.getuid() != 0:
        pytest.skip("lab: being root needs root")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(user)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_another_process_of_our_user_cannot_read_our_environment_any_more(report: dict[str, Any]) -> None:
    assert report["readable before"] and not report["readable after"]
    assert report["dumpable off"] and not report["dumpable"] and report["notes"] == []


def test_we_leave_no_core_dump_and_the_command_keeps_its_own(report: dict[str, Any]) -> None:
    assert report["core"] == report["core afterwards"] == 0 and report["core of a tool"] == "0"
    assert report["core of the command"] == report["core before"]


def test_our_own_and_the_childs_proc_entries_that_we_need_stay_open(report: dict[str, Any]) -> None:
    assert all(report["ours"].values()), report["ours"]
    assert all(report["the child's"].values()), report["the child's"]


@pytest.mark.parametrize(("variable", "ours"), [({"API_TOKEN": "a-token-of-somebody"}, "0"), ({}, "unchanged")])
def test_a_run_that_holds_secrets_leaves_no_core_dump_and_one_without_is_as_it_was(
    tmp_path: Path, variable: dict[str, str], ours: str
) -> None:
    container = Container(tmp_path / "container")
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    soft = 1 << 20 if limit == resource.RLIM_INFINITY else limit
    if not soft:
        pytest.skip("lab: this machine allows no core dumps at all: raise the hard limit (ulimit -Hc)")
    expected = "0" if ours == "0" else str(soft)
    # The limit is given back while the command is started, and the command may be faster than we are afterwards.
    command = (
        "for _ in $(seq 100); do seen=$(grep core /proc/$PPID/limits | tr -s ' ' | cut -d' ' -f5); "
        f"[ $seen = {expected} ] && break; sleep 0.05; done; echo $seen; ulimit -S -c"
    )
    program = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_CORE, ({soft}, {limit})); os.execv(sys.argv[1], sys.argv[1:])"
    )
    argv = [sys.executable, "-c", program, BOOTSTRAP, "run", "--", "sh", "-c", command]
    result = container.run(argv=argv, environ=variable)
    assert result.code == 0, result.stderr
    assert result.stdout.decode().split() == [expected, str(soft // 512)]


# One of our commands that looks at itself where it would begin to hold secrets, and ends there.
LOOK = """\
import importlib, resource, sys
from bootstrap import cli
from bootstrap.credentials import hardening

def look(*_, **__):
    print(resource.getrlimit(resource.RLIMIT_CORE)[0], hardening._prctl(3, 0) == 1)
    raise SystemExit(0)

module, name = sys.argv.pop(1).rsplit(".", 1)
setattr(importlib.import_module(module), name, look)
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("bootstrap.access.open_stores", ["copy", "obs://bucket/x", "x"]),
        ("bootstrap.access.open_stores", ["downloader", "-s", "obs://bucket/x", "-d", "x"]),
        ("bootstrap.access.open_stores", ["logs", "obs://bucket/x/"]),
        ("bootstrap.commands.secrets.generate_key", ["secrets", "keygen", "x"]),
        ("bootstrap.commands.secrets.key_file_warning", ["secrets", "decrypt", "--key-file", "x", "NAME"]),
        ("bootstrap.credentials.decrypt.decrypt_environment", ["env", "--format", "sh", "--only", "decrypted"]),
    ],
)
def test_commands_that_hold_secrets_are_closed_to_others_as_well(where: str, words: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", LOOK, where, *words], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "0 False\n", ended.stderr


def test_a_run_that_failed_before_it_unlocked_anything_is_closed_when_it_reads_keys_for_its_log(tmp_path: Path) -> None:
    words = ["run", "--grace", "what", "--log", "obs://bucket/logs/", "--log-file", str(tmp_path / "log"), "--", "true"]
    argv = [sys.executable, "-c", LOOK, "bootstrap.access.open_stores", *words]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.stdout.startswith("0 False\n"), ended.stderr


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_secret_file_for_its_owner_alone_is_as_it_should_be(tmp_path: Path, mode: int) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    assert loose_permissions(str(tmp_path / "key")) == ""


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o604, "can be read by every user"),
        (0o640, "can be read by its group"),
        (0o660, "can be changed by its group"),
        (0o622, "can be changed by every user"),
    ],
)
def test_a_secret_file_open_to_others_is_reported_with_the_cure(tmp_path: Path, mode: int, words: str) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "key").chmod(mode)
    text = loose_permissions(str(tmp_path / "key"))
    assert words in text and f"mode {mode:04o}" in text and "chmod 600" in text and "defaultMode: 0400" in text


def test_an_absent_file_and_a_pipe_have_no_permissions_to_complain_of(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o666)
    assert loose_permissions(str(tmp_path / "pipe")) == loose_permissions(str(tmp_path / "absent")) == ""
