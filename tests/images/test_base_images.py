"""The base images of ModelArts: their users, their old names, and the audit that they must pass."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.images import recipe
from tests.images.conftest import Workshop
from tests.lab.containers import Engine
from tests.lab.stores import Bucket, Store

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

TRAIN = "import os, sys\nprint('trained as', os.getuid(), os.getgid(), 'in', os.getcwd(), *sys.argv[1:])\n"


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    bucket = seaweedfs.make_bucket()
    bucket.put("proj/code/train.py", TRAIN)
    return bucket


@pytest.fixture(scope="session")
def archives(workshop: Workshop, with_python: str, base_v1: str, base_v2: str) -> dict[str, str]:
    """The images as files, in both formats that there are."""
    paths = {}
    for image, form in ((with_python, "docker-archive"), (base_v1, "oci-archive"), (base_v2, "docker-archive")):
        name = image.rpartition(":")[2].rpartition("/")[2]
        path = workshop.directory / f"{name}.tar"

        def save(image: str = image, form: str = form, path: Path = path) -> str:
            workshop.engine.podman("save", "--quiet", "--format", form, "--output", str(path), image)
            return str(path)

        paths[image] = workshop.once(f"archive-{name}", save)
    return paths


def test_v1_runs_the_old_boot_command_as_work(containers: Engine, base_v1: str, bucket: Bucket) -> None:
    environ = {
        **bucket.store.env(),
        "DLS_APP_URL": bucket.url("proj/code/"),
        "DLS_USE_DOWNLOADER": "1",
        "DLS_USE_UPLOADER": "1",
        "DLS_UPLOAD_LOG_OBS_DIR": bucket.url("logs/"),
        "DLS_DLKS_JOB_ID": "job-1",
        "DLS_JOB_ID": "job-1",
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
    }
    boot = ["/home/work/run_train.sh", "python3", "/home/work/user-job-dir/code/train.py", "--epochs=1"]
    ran = containers.run(base_v1, *boot, env=environ, network="host", options=["--entrypoint=bash"])
    assert ran.returncode == 0, ran.stderr
    assert "trained as 1101 1101 in /home/work/user-job-dir --epochs=1\n" in ran.stdout
    assert bucket.get("logs/dls-log-job-1/dls-task-0.log").endswith(b"--epochs=1\n")


def test_v2_runs_the_command_as_ma_user(containers: Engine, base_v2: str, bucket: Bucket) -> None:
    environ = {**bucket.store.env(), "BOOTSTRAP_CODE": bucket.url("proj/code/"), "BOOTSTRAP_LOG": bucket.url("logs/")}
    ran = containers.run(base_v2, "python3", "code/train.py", env=environ, network="host")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "trained as 1000 100 in /home/ma-user/modelarts/user-job-dir\n"
    assert "modelarts (ModelArts v2" in ran.stderr
    assert bucket.list("logs/")


@pytest.mark.parametrize(
    ("target", "expected"),
    [("base_v1", "work:x:1101:1101::/home/work:"), ("base_v2", "ma-user:x:1000:100::/home/ma-user:")],
)
def test_the_user_is_the_documented_one(
    containers: Engine, request: pytest.FixtureRequest, target: str, expected: str
) -> None:
    image = request.getfixturevalue(target)
    ran = containers.run(
        image, "-c", 'getent passwd "$(id -u)"; echo "$HOME"; touch "$HOME/x" /cache/x && ls "$HOME"',
        options=["--entrypoint=sh"],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    account, home, *names = ran.stdout.splitlines()
    assert account.startswith(expected)
    assert home == expected.split(":")[5]
    assert {"run_train.sh", "utils.sh", "ip_mapper.py", "get_cluster_ib_ip.py", "modelarts-downloader.py"} <= set(names)


# As images of both platforms were, and as people make them: the names are taken, and so are the numbers.
OLD = """
RUN groupadd -g 1102 ma-user && useradd -u 1102 -g 1102 -d /home/ma-user -m ma-user && groupadd -g 5000 ma-group
RUN groupadd -g 1000 work && useradd -u 1000 -g 1000 -m work && groupadd -g 1101 other && useradd -u 1101 -g 1101 other
"""


@pytest.mark.parametrize(
    ("target", "who", "platform"),
    [
        ("base-v1", "uid=1101(work) gid=1101(work) groups=1101(work)", "dls"),
        ("base-v2", "uid=1000(ma-user) gid=100(ma-group) groups=100(ma-group)", "modelarts"),
    ],
)
def test_a_base_whose_names_and_numbers_are_taken_gets_the_documented_user(
    workshop: Workshop, runtime: str, with_python: str, bootstrap: str, tmp_path: Path, target: str, who: str,
    platform: str,
) -> None:  # fmt: skip
    engine, saved, context = workshop.engine, tmp_path / "image.tar", tmp_path / "context"
    context.mkdir()
    old = workshop.image("old-users", f"FROM {with_python}{OLD}")
    image = engine.build(
        recipe.make_context(engine, context), f"localhost/lab/{target}-on-old-users",
        dockerfile=recipe.DOCKERFILE, arguments={"BASE_IMAGE": old}, options=[f"--target={target}"],
    )  # fmt: skip
    ran = engine.run(image, "-c", "id && touch ~/x", options=["--entrypoint=sh"])
    assert ran.stdout.splitlines()[0] == who
    engine.podman("save", "--quiet", "--output", str(saved), image)
    told = check(bootstrap, str(saved))
    assert told["platform"] == platform
    assert not [name for name in ids(told, "error", "warning") if name.startswith(("user", "directory"))], told


def check(bootstrap: str, *words: str) -> dict[str, Any]:
    told = subprocess.run([bootstrap, "check-image", "--format", "json", *words], text=True, capture_output=True)
    assert told.returncode in (0, 1), told.stderr
    answer: dict[str, Any] = json.loads(told.stdout)
    assert told.returncode == any(finding["level"] == "error" for finding in answer["findings"])
    return answer


def ids(told: dict[str, object], *levels: str) -> list[str]:
    findings = told["findings"]
    assert isinstance(findings, list)
    return [finding["id"] for finding in findings if finding["level"] in levels]


def test_v1_passes_the_audit_compared_with_its_base(
    bootstrap: str, archives: dict[str, str], with_python: str, base_v1: str
) -> None:
    told = check(bootstrap, "--base", archives[with_python], archives[base_v1], "--", "python3", "train.py")
    assert (told["platform"], told["kind"]) == ("dls", "OCI archive")
    assert not ids(told, "error", "warning"), told


def test_v2_has_nothing_that_would_fail(bootstrap: str, archives: dict[str, str], base_v2: str) -> None:
    told = check(bootstrap, archives[base_v2], "--", "python3", "train.py")
    assert (told["platform"], told["kind"]) == ("modelarts", "docker archive")
    assert not ids(told, "error", "warning"), told


def test_an_exported_container_is_checked_as_well(
    workshop: Workshop, bootstrap: str, base_v2: str, tmp_path: Path
) -> None:
    with workshop.engine.start(base_v2, "sleep", "600") as container:
        workshop.engine.podman("export", "--output", str(tmp_path / "root.tar"), container.name)
    told = check(bootstrap, str(tmp_path / "root.tar"), "--", "python2", "train.py")
    assert told["kind"] == "exported tar"
    assert ids(told, "error") == ["command"]


def test_a_container_checks_itself(containers: Engine, base_v1: str) -> None:
    ran = containers.run(base_v1, "check-image", "--", "bash", options=["--entrypoint=/opt/bootstrap/bin/bootstrap"])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "/: root, " in ran.stdout


def test_in_a_container_the_path_is_its_own(containers: Engine, base_v2: str) -> None:
    ran = containers.run(
        base_v2, "check-image", "--", "run_train.sh", env={"PATH": "/opt/bootstrap/scripts:/usr/bin:/bin"},
        options=["--entrypoint=/opt/bootstrap/bin/bootstrap"],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "run_train.sh is /opt/bootstrap/scripts/run_train.sh, run by " in ran.stdout
    assert "directories were closed to us" in ran.stdout
