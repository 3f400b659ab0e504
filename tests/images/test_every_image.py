"""Every kind of image takes the main job from boot to exit, whoever it runs as and whatever it is denied.

Each test here runs in each image: Debian bullseye, an image whose Python is 3.6, busybox without any C library, and the
two base images of ModelArts.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.images.conftest import settings, shell
from tests.lab.containers import Container, Engine
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]  # the first one compiles a Python

TRAIN = """#!/bin/sh
echo "training as $(id -u):$(id -g) in $PWD"
echo "home: $HOME"
mkdir -p "$BOOTSTRAP_OUTPUT_DIR"
echo "weights" > "$BOOTSTRAP_OUTPUT_DIR/model.bin"

for orphan in 1 2 3; do (sleep 0.01 &); done # for process 1 to bury
sleep 0.2
for try in 1 2 3 4 5 6 7 8 9 10; do
    zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')
    if [ "$zombies" = 0 ]; then break; fi
    sleep 0.5
done
echo "zombies: $zombies"

sleep "600.$MARK" & # and these for process 1 to end
setsid sleep "601.$MARK" &
"""
USERS = ("1101:1101", "1000:100", "54321:54321")  # ModelArts v1 and v2, and one that no image knows
LOCKED = ["--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,exec,mode=1777", "--passwd=false"]
LOCKED += ["--cap-drop=all", "--security-opt=no-new-privileges", "--pids-limit=64"]
FULL = ["--tmpfs=/tmp/job:size=1m,mode=1777"]


@pytest.fixture(params=["bullseye", "old_python", "busybox", "base_v1", "base_v2"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    bucket = seaweedfs.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    return bucket


@pytest.fixture
def mark() -> str:
    """A number that no other process of this machine has among its arguments."""
    return f"{os.getpid()}{time.monotonic_ns()}"


def processes(mark: str) -> list[str]:
    """Commands of this machine, containers included, that carry the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if words.startswith(b"sleep\0") and mark.encode() in words:
            found.append(str(path))
    return found


def trains(containers: Engine, image: str, bucket: Bucket, mark: str, options: list[str]) -> list[str]:
    """Runs the job, looks at all that it must leave and must not, and returns the lines that it printed."""
    # The job leaves orphans on purpose, which count as cut short where outputs were ordered.
    environ = {**settings(bucket), "MARK": mark, "BOOTSTRAP_ALLOW_UNDELIVERED": "yes"}
    ran = containers.run(image, "sh", "code/train.sh", env=environ, network="host", options=options)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout.endswith("zombies: 0\n")
    assert not processes(mark)
    assert bucket.results("models/") == {"model.bin": b"weights\n"}
    assert log(bucket) == ran.stdout.encode()
    assert record(bucket)["exit_code"] == 0
    return ran.stdout.splitlines()


def record(bucket: Bucket) -> dict[str, object]:
    (key,) = [key for key in bucket.list("logs/") if key.endswith(".run.json")]
    return json.loads(bucket.get(key))  # type: ignore[no-any-return]


def log(bucket: Bucket) -> bytes:
    (key,) = [key for key in bucket.list("logs/") if key.endswith(".log")]
    return bucket.get(key)


def test_the_main_job_runs_as_the_images_own_user(containers: Engine, image: str, bucket: Bucket, mark: str) -> None:
    trains(containers, image, bucket, mark, [])


@pytest.mark.parametrize("user", USERS)
def test_the_main_job_runs_for_every_user_where_everything_is_locked(
    containers: Engine, image: str, bucket: Bucket, mark: str, user: str, without_clone3: str
) -> None:
    said = trains(containers, image, bucket, mark, [*LOCKED, without_clone3, f"--user={user}"])
    assert said[0] == f"training as {user} in /tmp/job"
    if user == USERS[-1]:
        assert said[1] == "home: /"


# --- limits


def test_a_real_out_of_memory_kill_is_explained(containers: Engine, image: str, bucket: Bucket) -> None:
    """Not we are killed, although the command is hardly larger than we are: log, record and reason are delivered."""
    limits = ["--memory=64m", "--memory-swap=64m"]
    command = shell("echo training", "exec tail /dev/zero")
    ran = containers.run(image, *command, env=settings(bucket), network="host", options=limits)
    assert ran.returncode == 137, ran.stderr
    assert record(bucket)["reason_id"] == "out-of-memory"
    assert "limit 64 MiB" in ran.stderr
    assert log(bucket).startswith(
        b"training\nbootstrap: the kernel killed processes of the job for lack of memory [out-of-memory"
    )


def test_a_disk_that_is_full_is_said_and_the_log_is_delivered(containers: Engine, image: str, bucket: Bucket) -> None:
    bucket.put("proj/code/weights.bin", os.urandom(3 << 20))
    ran = containers.run(image, "sh", "code/train.sh", env=settings(bucket), network="host", options=FULL)
    assert ran.returncode == 116, ran.stderr
    assert b"App download error" in log(bucket)
    assert "Traceback" not in ran.stderr


def test_a_command_that_fills_the_disk_is_explained(containers: Engine, image: str, bucket: Bucket) -> None:
    script = "echo training; dd if=/dev/zero of=checkpoint bs=64k count=100"
    ran = containers.run(image, "sh", "-c", script, env=settings(bucket), network="host", options=FULL)
    assert ran.returncode == 1, ran.stderr
    assert record(bucket)["reason_id"] == "disk-full"
    assert log(bucket).startswith(b"training\n")


def test_a_command_that_uses_up_all_processes_is_explained(
    containers: Engine, image: str, bucket: Bucket, mark: str
) -> None:
    """And ended with all that it started, or nobody could deliver its log."""
    command = shell("echo training", f"while :; do sleep 600.{mark} & done")
    ran = containers.run(image, *command, env=settings(bucket), network="host", options=["--pids-limit=32"])
    assert ran.returncode == 2, ran.stderr
    assert record(bucket)["reason_id"] == "processes-used-up"
    assert log(bucket).startswith(b"training\n")
    assert not processes(mark)


# --- the end


def started(container: Container) -> None:
    """Until the command says that it is ready for what comes."""
    until(lambda: "ready" in container.logs(), container.logs, limit=120, pause=0.1)


def test_stop_lets_the_command_save_and_delivers_it(containers: Engine, image: str, bucket: Bucket, mark: str) -> None:
    script = shell(
        'mkdir -p "$BOOTSTRAP_OUTPUT_DIR"',
        "trap 'echo saved > \"$BOOTSTRAP_OUTPUT_DIR/checkpoint\"; exit 0' TERM",
        f"sleep 600.{mark} &",
        "echo ready",
        "while :; do sleep 0.05; done",
    )
    with containers.start(image, *script, env=settings(bucket), network="host") as container:
        started(container)
        began = time.monotonic()
        container.stop(30)
        assert container.wait() == 0, container.logs()
        assert time.monotonic() - began < 30, "within the grace, not by its end"
        assert not processes(mark)
    assert bucket.results("models/") == {"checkpoint": b"saved\n"}


def test_stop_of_a_command_that_just_dies_is_143(containers: Engine, image: str, bucket: Bucket) -> None:
    command = shell("echo ready", "exec sleep 600")
    with containers.start(image, *command, env=settings(bucket), network="host") as container:
        started(container)
        container.stop(30)
        assert container.wait() == 143, container.logs()
    assert log(bucket).startswith(b"ready\nbootstrap: ")


def test_kill_is_137_and_nothing_is_left(containers: Engine, image: str, mark: str) -> None:
    command = shell(f"sleep 600.{mark} & setsid sleep 601.{mark} & echo ready", "wait")
    with containers.start(image, *command) as container:
        started(container)
        container.kill("KILL")
        assert container.wait() == 137
        assert not processes(mark)
