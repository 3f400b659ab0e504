"""The runtime, copied into images that could never run the package themselves, takes the main job from boot to exit."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.images.conftest import Workshop, shell
from tests.lab.containers import Container, Engine
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]  # the first one compiles a Python

TRAIN = """#!/bin/sh
echo "training as $(id -u):$(id -g) in $PWD"
echo "to stderr" >&2
mkdir -p "$BOOTSTRAP_OUTPUT_DIR"
echo "weights" > "$BOOTSTRAP_OUTPUT_DIR/model.bin"
"""
PROFILE = Path("/usr/share/containers/seccomp.json")
USERS = {"1101": "1101:1101", "1000": "1000:100", "unknown": "54321:54321", "root": "0:0"}


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    bucket = seaweedfs.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    return bucket


def job(bucket: Bucket) -> dict[str, str]:
    """The settings of the main job, in the environment: the entry point takes only the command."""
    return {
        **bucket.store.env(),
        "BOOTSTRAP_CODE": bucket.url("proj/code/"),
        "BOOTSTRAP_OUTPUT": f"out={bucket.url('models/')}",
        "BOOTSTRAP_LOG": bucket.url("logs/"),
        "BOOTSTRAP_JOB_DIR": "/tmp/job",
        "BOOTSTRAP_LOG_FILE": "/tmp/job.log",
    }


def record(bucket: Bucket) -> dict[str, object]:
    return json.loads(bucket.get("logs/job.run.json"))  # type: ignore[no-any-return]


@pytest.fixture
def without_clone3(tmp_path: Path) -> str:
    """The engine's own seccomp profile, but clone3 is refused as engines from before 2021 do: EPERM, not ENOSYS."""
    if not PROFILE.exists():
        pytest.skip(f"lab: {PROFILE} is missing: apt-get install golang-github-containers-common")
    profile = json.loads(PROFILE.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != "clone3"]
    profile["syscalls"].append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1})
    (tmp_path / "seccomp.json").write_text(json.dumps(profile))
    return f"--security-opt=seccomp={tmp_path / 'seccomp.json'}"


@pytest.mark.parametrize("user", USERS)
def test_the_main_job_runs_for_every_user(containers: Engine, image: str, bucket: Bucket, user: str) -> None:
    ran = containers.run(
        image, "sh", "code/train.sh", env=job(bucket), network="host", options=[f"--user={USERS[user]}"]
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0] == f"training as {USERS[user]} in /tmp/job"
    assert bucket.tree("models/") == {"model.bin": b"weights\n"}
    assert bucket.get("logs/job.log").startswith(b"training as ")
    assert record(bucket)["exit_code"] == 0


def test_the_main_job_runs_where_everything_is_locked(
    containers: Engine, image: str, bucket: Bucket, without_clone3: str
) -> None:
    locked = ["--user=54321:54321", "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,exec,mode=1777"]
    locked += ["--cap-drop=all", "--security-opt=no-new-privileges", without_clone3, "--pids-limit=64"]
    ran = containers.run(image, "sh", "code/train.sh", env=job(bucket), network="host", options=locked)
    assert ran.returncode == 0, ran.stderr
    assert bucket.tree("models/") == {"model.bin": b"weights\n"}
    assert "Traceback" not in ran.stderr


def test_threads_start_although_clone3_is_refused(
    containers: Engine, bullseye: str, with_python: str, without_clone3: str
) -> None:
    script = "import threading; t = threading.Thread(target=print, args=('a thread',)); t.start(); t.join()"
    ours = ["--entrypoint=/opt/bootstrap/bin/python3", without_clone3]
    ran = containers.run(bullseye, "-I", "-c", script, options=ours)
    assert (ran.returncode, ran.stdout) == (0, "a thread\n"), ran.stderr
    newer = containers.run(with_python, "python3", "-c", script, options=[without_clone3])
    assert "can't start new thread" in newer.stderr, "the profile must be one that newer glibc stumbles over"


def test_the_command_is_run_by_the_images_own_python(
    containers: Engine, old_python: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("proj/code/train.py", "import sys, json, threading; print(sys.version_info[:2], sys.prefix)\n")
    ran = containers.run(old_python, "python", "code/train.py", env=job(bucket), network="host")
    assert ran.returncode == 0, ran.stderr
    version, prefix = ran.stdout.rsplit(" ", 1)
    assert prefix == "/usr/local\n"
    assert version < "(3, 9)" or version == "(3, 9)"


def test_nothing_of_ours_reaches_the_command(containers: Engine, bullseye: str) -> None:
    before = containers.run(bullseye, "-c", "env -0", options=["--entrypoint=/bin/sh"]).stdout.split("\0")
    after = containers.run(bullseye, "sh", "-c", "env -0").stdout.split("\0")
    known = {"HOSTNAME", "PWD", "_", "SHLVL"}
    old = {item.split("=", 1)[0] for item in before if item} - known
    new = {item.split("=", 1)[0]: item for item in after if item}
    assert old <= new.keys()
    added = sorted(name for name in new.keys() - old - known if not name.startswith(("BOOTSTRAP_", "_STDBUF_")))
    assert added == [
        "LD_PRELOAD", "MASTER_ADDR", "MASTER_PORT", "NNODES", "NODE_RANK", "PYTHONPATH", "PYTHONUNBUFFERED"
    ]  # fmt: skip
    assert "/opt/bootstrap" not in "".join(after)
    assert "stdbuf" in new["LD_PRELOAD"], "the only preload is what buffers the command by lines"


HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/hostile",
    "PYTHONSTARTUP": "/hostile/start.py",
    "PYTHONWARNINGS": "error",
    "LD_LIBRARY_PATH": "/hostile",
    "LD_PRELOAD": "/hostile/libc.so.6",
    "LD_BIND_NOW": "1",
    "GCONV_PATH": "/hostile",
    "LOCPATH": "/hostile",
    "LC_ALL": "de_DE.UTF-8",
    "MALLOC_ARENA_MAX": "2",
    "OPENSSL_CONF": "/hostile/openssl.cnf",
}


def test_a_hostile_environment_reaches_the_command_and_not_us(
    containers: Engine, bullseye: str, bucket: Bucket, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in (
        "encodings.py",
        "bootstrap.py",
        "os.py",
        "sitecustomize.py",
        "libssl.so.1.1",
        "libm.so.6",
        "libc.so.6",
    ):
        (hostile / name).write_text("raise SystemExit('hostile')\n")
    (hostile / "openssl.cnf").write_text("openssl_conf = x\n[x]\nproviders = nowhere\n")
    ran = containers.run(
        bullseye, "/opt/bootstrap/bin/python3", "-I", "-c",
        "import json, os; print(json.dumps(dict(os.environ)))",
        env={**job(bucket), **HOSTILE, "LD_PRELOAD": "", "LD_LIBRARY_PATH": "/hostile"},
        mounts={hostile: "/hostile"}, network="host",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    expected = {**HOSTILE, "LD_PRELOAD": "", "PYTHONPATH": "/tmp/job:/hostile"}
    assert {name: seen.get(name) for name in expected} == expected
    # A library of another libc would be loaded into every program, and break it: here the image's own commands too.
    ran = containers.run(
        bullseye, "--version", env={"LD_PRELOAD": "/hostile/libc.so.6"}, mounts={hostile: "/hostile"},
        options=["--entrypoint=/opt/bootstrap/bin/bootstrap"],
    )  # fmt: skip
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_https_and_names_work_without_anything_of_the_image(
    containers: Engine, busybox: str, obs_tls: Obs, authority: Authority
) -> None:
    bucket = obs_tls.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    environ = {**job(bucket), **obs_tls.env(), "AWS_CA_BUNDLE": "/ca.pem"}
    ran = containers.run(
        busybox, "sh", "code/train.sh", env=environ, network="host", mounts={authority.bundle: "/ca.pem"},
        hosts={name: "127.0.0.1" for name in obs_tls.names()},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert bucket.tree("models/") == {"model.bin": b"weights\n"}


def test_certificate_authorities_come_with_us(containers: Engine, busybox: str) -> None:
    script = (
        "from bootstrap.storage.lane import _context; from bootstrap.job import Endpoint\n"
        "print(_context(Endpoint('https://obs.example.com')).cert_store_stats()['x509_ca'])"
    )
    ran = containers.run(busybox, "-I", "-c", script, options=["--entrypoint=/opt/bootstrap/bin/python3"])
    assert int(ran.stdout) > 50, ran.stderr


# --- limits


@pytest.mark.parametrize("user", ["root", "unknown"])
def test_a_real_out_of_memory_kill_is_explained(containers: Engine, bullseye: str, bucket: Bucket, user: str) -> None:
    """Not we are killed, although the command is hardly larger than we are: log, record and reason are delivered."""
    limits = ["--memory=64m", "--memory-swap=64m", f"--user={USERS[user]}"]
    ran = containers.run(bullseye, "tail", "/dev/zero", env=job(bucket), network="host", options=limits)
    assert ran.returncode == 137, ran.stderr
    assert record(bucket)["reason_id"] == "out-of-memory"
    assert "64" in ran.stderr


def test_a_disk_that_is_full_is_said_and_the_log_is_delivered(
    containers: Engine, bullseye: str, bucket: Bucket
) -> None:
    bucket.put("proj/code/weights.bin", os.urandom(3 << 20))
    full = ["--tmpfs=/tmp/job:size=1m,mode=1777"]
    ran = containers.run(bullseye, "sh", "code/train.sh", env=job(bucket), network="host", options=full)
    assert ran.returncode == 116, ran.stderr
    assert b"App download error" in bucket.get("logs/job.log")
    assert "Traceback" not in ran.stderr


def test_a_command_that_fills_the_disk_is_explained(containers: Engine, bullseye: str, bucket: Bucket) -> None:
    full = ["--tmpfs=/tmp/job:size=1m,mode=1777"]
    script = "echo training; dd if=/dev/zero of=checkpoint bs=64k count=100"
    ran = containers.run(bullseye, "sh", "-c", script, env=job(bucket), network="host", options=full)
    assert ran.returncode == 1
    assert record(bucket)["reason_id"] == "disk-full"


@pytest.mark.parametrize("limit", [2, 6])
def test_too_few_processes_end_in_words_and_not_in_a_traceback(containers: Engine, bullseye: str, limit: int) -> None:
    ran = containers.run(bullseye, "sh", "-c", "sleep 0 | cat; echo done", options=[f"--pids-limit={limit}"])
    assert "Traceback" not in ran.stderr, ran.stderr
    if ran.returncode == 0:
        assert ran.stdout == "done\n"
    else:
        assert ran.returncode == 207 or "fork" in ran.stdout, ran.stderr


# --- the end


def started(container: Container) -> None:
    """Until the command says that it is ready for what comes."""
    deadline = time.monotonic() + 120
    while "ready" not in container.logs():
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.1)


def test_stop_lets_the_command_save_and_delivers_it(containers: Engine, image: str, bucket: Bucket) -> None:
    script = shell(
        'mkdir -p "$BOOTSTRAP_OUTPUT_DIR"',
        "trap 'echo saved > \"$BOOTSTRAP_OUTPUT_DIR/checkpoint\"; exit 0' TERM",
        "echo ready",
        "while :; do sleep 0.05; done",
    )
    with containers.start(image, *script, env=job(bucket), network="host", options=["--user=1000:100"]) as container:
        started(container)
        began = time.monotonic()
        container.stop(30)
        assert container.wait() == 0, container.logs()
        assert time.monotonic() - began < 30, "within the grace, not by its end"
    assert bucket.tree("models/") == {"checkpoint": b"saved\n"}


def test_stop_of_a_command_that_just_dies_is_143(containers: Engine, image: str, bucket: Bucket) -> None:
    command = shell("echo ready", "exec sleep 600")
    with containers.start(image, *command, env=job(bucket), network="host") as container:
        started(container)
        container.stop(30)
        assert container.wait() == 143, container.logs()
    assert bucket.get("logs/job.log").startswith(b"ready\n")


def test_kill_is_137_and_nothing_is_left(containers: Engine, bullseye: str) -> None:
    marker = f"{os.getpid()}{time.monotonic_ns()}"
    command = shell(f"sleep 600.{marker} & setsid sleep 601.{marker} & echo ready", "wait")
    with containers.start(bullseye, *command) as container:
        started(container)
        container.kill("KILL")
        assert container.wait() == 137
        assert not processes(marker)


def test_children_that_a_command_forgot_become_no_zombies_and_do_not_stay(containers: Engine, bullseye: str) -> None:
    """We are process 1: every orphan is ours to bury, and what still runs at the end is ours to end."""
    marker = f"{os.getpid()}{time.monotonic_ns()}"
    command = shell(
        "for i in 1 2 3 4 5; do sh -c 'sleep 0.01 & exit' & done; wait; sleep 0.5",
        "cat /proc/[0-9]*/stat | grep -c ') Z ' || true",
        f"sleep 600.{marker} & setsid sleep 601.{marker} &",
        "echo done",
    )
    ran = containers.run(bullseye, *command, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "0\ndone\n"), ran.stderr
    assert not processes(marker)


def processes(marker: str) -> list[str]:
    """Commands of this machine, containers included, that carry the marker; our own test process does not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if words.startswith(b"sleep\0") and marker.encode() in words:
            found.append(str(path))
    return found


def test_the_image_is_small_and_holds_nothing_but_its_tree(workshop: Workshop, runtime: str) -> None:
    engine = workshop.engine
    root = Path(engine.podman("image", "mount", runtime).stdout.strip())
    try:
        assert [path.name for path in root.iterdir()] == ["opt"]
        assert [path.name for path in (root / "opt").iterdir()] == ["bootstrap"]
        files = [path for path in root.rglob("*") if not path.is_symlink()]
        assert sum(path.stat().st_blocks * 512 for path in files) < 60 * 10**6
        assert not [path for path in files if path.stat().st_mode & 0o6022], "no setuid, nobody else may write"
        assert not [path for path in files if path.suffix == ".py" and not compiled(path)]
    finally:
        engine.podman("image", "unmount", runtime)


def compiled(source: Path) -> bool:
    return (
        source.name == "entry.py"
        or source.parent.name == "scripts"
        or any((source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc"))
    )
