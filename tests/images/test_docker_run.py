"""scripts/docker-run: the local test of an image, as the platform would start it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.images.conftest import Workshop
from tests.images.recipe import PROJECT
from tests.lab.containers import Engine

TRAIN = """import os, sys
print("args", sys.argv[1:], "as", os.getuid(), os.getgid(), "in", os.getcwd())
for name, _, files in os.walk("data"):
    print(name, files)
for place in ("/cache", "/tmp", os.getcwd()):
    open(os.path.join(place, "checkpoint"), "w").close()
open(os.path.join(os.environ["BOOTSTRAP_OUTPUT_DIR"], "model.bin"), "w").write("weights")
sys.exit(int(os.environ.get("END", "0")))
"""


def docker_run(engine: Engine, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROJECT / "scripts/docker-run", *words],
        env={**engine.environ(), "DOCKER": "no-such-engine podman"},
        cwd=cwd,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=200,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text(TRAIN)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/part-0").write_text("x")
    return tmp_path


@pytest.mark.container
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("platform", "user", "job_dir"),
    [
        ("v2", "1000 100", "/home/ma-user/modelarts/user-job-dir"),
        ("v1", "1101 1101", "/home/work/user-job-dir"),
        ("local", f"{os.getuid()} {os.getgid()}", "/job"),
    ],
)
def test_a_job_runs_as_on_the_platform(
    containers: Engine, base_v2: str, source: Path, platform: str, user: str, job_dir: str
) -> None:
    ran = docker_run(
        containers, base_v2, "--as", platform, "--code", "./src", "--input", "data=./data", "--output", "./out",
        "--log", "./logs", "--read-only", "--env", "END=3", "--memory", "512m",
        "--", "python3", "train.py", "--epochs", "1", cwd=source,
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    assert f"args ['--epochs', '1'] as {user} in {job_dir}\n" in ran.stdout
    assert "data ['part-0']" in ran.stdout
    assert (source / "out/model.bin").read_text() == "weights"
    assert [path.name for path in (source / "logs").glob("*.run.json")]


@pytest.mark.container
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("words", ['["echo"]', '["/opt/bootstrap/bin/bootstrap"]'], ids=["another", "without run"])
def test_an_image_with_another_entry_point_gets_the_bootstrap_in_front(
    containers: Engine, workshop: Workshop, with_python: str, runtime: str, source: Path, words: str
) -> None:
    dockerfile = f"FROM {with_python}\nCOPY --from={runtime} /opt/bootstrap /opt/bootstrap\nENTRYPOINT {words}\n"
    image = workshop.image(f"entry-point-{len(words)}", dockerfile)
    ran = docker_run(containers, image, "--code", "src", "--output", "out", "--", "python3", "train.py", cwd=source)
    assert ran.returncode == 0, ran.stderr
    assert (source / "out/model.bin").exists()


@pytest.mark.container
@pytest.mark.timeout(3600)
def test_a_directory_may_have_any_name_that_an_engine_can_mount(containers: Engine, base_v2: str, source: Path) -> None:
    (source / "src").rename(source / "12:30 run")
    ran = docker_run(
        containers, base_v2, "--code", "12:30 run", "--output", "out:1", "--", "python3", "train.py", cwd=source
    )
    assert ran.returncode == 0, ran.stderr
    assert (source / "out:1/model.bin").exists()


def test_docker_is_told_whose_the_directories_in_memory_are(tmp_path: Path) -> None:
    """Docker cannot be had here; a program of that name tells what it was asked for."""
    (tmp_path / "docker").write_text('#!/bin/sh\n[ "$1" = run ] && printf "%s\\n" "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    ran = subprocess.run(
        [PROJECT / "scripts/docker-run", "image", "--", "true"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, text=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    for place in ("/tmp", "/cache", "/home/ma-user/modelarts"):
        assert f"--tmpfs\n{place}:rw,exec,mode=1777,uid=1000,gid=100\n" in ran.stdout
    assert ran.stdout.endswith("image\nrun\n--\ntrue\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no image was given"),
        (("image",), "no command was given"),
        (("image", "--code", "./nowhere", "--", "true"), "./nowhere does not exist"),
        (("image", "--output", "./a,b", "--", "true"), "no engine can mount a directory with a comma"),
        (("image", "--code"), "--code needs a value"),
        (("image", "--frobnicate", "1", "--", "true"), "there is no option --frobnicate"),
        (("image", "python", "--", "true"), "two images: image and python"),
        (("image", "--as", "v3", "--", "true"), "--as v3"),
        (("image", "--input", "data", "--", "true"), "--input data is not NAME=DIR"),
    ],
)
def test_a_mistake_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = subprocess.run(
        [PROJECT / "scripts/docker-run", *words], cwd=tmp_path, text=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert ran.returncode == 101
    assert ran.stderr.startswith(f"docker-run: {said}")
    assert ran.stderr.count("\n") == 1


def test_without_an_engine_it_says_what_to_install(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["bash", PROJECT / "scripts/docker-run", "image", "--", "true"],
        env={"PATH": "/usr/bin:/bin", "DOCKER": "no-such-engine"}, text=True, capture_output=True,
    )  # fmt: skip
    assert (ran.returncode, "neither docker nor podman is on PATH" in ran.stderr) == (101, True), ran.stderr


def test_help_explains_every_option(tmp_path: Path) -> None:
    ran = subprocess.run([PROJECT / "scripts/docker-run", "--help"], text=True, capture_output=True)
    assert ran.returncode == 0
    for option in ("--as", "--code", "--input", "--output", "--log", "--env", "--user", "--gpus", "--read-only"):
        assert option in ran.stdout
